"""How long loading takes beside a bare COPY and merge: python tests/benchmarks/load.py

Uses the server of TEST_SERVER_URL, or one of datapipe's own in a temporary folder, and a database
that is dropped at the end. What is compared takes turns in one run. Ends with status 1 where a
target is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from random import Random
from statistics import median

import psycopg
from database import new_warehouse

from datapipe import load

NOW = datetime(2026, 5, 18, 22, 0, tzinfo=UTC)
LAST = date(2026, 5, 15)
FULL_AT_MOST_TIMES_BARE, MEMORY_AT_MOST_MB = 2.0, 150
COMPACT_AT_MOST_TIMES_BARE = 1.5
NOTHING_NEW_AT_MOST_SECONDS = 0.3

_MERGE = """
INSERT INTO raw.daily_prices (symbol, session_date, open, high, low, close, volume,
                              known_from, source, response_id)
SELECT i.* FROM bare i LEFT JOIN raw.daily_prices p
    ON p.symbol = i.symbol AND p.session_date = i.session_date AND p.known_to IS NULL
    AND p.session_date BETWEEN %(first)s AND %(last)s
WHERE p.symbol IS NULL
   OR (p.open, p.high, p.low, p.close, p.volume)
      IS DISTINCT FROM (i.open, i.high, i.low, i.close, i.volume)
"""

Bars = list[tuple[str, str, str, str, str, str]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with new_warehouse() as warehouse, warehouse.connect(autocommit=True) as connection:
        met = [full(connection, rounds), *compact(connection, rounds)]
    return 0 if all(met) else 1


def full(connection: psycopg.Connection, rounds: int) -> bool:
    """100 full histories of 5,000 sessions into an empty table."""
    ours, bare = [], []
    peak = 0.0
    for n in range(rounds):
        store(connection, 100, 5000, NOW)
        ours.append(seconds(lambda: load.run(connection, run_id=1)))
        peak = peak or memory_mb()  # before the yardstick takes some of its own
        check(connection, 500_000)
        empty(connection)
        text = [copy_text(f"S{i:03}", bars(i, 5000), n) for i in range(100)]
        bare.append(seconds(partial(bare_merge, connection, text, days=5000)))
        del text
        check(connection, 500_000)
        empty(connection)
        connection.execute("TRUNCATE raw.responses")
    met = peak <= MEMORY_AT_MOST_MB
    print(f"peak memory: {peak:.0f} MB (at most {MEMORY_AT_MOST_MB}){'' if met else ': MISSED'}")
    return told("500,000 prices of 100 full answers", ours, bare, FULL_AT_MOST_TIMES_BARE) and met


def compact(connection: psycopg.Connection, rounds: int) -> Iterator[bool]:
    """500 answers of 100 sessions, the last one new, into 2.5 million rows; then the same again."""
    history = [copy_text(f"S{i:03}", bars(i, 5100)[:5000], 0) for i in range(500)]
    bare_merge(connection, history, days=6000)
    del history
    connection.execute("VACUUM ANALYZE raw.daily_prices")
    ours, bare, idle, again = [], [], [], []
    for n in range(1, rounds + 1):
        upto = 5000 + 2 * n - 1
        store(connection, 500, 100, NOW + timedelta(days=2 * n), upto=upto)
        ours.append(seconds(lambda: load.run(connection, run_id=1)))
        check(connection, 500 * upto)
        idle.append(seconds(lambda: load.run(connection, run_id=1)))
        store(connection, 500, 100, NOW + timedelta(days=2 * n, hours=1), upto=upto)
        again.append(seconds(lambda: load.run(connection, run_id=1)))
        text = [copy_text(f"S{i:03}", bars(i, 5100)[upto - 99 : upto + 1], n) for i in range(500)]
        bare.append(seconds(partial(bare_merge, connection, text, days=200)))
        check(connection, 500 * (upto + 1))
    yield told("500 compact answers, a session new", ours, bare, COMPACT_AT_MOST_TIMES_BARE)
    yield within("the same again, nothing new", idle)
    print(f"the same rows in answers that are new: {median(again):.2f} s")


def bars(seed: int, sessions: int) -> Bars:
    """Bars of every day, oldest first, the same for a seed at any time."""
    random = Random(seed)
    first = LAST - timedelta(days=5100)
    found = []
    for n in range(sessions):
        low = random.uniform(10, 400)
        prices = (f"{low * factor:.4f}" for factor in (1.01, 1.03, 1, 1.02))
        found.append(
            ((first + timedelta(days=n)).isoformat(), *prices, str(random.randint(10**5, 10**8)))
        )
    return found  # type: ignore[return-value]


def store(
    connection: psycopg.Connection, symbols: int, sessions: int, at: datetime, upto: int = 5000
) -> None:
    names = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    for n in range(symbols):
        told_of = bars(n, upto)[-sessions:]
        series = {day: dict(zip(names, rest, strict=True)) for day, *rest in reversed(told_of)}
        body = {
            "Meta Data": {"1. Information": "Daily", "3. Last Refreshed": f"{at}"},
            "Time Series (Daily)": series,
        }
        connection.execute(
            "INSERT INTO raw.responses (symbol, function, params, fetched_at, seen_at, format, "
            "body, sha256, source, run_id) "
            "VALUES (%s, 'TIME_SERIES_DAILY', '{}', %s, %s, 'json', %s, '', 'bench', 1)",
            [f"S{n:03}", at, at, json.dumps(body, indent=4)],
        )


def copy_text(symbol: str, rows: Bars, n: int) -> str:
    version = f"{NOW + timedelta(days=2 * n, hours=2)}\tbench\t1"
    return "".join("\t".join((symbol, *row, version)) + "\n" for row in rows)


def bare_merge(connection: psycopg.Connection, text: list[str], days: int) -> None:
    """The yardstick: blocks of COPY into a temporary table, and one merge cut on the key."""
    with connection.transaction():
        connection.execute(
            "CREATE TEMP TABLE bare ON COMMIT DROP AS SELECT symbol, session_date, open, high, "
            "low, close, volume, known_from, source, response_id FROM raw.daily_prices LIMIT 0"
        )
        with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
            for block in text:
                copy.write(block)
        connection.execute("ANALYZE bare")
        connection.execute("SET LOCAL enable_nestloop = off")
        first = LAST - timedelta(days=days)
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(_MERGE, {"first": first, "last": LAST})


def told(what: str, ours: list[float], bare: list[float], at_most: float) -> bool:
    times = median(ours) / median(bare)
    met = times <= at_most
    print(
        f"{what}: {median(ours):.2f} s, bare {median(bare):.2f} s, {times:.2f} times "
        f"(at most {at_most}){'' if met else ': MISSED'}"
    )
    return met


def within(what: str, taken: list[float]) -> bool:
    met = median(taken) < NOTHING_NEW_AT_MOST_SECONDS
    limit = f"under {NOTHING_NEW_AT_MOST_SECONDS} s"
    print(f"{what}: {median(taken):.3f} s ({limit}){'' if met else ': MISSED'}")
    return met


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def memory_mb() -> float:
    """The most that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check(connection: psycopg.Connection, rows: int) -> None:
    found = connection.execute("SELECT count(*) FROM raw.daily_prices").fetchone()
    if found != (rows,):
        sys.exit(f"{found} rows, and {rows} were expected")


def empty(connection: psycopg.Connection) -> None:
    connection.execute("TRUNCATE raw.daily_prices")


if __name__ == "__main__":
    sys.exit(main())
