import asyncio
import json
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
import respx
from api_on_loopback import KEY, Api, daily, refusal

from datapipe import extract
from datapipe.errors import DatapipeError, PartlyDoneError, SettingsError
from datapipe.extract.alpha_vantage import AlphaVantage
from datapipe.extract.answers import Answer, BrokenAnswer, Unreachable
from datapipe.extract.endpoints import Request, named
from datapipe.extract.quota import Limits, Quota
from datapipe.extract.refusals import RateLimited
from datapipe.warehouse import Warehouse

IBM = Request("TIME_SERIES_DAILY", "IBM", {"outputsize": "compact"})
Ask = Callable[[Request], Answer]


class Clock:
    """Sleeps without waiting, and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def source(
    quota_connection: psycopg.Connection, url: str, clock: Clock, per_day: int | None = None
) -> AlphaVantage:
    quota = Quota(quota_connection, KEY, Limits(None, None, per_day), run_id=1)
    return AlphaVantage(url, KEY, quota, options={}, sleep=clock.sleep)


@pytest.fixture
def quota_connection(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def ask(quota_connection: psycopg.Connection, api: Api, clock: Clock) -> Ask:
    def ask(request: Request) -> Answer:
        async def fetch() -> Answer:
            alpha_vantage = source(quota_connection, api.url, clock)
            try:
                return await alpha_vantage.fetch(request)
            finally:
                await alpha_vantage.aclose()

        return asyncio.run(fetch())

    return ask


def outcomes(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("SELECT outcome FROM meta.requests ORDER BY request_id")
    return [row[0] for row in rows]


def test_the_request_carries_the_function_the_symbol_and_the_key(ask: Ask, api: Api) -> None:
    ask(Request("TIME_SERIES_DAILY", "A&B", {"outputsize": "full"}))
    assert api.requests == [
        {"function": "TIME_SERIES_DAILY", "symbol": "A&B", "outputsize": "full", "apikey": KEY}
    ]


def test_a_burst_refusal_is_waited_out_and_asked_again(
    ask: Ask, api: Api, clock: Clock, connection: psycopg.Connection
) -> None:
    answers = iter([refusal("1 request per second"), daily()])
    api.answer = lambda query: (200, next(answers))
    assert ask(IBM).body == daily()
    assert clock.slept == [2]
    assert outcomes(connection) == ["rate_limit.burst", "ok"]


def test_a_rate_limit_that_does_not_pass_is_an_error_after_three_requests(
    ask: Ask, api: Api
) -> None:
    api.answer = lambda query: (200, refusal("Burst pattern detected"))
    with pytest.raises(RateLimited):
        ask(IBM)
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    ("status", "body"), [(503, "<html>Application Error</html>"), (429, ""), (200, daily()[:-9])]
)
def test_a_passing_fault_is_asked_again(status: int, body: str, ask: Ask, api: Api) -> None:
    answers = iter([(status, body), (200, daily())])
    api.answer = lambda query: next(answers)
    assert ask(IBM).body == daily()


@pytest.mark.parametrize(
    "text", ["premium endpoint", "Invalid API call", "not yet entitled", "The moon is full."]
)
def test_what_waiting_cannot_mend_is_asked_once(text: str, ask: Ask, api: Api) -> None:
    api.answer = lambda query: (200, refusal(text))
    with pytest.raises(DatapipeError):
        ask(IBM)
    assert len(api.requests) == 1


def test_a_status_that_is_an_error_does_not_show_the_url(ask: Ask, api: Api) -> None:
    api.answer = lambda query: (500, "")
    with pytest.raises(BrokenAnswer, match="status 500") as caught:
        ask(IBM)
    assert KEY not in str(caught.value)


@respx.mock
@pytest.mark.parametrize("fault", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_connection_that_breaks_is_a_broken_answer(
    fault: type[httpx.HTTPError], ask: Ask, api: Api
) -> None:
    respx.get(api.url).mock(side_effect=fault)
    with pytest.raises(BrokenAnswer, match=fault.__name__):
        ask(IBM)


def test_the_key_shows_nowhere_even_when_the_api_repeats_it(
    ask: Ask, api: Api, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    api.answer = lambda query: (200, refusal(f"your API key as {query['apikey']}: premium feature"))
    with pytest.raises(DatapipeError) as caught:
        ask(IBM)
    seen: BaseException | None = caught.value
    while seen is not None:
        assert KEY not in str(seen)
        assert KEY not in repr(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    assert KEY not in caplog.text
    rows = connection.execute("SELECT r::text FROM meta.requests r").fetchall()
    assert "[key]" in str(rows)
    assert KEY not in str(rows)


Run = Callable[..., extract.Extracted]


@pytest.fixture
def run(
    connection: psycopg.Connection, quota_connection: psycopg.Connection, api: Api, clock: Clock
) -> Run:
    def run(symbols: str, *, per_day: int | None = None, url: str = api.url) -> extract.Extracted:
        alpha_vantage = source(quota_connection, url, clock, per_day)
        requests = alpha_vantage.requests(symbols.split(), named(["daily"]))
        return extract.run(connection, alpha_vantage, requests, run_id=1)

    return run


def test_one_symbols_refusal_does_not_stop_the_others(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    bad = refusal("Invalid API call", "Error Message")
    api.answer = lambda query: (200, bad if query["symbol"] == "NOSUCH" else daily())
    extracted = run("AAPL NOSUCH MSFT")
    assert extracted.stored == 2
    assert [failure.request.symbol for failure in extracted.failures] == ["NOSUCH"]
    assert isinstance(extracted.error(), PartlyDoneError)
    kept = connection.execute("SELECT symbol, body FROM raw.responses ORDER BY symbol").fetchall()
    assert kept == [("AAPL", daily()), ("MSFT", daily())]


def test_a_spent_day_leaves_the_rest_to_the_next_run(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    extracted = run("A B C D E", per_day=2)
    assert len(api.requests) == 2
    assert extracted.stored == 2
    assert len(extracted.waiting) == 3
    assert isinstance(extracted.error(), PartlyDoneError)


def test_a_refused_key_ends_the_run_as_a_wrong_setting(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    api.answer = lambda query: (200, refusal("the parameter apikey is invalid or missing"))
    extracted = run(" ".join(f"S{n}" for n in range(100)))
    assert len(api.requests) <= AlphaVantage.concurrency
    assert isinstance(extracted.error(), SettingsError)


def test_an_address_where_nobody_answers_ends_the_run(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    extracted = run(" ".join(f"S{n}" for n in range(100)), url="http://127.0.0.1:9/query")
    assert isinstance(extracted.error(), Unreachable)
    assert len(extracted.waiting) == 100


def test_the_same_answer_is_stored_once_and_seen_twice(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    run("IBM")
    again = run("IBM")
    assert (again.stored, again.unchanged) == (0, 1)
    row = connection.execute(
        "SELECT count(*), bool_and(seen_at > fetched_at), min(params::text) FROM raw.responses"
    ).fetchone()
    assert row == (1, True, json.dumps({"outputsize": "compact"}))


def test_an_answer_that_went_back_to_an_older_text_is_stored_again(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    for close in ("1.0000", "2.0000", "1.0000"):
        api.answer = lambda query, close=close: (200, daily(close=close))  # type: ignore[misc]
        run("IBM")
    row = connection.execute("SELECT count(*) FROM raw.responses").fetchone()
    assert row == (3,)


def test_twenty_requests_are_in_flight_when_nothing_limits_them(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    from threading import Barrier

    together = Barrier(AlphaVantage.concurrency, timeout=20)

    def answer(query: dict[str, str]) -> tuple[int, str]:
        together.wait()  # breaks, and fails the test, unless twenty requests wait here at once
        return 200, daily()

    api.answer = answer
    symbols = " ".join(f"S{n}" for n in range(AlphaVantage.concurrency))
    assert run(symbols).stored == AlphaVantage.concurrency
