import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import psycopg
import pytest
import simulated_days
from simulated_days import Simulation

from datapipe.errors import DatapipeError, UsageError
from datapipe.extract.answers import prove
from datapipe.extract.endpoints import Request
from datapipe.extract.mock_api import Archive, Folder, MockApi, Rules
from datapipe.extract.mock_sample import SampleArchive, sessions
from datapipe.extract.refusals import refusal_in
from datapipe.warehouse import sessions as calendar

KEY = "MOCKKEY000000001"
DAILY = {"function": "TIME_SERIES_DAILY", "symbol": "IBM", "apikey": KEY}
NO_LIMITS = Rules(None, None, None)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


def kind(body: str) -> str:
    document = json.loads(body)
    refusal = refusal_in(document)
    return refusal.kind if refusal else "ok"


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[[Archive, Rules], MockApi]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes mocks that are asked without a network."""
    made: list[MockApi] = []

    def make(archive: Archive, rules: Rules) -> MockApi:
        made.append(MockApi(archive, rules))
        return made[-1]

    yield make
    for api in made:
        api.close()


@pytest.fixture
def mock(clock: Clock) -> Iterator[MockApi]:
    api = MockApi(SampleArchive(), Rules(1, None, 3), clock=clock.time)
    api.start()
    yield api
    api.close()


def test_the_second_request_of_a_second_is_refused_when_it_arrives(
    mock: MockApi, clock: Clock
) -> None:
    assert kind(mock.answer(DAILY)) == "ok"
    clock.now += 0.999
    assert kind(mock.answer(DAILY)) == "rate_limit.burst"
    clock.now += 0.5
    assert kind(mock.answer(DAILY)) == "rate_limit.burst", "a refused request counts as well"
    clock.now += 1.0
    assert mock.counts == {"requests": 3, "ok": 1, "rate_limit.burst": 2}


def test_the_days_refusal_repeats_the_key_until_the_day_turns(mock: MockApi, clock: Clock) -> None:
    for _ in range(3):
        clock.now += 2
        mock.answer(DAILY)
    clock.now += 2
    refused = mock.answer(DAILY)
    assert kind(refused) == "rate_limit.daily"
    assert KEY in refused
    clock.now += 86400
    assert kind(mock.answer(DAILY)) == "ok"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"outputsize": "full"}, "premium_required"),
        ({"function": "TIME_SERIES_DAILY_ADJUSTED"}, "premium_required"),
        ({"function": "TIME_SERIES_INTRADAY"}, "premium_required"),
        ({"function": "NOSUCH"}, "invalid_request"),
        ({"symbol": "NOSUCH"}, "invalid_request"),
        ({"apikey": ""}, "invalid_key"),
        ({"symbol": "NOSUCH", "datatype": "csv"}, "invalid_request"),
    ],
)
def test_a_free_key_is_refused_as_the_api_refuses(
    query: dict[str, str], expected: str, make: Make
) -> None:
    api = make(SampleArchive(), NO_LIMITS)
    assert kind(api.answer({**DAILY, **query})) == expected
    assert api.counts[expected] == 1


def test_a_premium_key_has_everything(make: Make) -> None:
    api = make(SampleArchive(), Rules(None, None, None, premium=True))
    full = json.loads(api.answer({**DAILY, "outputsize": "full"}))
    assert len(full["Time Series (Daily)"]) > 100
    assert kind(api.answer({**DAILY, "function": "TIME_SERIES_INTRADAY"})) == "ok"


def test_the_sample_comes_as_csv_over_real_http(mock: MockApi) -> None:
    with urlopen(f"{mock.url}?{urlencode({**DAILY, 'datatype': 'csv'})}") as response:
        body = response.read()
    assert body.startswith(b"timestamp,open,high,low,close,volume\r\n")
    assert len(body.splitlines()) == 101
    with urlopen(mock.url.replace("/query", "/counts")) as response:
        assert json.load(response) == {"requests": 1, "ok": 1}
    with pytest.raises(HTTPError, match="404"):
        urlopen(mock.url.replace("/query", "/elsewhere"))


def test_the_sample_knows_new_yorks_sessions(connection: psycopg.Connection) -> None:
    now = datetime(2027, 12, 31, tzinfo=UTC)
    first = sessions(now)[0].session_date
    assert sessions(now) == calendar.finished(connection, since=first, now=now)


def test_a_folder_is_served_by_its_newest_files(tmp_path: Path, make: Make) -> None:
    (tmp_path / "OVERVIEW__IBM__2025.json").write_text('{"Symbol": "IBM", "n": 1}')
    (tmp_path / "OVERVIEW__IBM__2026.json").write_text('{"Symbol": "IBM", "n": 2}')
    (tmp_path / "DIVIDENDS__A%2FB.csv").write_text("ex_dividend_date,amount\r\n")
    api = make(Folder(tmp_path), NO_LIMITS)
    query = {"function": "OVERVIEW", "symbol": "ibm", "apikey": KEY}
    assert json.loads(api.answer(query))["n"] == 2
    assert api.answer({**query, "function": "DIVIDENDS", "symbol": "A/B"}).startswith("ex_")
    assert api.answer({**query, "symbol": "NOSUCH"}) == "{}"


def test_every_recorded_answer_is_served(samples: Path, make: Make) -> None:
    api = make(Folder(samples), Rules(None, None, None, premium=True))
    query = {"function": "TIME_SERIES_MONTHLY", "symbol": "VZ", "apikey": KEY}
    assert prove(Request("TIME_SERIES_MONTHLY", "VZ"), api.answer(query).encode(), None)  # type: ignore[arg-type]
    pair = {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "apikey": KEY}
    assert "Time Series FX (Daily)" in api.answer(pair)


def test_a_port_that_is_taken_is_named(mock: MockApi) -> None:
    port = int(mock.url.split(":")[2].split("/")[0])
    with pytest.raises(UsageError, match=str(port)):
        MockApi(SampleArchive(), port=port)


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_command_tells_its_address_and_stops_when_told(signum: int, status: int) -> None:
    code = "import typer; from datapipe.cli.mock_api import mock_api; typer.run(mock_api)"
    command = [sys.executable, "-c", code, "--per-day", "1", "--per-second", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        kinds = []
        for _ in range(2):
            with urlopen(f"{url}?{urlencode(DAILY)}") as response:
                kinds.append(kind(response.read().decode()))
        process.send_signal(signum)
        assert process.wait(20) == status
    assert kinds == ["ok", "rate_limit.daily"]


def test_four_processes_that_are_killed_never_send_a_request_too_many(
    connection: psycopg.Connection, database_url: str
) -> None:
    # On what day all is complete, tests/benchmarks/simulation.py measures: that takes minutes.
    days = Simulation(symbols=7, days=3, per_day=5, day_seconds=2, per_second=10)
    outcome = simulated_days.run(days, connection, database_url)
    assert set(outcome.counts) == {"requests", "ok"}, outcome
    assert 0 < max(outcome.asked) <= days.per_day
    assert sum(outcome.asked) == outcome.counts["ok"]


def test_the_mock_needs_no_heavy_library() -> None:
    code = (
        "import sys; import datapipe.extract.mock_api, datapipe.extract.mock_sample; "
        "print([m for m in ('pandas', 'numpy', 'httpx', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_mocks_words_are_told_apart_by_the_client(make: Make) -> None:
    api = make(SampleArchive(), Rules(0, None, None))
    with pytest.raises(DatapipeError):
        prove(Request("TIME_SERIES_DAILY", "IBM"), api.answer(DAILY).encode(), None)  # type: ignore[arg-type]
