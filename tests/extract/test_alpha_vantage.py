import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
import respx
from api_on_loopback import KEY, Api, daily, refusal

from datapipe import extract
from datapipe.errors import DatapipeError, PartlyDoneError, Refusal, SettingsError
from datapipe.extract.alpha_vantage import AlphaVantage
from datapipe.extract.answers import Answer, BrokenAnswer, Unreachable, WrongAnswer
from datapipe.extract.endpoints import Request, named
from datapipe.extract.quota import Limits, Quota
from datapipe.extract.refusals import KeyRefused, QuotaSpent, RateLimited, RequestRefused
from datapipe.extract.request_ledger import Note
from datapipe.warehouse import Warehouse

IBM = Request("TIME_SERIES_DAILY", "IBM", {"outputsize": "compact"})
Ask = Callable[[Request], Answer]


class Clock:
    """Sleeps without waiting, and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def source(
    quota_connection: psycopg.Connection, url: str, clock: Clock, per_day: int | None = None
) -> AlphaVantage:
    quota = Quota(quota_connection, KEY, Limits(None, None, per_day), run_id=1)
    return AlphaVantage(url, KEY, quota, options={}, sleep=clock.sleep, clock=clock.time)


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


def test_thirty_requests_are_in_flight_when_nothing_limits_them(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    from threading import Barrier

    together = Barrier(AlphaVantage.concurrency, timeout=20)

    def answer(query: dict[str, str]) -> tuple[int, str]:
        together.wait()  # breaks, and fails the test, unless thirty requests wait here at once
        return 200, daily()

    api.answer = answer
    symbols = " ".join(f"S{n}" for n in range(AlphaVantage.concurrency))
    assert run(symbols).stored == AlphaVantage.concurrency


class Bytes:
    """Answers one request after another with the bytes of a whole HTTP response."""

    def __init__(self, *responses: bytes) -> None:
        self.asked = 0
        self._responses = responses
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/query"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for response in self._responses:
            connection, _ = self._server.accept()
            with connection:
                connection.recv(65536)
                self.asked += 1
                connection.sendall(response)

    def close(self) -> None:
        self._thread.join()
        self._server.close()


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return (
        "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode() + body
    )


CSV = (
    b"timestamp,open,high,low,close,volume\r\n"
    b"2026-05-15,1,2,1,2,1000\r\n2026-05-14,1,2,1,2,2000\r\n"
)


def packed(body: bytes) -> bytes:
    return http(gzip.compress(body), "Content-Encoding: gzip")


def asked_over_a_socket(
    connection: psycopg.Connection, clock: Clock, *responses: bytes
) -> tuple[Answer, int]:
    server = Bytes(*responses)

    async def fetch() -> Answer:
        alpha_vantage = source(connection, server.url, clock)
        try:
            return await alpha_vantage.fetch(IBM)
        finally:
            await alpha_vantage.aclose()

    try:
        return asyncio.run(fetch()), server.asked
    finally:
        server.close()


@pytest.mark.parametrize(
    "broken",
    [
        http(gzip.compress(CSV)[:-12], "Content-Encoding: gzip"),
        http(b"not gzip", "Content-Encoding: gzip"),
        http(CSV, "Content-Encoding: br"),
        http(CSV[:-5], f"Content-Length: {len(CSV)}"),
        http(b"40\r\n" + CSV[:20], "Transfer-Encoding: chunked"),
        http(CSV[:-5]),
        http(b""),
        http(b"", status="204 No Content"),
        http(b"", "Location: http://127.0.0.1:9/", status="302 Found"),
        b"",
    ],
)
def test_half_a_body_is_no_answer_and_is_asked_again(
    broken: bytes, quota_connection: psycopg.Connection, clock: Clock
) -> None:
    answer, asked = asked_over_a_socket(quota_connection, clock, broken, packed(CSV))
    assert answer.body.encode() == CSV
    assert asked == 2


def test_gzip_in_two_members_is_whole(quota_connection: psycopg.Connection, clock: Clock) -> None:
    both = gzip.compress(CSV[:40]) + gzip.compress(CSV[40:])
    answer, _ = asked_over_a_socket(quota_connection, clock, http(both, "Content-Encoding: gzip"))
    assert answer.body.encode() == CSV


@pytest.mark.parametrize(
    ("header", "slept"), [("7", 7), ("Thu, 01 Jan 1970 00:00:00 GMT", 1), ("?", 60)]
)
def test_status_429_is_waited_out_as_long_as_it_says(
    header: str, slept: float, quota_connection: psycopg.Connection, clock: Clock
) -> None:
    slow_down = http(b"", f"Retry-After: {header}", status="429 Too Many Requests")
    asked_over_a_socket(quota_connection, clock, slow_down, packed(CSV))
    assert clock.slept == [slept]


@pytest.mark.parametrize(
    ("response", "error", "kind"),
    [
        (http(b'{"detail": "Accept"}', status="406 Not Acceptable"), RequestRefused, "http_406"),
        (http(b"", status="403 Forbidden"), KeyRefused, "http_403"),
        (http(b'{"Note": "25 requests per day"}', status="429 X"), QuotaSpent, "rate_limit.daily"),
        (http(b"", "Retry-After: 9999", status="429 X"), RateLimited, "http_429"),
    ],
)
def test_a_status_that_does_not_pass_is_asked_once(
    response: bytes,
    error: type[Refusal],
    kind: str,
    quota_connection: psycopg.Connection,
    clock: Clock,
) -> None:
    with pytest.raises(error) as caught:
        asked_over_a_socket(quota_connection, clock, response)
    assert caught.value.kind == kind


def test_a_good_answer_that_repeats_the_key_is_kept_without_it(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    api.answer = lambda query: (200, daily().replace("Daily Prices", f"for {KEY.lower()}"))
    assert run("IBM").stored == 1
    body = connection.execute("SELECT body FROM raw.responses").fetchone()
    assert body == (daily().replace("Daily Prices", "for [key]"),)


def test_an_answer_that_is_older_than_the_last_is_not_kept(
    run: Run, api: Api, connection: psycopg.Connection
) -> None:
    fresh = daily(day="2026-05-15").replace(
        '"5. Time', '"3. Last Refreshed": "2026-05-15", "5. Time'
    )
    stale = fresh.replace("2026-05-15", "2026-05-14")
    for body in (fresh, stale, fresh):
        api.answer = lambda query, body=body: (200, body)  # type: ignore[misc]
        extracted = run("IBM")
        if body == stale:
            assert isinstance(extracted.failures[0].error, WrongAnswer)
    assert connection.execute("SELECT body FROM raw.responses").fetchall() == [(fresh,)]
    connection.execute("UPDATE raw.responses SET fetched_at = fetched_at - interval '8 days'")
    api.answer = lambda query: (200, stale)
    assert run("IBM").stored == 1, "after a week it is believed"


def test_a_request_that_would_leave_too_late_is_not_sent(
    quota_connection: psycopg.Connection, api: Api, connection: psycopg.Connection
) -> None:
    slow = Clock()

    def time() -> float:
        slow.now += 10  # from one look at the clock to the next
        return slow.now

    async def fetch() -> Answer:
        quota = Quota(quota_connection, KEY, Limits(None, None, 25), run_id=1)
        alpha_vantage = AlphaVantage(api.url, KEY, quota, options={}, sleep=slow.sleep, clock=time)
        try:
            return await alpha_vantage.fetch(IBM)
        finally:
            await alpha_vantage.aclose()

    with pytest.raises(BrokenAnswer, match="could not be sent in time"):
        asyncio.run(fetch())
    assert api.requests == []
    assert outcomes(connection) == ["not_sent"] * 3


@pytest.mark.parametrize(("outcome", "sent"), [("ok", []), ("interrupted", ["IBM"])])
@pytest.mark.parametrize("per_day", [None, 25])
def test_what_another_run_is_asking_is_waited_for_and_asked_only_where_that_failed(
    outcome: str,
    sent: list[str],
    per_day: int | None,
    connection: psycopg.Connection,
    quota_connection: psycopg.Connection,
    api: Api,
    clock: Clock,
) -> None:
    other = Quota(connection, KEY, Limits(None, None, 25), run_id=2)
    ours = source(quota_connection, api.url, clock, per_day)

    async def sleep(seconds: float) -> None:
        clock.slept.append(seconds)
        other.note_all([Note(under_way, outcome)])

    ours._sleep = sleep
    ours._quota.left_today()  # from now on this run has begun
    under_way = other.take(IBM)
    assert isinstance(under_way, int)
    extracted = extract.run(connection, ours, [IBM], run_id=1)
    assert clock.slept == [0.5]
    assert extracted.error() is None
    assert extracted.waiting == ()
    assert [query["symbol"] for query in api.requests] == sent
