import json
from datetime import UTC, datetime

import pytest
from api_on_loopback import daily

from datapipe.errors import Refusal
from datapipe.extract.answers import Answer, BrokenAnswer, WrongAnswer, prove
from datapipe.extract.endpoints import Request

DAILY = Request("TIME_SERIES_DAILY", "IBM")
OVERVIEW = Request("OVERVIEW", "IBM")
CALENDAR = Request("EARNINGS_CALENDAR", "-")
CSV = "timestamp,open,high,low,close,volume\r\n2026-05-15,1,2,1,2,10\r\n"


def proven(request: Request, body: str | bytes) -> Answer:
    content = body if isinstance(body, bytes) else body.encode()
    return prove(request, content, datetime(2026, 5, 15, tzinfo=UTC))


def test_a_good_answer_is_kept_word_for_word() -> None:
    body = "\ufeff  " + daily()
    assert proven(DAILY, body).body == body


def test_csv_is_told_from_json_by_its_first_character() -> None:
    assert proven(DAILY, CSV).format == "csv"
    assert proven(DAILY, daily()).format == "json"


@pytest.mark.parametrize(
    "body",
    [
        "",
        " \n",
        daily()[:-20],
        "<html><title>Application Error</title></html>",
        "[1, 2]",
        '"text"',
        '{"detail": "Could not satisfy the request Accept header."}',
        '{"Meta Data": {"1. Information": "Daily Prices"}, "rows": {"a": 1}}',
        "timestamp,open,high,low,close,volume\r\n2026-05-15,1,2",
        "symbol,name\r\nIBM,x\r\n",
        "Thank you for using Alpha Vantage! Come again, please.",
        b"\xff\xfe{}",
        b'{"a": "\x00"}',
        b"\x1f\x8b\x08\x00half a gzip",
    ],
)
def test_what_is_no_answer_is_broken(body: str | bytes) -> None:
    with pytest.raises(BrokenAnswer, match="TIME_SERIES_DAILY IBM"):
        proven(DAILY, body)


def test_a_web_page_is_named_by_its_title() -> None:
    with pytest.raises(BrokenAnswer, match="Application Error"):
        proven(DAILY, "<!DOCTYPE html><html><title>Application\n Error</title>")


@pytest.mark.parametrize("body", ['{"Note": "25 requests per day"}', "\ufeff" + '{"Note": "x"}'])
def test_a_refusal_is_never_an_answer(body: str) -> None:
    with pytest.raises(Refusal):
        proven(DAILY, body)


def test_a_refusal_spelled_in_a_csv_row_is_no_answer() -> None:
    with pytest.raises(Refusal, match="informa"):
        proven(CALENDAR, "symbol,name,reportDate,fiscal,estimate,currency,time\nI,n,f,o,r,m,a\n")


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (OVERVIEW, "{}"),
        (Request("GLOBAL_QUOTE", "X"), '{"Global Quote": {}}'),
        (Request("SYMBOL_SEARCH", "X"), '{"bestMatches": []}'),
        (Request("EARNINGS", "X"), '{"symbol": "X", "annual": [], "quarterly": []}'),
        (CALENDAR, "symbol,name,reportDate\r\n"),
    ],
)
def test_an_empty_answer_says_so(request_: Request, body: str) -> None:
    assert proven(request_, body).empty


def test_an_overview_without_a_symbol_describes_no_company() -> None:
    with pytest.raises(BrokenAnswer, match="describes no company"):
        proven(OVERVIEW, '{"Name": "x"}')


def test_the_same_text_has_the_same_hash() -> None:
    assert proven(DAILY, daily()).sha256 == proven(DAILY, daily()).sha256
    assert proven(DAILY, daily()).sha256 != proven(DAILY, daily(close="1.0")).sha256


BAR = {"1. open": "1", "2. high": "2", "3. low": "1", "4. close": "2", "5. volume": "10"}
ADJUSTED = {**BAR, "5. adjusted close": "2", "6. volume": "10"}


def series(symbol: str, name: str, bar: dict[str, str]) -> str:
    return json.dumps({"Meta Data": {"2. Symbol": symbol}, name: {"2026-05-15": bar}})


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (DAILY, series("MSFT", "Time Series (Daily)", BAR)),
        (DAILY, series("IBM", "Weekly Time Series", BAR)),
        (DAILY, series("IBM", "Time Series (Daily)", ADJUSTED)),
        (DAILY, "timestamp,open,adjusted_close\r\n2026-05-15,1,2\r\n"),
        (
            Request("TIME_SERIES_INTRADAY", "IBM", {"interval": "1min"}),
            series("IBM", "Time Series (5min)", BAR),
        ),
        (Request("TIME_SERIES_WEEKLY_ADJUSTED", "IBM"), series("IBM", "Weekly Time Series", BAR)),
        (OVERVIEW, '{"Symbol": "MSFT"}'),
        (Request("GLOBAL_QUOTE", "IBM"), '{"Global Quote": {"01. symbol": "MSFT"}}'),
        (Request("GLOBAL_QUOTE", "IBM"), "symbol,price\r\nMSFT,1\r\n"),
        (Request("EARNINGS", "IBM"), '{"symbol": "MSFT", "annualEarnings": [{}]}'),
    ],
)
def test_an_answer_to_another_question_is_wrong(request_: Request, body: str) -> None:
    with pytest.raises(WrongAnswer):
        proven(request_, body)


@pytest.mark.parametrize("symbol", ["ibm", "IBM", "I.B.M"])
def test_the_symbol_may_be_spelled_in_another_way(symbol: str) -> None:
    assert not proven(DAILY, series(symbol, "Time Series (Daily)", BAR)).empty


@pytest.mark.parametrize(
    "body",
    [
        daily().replace('"101.0000"', "NaN"),
        daily().replace('"101.0000"', "-Infinity"),
        daily().replace('"2. high"', '"1. open"'),
    ],
)
def test_json_that_readers_read_differently_is_broken(body: str) -> None:
    with pytest.raises(BrokenAnswer) as caught:
        proven(DAILY, body)
    assert caught.value.kind == "not_readable"


@pytest.mark.parametrize(
    ("function", "body"),
    [
        ("DIVIDENDS", '{"symbol": "IBM", "rows": [1]}'),
        ("LISTING_STATUS", "a,b\r\n1,2\r\n"),
        ("NEWS", '{"detail": "Could not satisfy"}'),
        ("GLOBAL_QUOTE", '{"Global Quote": null}'),
    ],
)
def test_what_holds_no_data_of_the_function_is_broken(function: str, body: str) -> None:
    with pytest.raises(BrokenAnswer) as caught:
        proven(Request(function, "IBM"), body)
    assert caught.value.kind == "no_data"


def test_a_refusal_in_plain_words_is_one() -> None:
    with pytest.raises(Refusal, match="daily"):
        proven(DAILY, "Our standard API rate limit is 25 requests per day. Please subscribe.")
