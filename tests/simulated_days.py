"""Days of a few seconds: real processes, killed at random, against a strict API on loopback.

Each day is a session until the fifth of a week. The processes are forked from one that has
imported everything, so that a day need not last as long as it takes to start Python four times.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import metadata
from itertools import accumulate
from random import Random

import psycopg

from datapipe.extract.mock_api import MockApi, Rules

KEY = "SIMULATION000001"
FIRST_DAY = date(2026, 1, 5)  # a Monday
BEFORE = 20  # sessions of the time before
WEEK, SESSIONS = 7, 5

# Runs of datapipe as cron would start them, but with a short day.
WORKERS = """
import os, signal, sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
import httpx, psycopg, tenacity
from datapipe import extract, load
from datapipe.errors import DatapipeError
from datapipe.extract import alpha_vantage, planner, universe
from datapipe.extract.day import FixedDay
from datapipe.extract.quota import Limits, Quota
from datapipe.asking import Ask
from datapipe.extraction import Extraction
from datapipe.pipeline import Pipeline
from datapipe.settings import Settings

url, database, key, per_second, per_day, day_seconds, symbols = sys.argv[1:]
limits = Limits(int(per_second), None, int(per_day))
length = timedelta(seconds=float(day_seconds))

class Short(Extraction):
    @contextmanager
    def _quota(self):
        with self.warehouse.connect(autocommit=True) as connection:
            yield Quota(connection, key, limits, run_id=self.run_id, day=day, leeway=length / 6)

class ShortDays(Pipeline):
    def _extraction(self, step, ask):
        run_id = step.run.run_id
        return Short(ask, settings, step.warehouse, step.connection, run_id, self._listener)

settings = Settings(api_key=key, api_url=url, database_url=database, requests_per_day=int(per_day),
                    symbols=tuple(symbols.split(",")))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for begins_at in sys.stdin:
    day = FixedDay(datetime.fromtimestamp(float(begins_at), UTC), length)
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    try:
        pipeline = ShortDays(settings)
        pipeline.extract(Ask(endpoints=("daily",)))
        pipeline.load()
    except DatapipeError:
        pass
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    os._exit(0)
"""


@dataclass(frozen=True)
class Simulation:
    """How much there is to ask, and how much may be asked."""

    symbols: int
    days: int
    per_day: int
    day_seconds: float
    per_second: int
    processes: int = 4
    seed: int = 7


@dataclass(frozen=True)
class Outcome:
    """What the API counted, and by day: what was asked, what kills lost, when all was there.

    ``complete_on`` has the day on which every symbol was answered, and for each whole week the one
    on which every symbol had the bar of its last session; ``best`` the same days as they could be.
    """

    counts: Mapping[str, int]
    kills: int
    asked: tuple[int, ...]
    lost: tuple[int, ...]
    complete_on: tuple[int, ...]
    best: tuple[int, ...]


def is_session(day: int) -> bool:
    return day % WEEK < SESSIONS


def run(simulation: Simulation, connection: psycopg.Connection, database_url: str) -> Outcome:
    """Let the days go by; the warehouse of ``connection`` is empty before."""
    length = simulation.day_seconds
    archive = _Bars(length)
    rules = Rules(simulation.per_second, None, simulation.per_day, day_seconds=length)
    api = MockApi(archive, rules)
    api.start()
    try:
        with _workers(simulation, api.url, database_url) as workers:
            # The API's days begin at whole multiples; the first of ours is a whole one.
            begins_at = archive.begins_at = (time.time() // length + 1) * length
            _fill_sessions(connection, simulation, begins_at)
            time.sleep(max(0.0, begins_at - time.time()))
            kills = _go_by(workers, simulation, begins_at)
    finally:
        api.close()
    days = range(simulation.days)
    asked = Counter(int((at - begins_at) // length) for at in archive.asked)
    lost = _lost(connection, begins_at, length)
    left = [simulation.per_day - lost.get(day, 0) for day in days]
    fridays = [day for day in days if day % WEEK == SESSIONS - 1 and day + 2 < simulation.days]
    return Outcome(
        counts=dict(api.counts),
        kills=kills,
        asked=tuple(asked.get(day, 0) for day in days),
        lost=tuple(lost.get(day, 0) for day in days),
        complete_on=tuple(
            _answered_by(connection, simulation, day, begins_at) for day in (None, *fridays)
        ),
        best=tuple(_best(left, since, simulation.symbols) for since in (0, *fridays)),
    )


def _best(left: Sequence[int], since: int, wanted: int) -> int:
    """The first day on which ``wanted`` requests fit into what was left of each day."""
    totals = accumulate(left[since:])
    return next((since + day for day, total in enumerate(totals) if total >= wanted), -1)


def _lost(connection: psycopg.Connection, begins_at: float, length: float) -> dict[int, int]:
    """Requests that were counted, and whose answers nobody kept, by day."""
    rows = connection.execute(
        "SELECT floor((extract(epoch FROM requested_at) - %s) / %s)::int, count(*) "
        "FROM meta.requests WHERE outcome NOT IN ('ok', 'not_sent') GROUP BY 1",
        [begins_at, length],
    )
    return dict(rows.fetchall())


def _answered_by(
    connection: psycopg.Connection, simulation: Simulation, day: int | None, begins_at: float
) -> int:
    """The day on which the last symbol got its first bar, or the bar of a session; -1: never."""
    row = connection.execute(
        "SELECT count(*), max(first) FROM (SELECT extract(epoch FROM min(known_from)) AS first "
        "FROM raw.daily_prices WHERE coalesce(session_date = %s, true) GROUP BY symbol) bars",
        [None if day is None else FIRST_DAY + timedelta(days=day)],
    ).fetchone()
    assert row is not None
    if row[0] < simulation.symbols:
        return -1
    return int((float(row[1]) - begins_at) // simulation.day_seconds)


def _go_by(workers: subprocess.Popen[str], simulation: Simulation, begins_at: float) -> int:
    chance = Random(simulation.seed)
    ends_at = begins_at + simulation.days * simulation.day_seconds
    running: list[int] = []
    kills = 0
    step = simulation.day_seconds / 20
    assert workers.stdin is not None
    assert workers.stdout is not None
    while time.time() < ends_at:
        running = [pid for pid in running if _signalled(pid, 0)]
        if len(running) < simulation.processes and chance.random() < 0.5:
            print(begins_at, file=workers.stdin, flush=True)
            running.append(int(workers.stdout.readline()))
        time.sleep(chance.uniform(0.5, 1.5) * step)
        if running and chance.random() < 0.1:
            kills += _signalled(chance.choice(running), signal.SIGKILL)
    for pid in running:
        _signalled(pid, signal.SIGKILL)
    return kills


def _signalled(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _workers(
    simulation: Simulation, url: str, database_url: str
) -> Iterator[subprocess.Popen[str]]:
    symbols = ",".join(f"S{n:02}" for n in range(simulation.symbols))
    limits = (simulation.per_second, simulation.per_day, simulation.day_seconds)
    command = [sys.executable, "-c", WORKERS, url, database_url, KEY, *map(str, limits), symbols]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as workers:
        try:
            assert workers.stdout is not None
            workers.stdout.readline()  # it is ready
            yield workers
        finally:
            workers.kill()


def _fill_sessions(
    connection: psycopg.Connection, simulation: Simulation, begins_at: float
) -> None:
    """Sessions as the user's own rows: one closes as its day begins."""
    connection.execute(
        "INSERT INTO meta.calendars VALUES ('XNYS', %s, '2100-01-01', now())",
        [metadata.version("exchange-calendars")],
    )
    for day in filter(is_session, range(-BEFORE, simulation.days)):
        closes_at = datetime.fromtimestamp(begins_at + day * simulation.day_seconds, UTC)
        connection.execute(
            "INSERT INTO meta.sessions VALUES ('XNYS', %s, %s, %s)",
            [FIRST_DAY + timedelta(days=day), closes_at - timedelta(seconds=0.1), closes_at],
        )


class _Bars:
    """Any symbol's bars of the sessions that have closed by now."""

    def __init__(self, length: float) -> None:
        self._length = length
        self.begins_at = 0.0
        self.asked: list[float] = []

    def functions(self) -> frozenset[str]:
        return frozenset({"TIME_SERIES_DAILY"})

    def answer(self, query: Mapping[str, str]) -> str:
        now = time.time()
        self.asked.append(now)
        today = int((now - self.begins_at) // self._length)
        bars = {
            (FIRST_DAY + timedelta(days=day)).isoformat(): {
                f"{n}. {name}": f"{day + 100}.{n}000"
                for n, name in enumerate(("open", "high", "low", "close", "volume"), start=1)
            }
            for day in range(today, -BEFORE - 1, -1)
            if is_session(day)
        }
        meta = {"2. Symbol": query["symbol"], "3. Last Refreshed": next(iter(bars))}
        return json.dumps({"Meta Data": meta, "Time Series (Daily)": bars})
