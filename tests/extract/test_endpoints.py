import pytest

from datapipe.errors import UsageError
from datapipe.extract.endpoints import CATALOGUE, DEFAULT, SAMPLE, Request, named, requests


def asked(name: str, *symbols: str, **options: str) -> list[dict[str, str]]:
    return [dict(request.query) for request in requests(named([name]), symbols, options)]


def test_every_name_and_every_function_is_there_once() -> None:
    assert len({endpoint.name for endpoint in CATALOGUE}) == len(CATALOGUE)
    assert len({endpoint.function for endpoint in CATALOGUE}) == len(CATALOGUE)


def test_what_is_asked_for_by_default_is_free() -> None:
    assert [endpoint.name for endpoint in DEFAULT] == ["daily", "overview"]
    assert not any(endpoint.premium for endpoint in DEFAULT)
    assert [endpoint.name for endpoint in SAMPLE] == ["daily", "intraday", "overview"]


def test_an_option_goes_to_the_endpoints_that_know_it() -> None:
    known = requests(named(["daily", "overview"]), ["IBM"], {"outputsize": "full"})
    assert [dict(request.params) for request in known] == [{"outputsize": "full"}, {}]


def test_an_option_that_is_empty_is_not_sent() -> None:
    assert asked("intraday", "IBM")[0] == {
        "function": "TIME_SERIES_INTRADAY",
        "symbol": "IBM",
        "interval": "5min",
        "outputsize": "compact",
        "extended_hours": "true",
        "adjusted": "false",
    }
    assert asked("intraday", "IBM", month="2026-04")[0]["month"] == "2026-04"


@pytest.mark.parametrize(
    ("name", "symbol", "spelled"),
    [
        ("overview", "BRK-B", {"symbol": "BRK-B"}),
        ("symbol-search", "TESCO", {"keywords": "TESCO"}),
        ("fx-daily", "EUR-USD", {"from_symbol": "EUR", "to_symbol": "USD"}),
        ("crypto-daily", "BTC-EUR", {"symbol": "BTC", "market": "EUR"}),
    ],
)
def test_the_symbol_goes_where_the_function_wants_it(
    name: str, symbol: str, spelled: dict[str, str]
) -> None:
    (query,) = asked(name, symbol)
    assert {key: query[key] for key in query.keys() - {"function", "outputsize"}} == spelled


@pytest.mark.parametrize("name", ["listing-status", "earnings-calendar", "market-status"])
def test_what_tells_of_the_whole_market_is_asked_for_once(name: str) -> None:
    (request,) = requests(named([name]), ["AAPL", "MSFT"], {})
    assert request.symbol == "-"
    assert not request.query.keys() & {"symbol", "keywords"}


def test_the_earnings_calendar_can_be_asked_for_a_symbol() -> None:
    assert Request("EARNINGS_CALENDAR", "IBM").query["symbol"] == "IBM"


def test_a_function_without_an_entry_takes_a_symbol() -> None:
    assert Request("RSI", "IBM", {"interval": "daily"}).query == {
        "function": "RSI",
        "symbol": "IBM",
        "interval": "daily",
    }


def test_an_endpoint_of_pairs_leaves_other_symbols_alone() -> None:
    known = requests(named(["daily", "fx-daily"]), ["IBM", "EUR-USD", "BRK-B"], {})
    assert [request.symbol for request in known if request.function == "FX_DAILY"] == ["EUR-USD"]


def test_an_endpoint_of_pairs_without_a_pair_says_how_one_is_written() -> None:
    with pytest.raises(UsageError, match="Write a pair as EUR-USD"):
        requests(named(["fx-daily"]), ["IBM", "BRK-B"], {})
    with pytest.raises(UsageError, match="'EUR' is not a pair"):
        dict(Request("FX_DAILY", "EUR").query)
