import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from datapipe import load
from datapipe.load.merge import Merged

MONDAY = datetime(2026, 5, 18, 22, 0, tzinfo=UTC)


def answer(
    connection: psycopg.Connection,
    closes: dict[str, str],
    fetched_at: datetime = MONDAY,
    symbol: str = "IBM",
    function: str = "TIME_SERIES_DAILY",
    body: str | None = None,
) -> int:
    series = {day: {"1. open": "1", "4. close": close} for day, close in closes.items()}
    row = connection.execute(
        "INSERT INTO raw.responses (symbol, function, params, fetched_at, seen_at, format, body, "
        "sha256, source, run_id) VALUES (%s, %s, '{}', %s, %s, 'json', %s, '', 'test', 1) "
        "RETURNING response_id",
        [
            symbol,
            function,
            fetched_at,
            fetched_at,
            body or json.dumps({"Time Series (Daily)": series}),
        ],
    ).fetchone()
    assert row is not None
    return int(row[0])


def versions(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT session_date::text, close, known_from, known_to FROM raw.daily_prices "
        "ORDER BY symbol, session_date, known_from"
    ).fetchall()


def test_loading_twice_changes_nothing(connection: psycopg.Connection) -> None:
    answer(connection, {"2026-05-15": "2", "2026-05-14": "1"})
    first = load.run(connection, run_id=1)
    before = connection.execute("SELECT xmin, * FROM raw.daily_prices ORDER BY 3").fetchall()
    second = load.run(connection, run_id=2)
    assert (first.documents, first.tables) == (1, {"daily_prices": Merged(new=2)})
    assert (second.documents, second.versions) == (0, 0)
    assert connection.execute("SELECT xmin, * FROM raw.daily_prices ORDER BY 3").fetchall() == (
        before
    )


def test_a_restatement_is_a_version_and_the_old_one_ends(connection: psycopg.Connection) -> None:
    answer(connection, {"2026-05-14": "1", "2026-05-15": "2"})
    later = MONDAY + timedelta(days=1)
    answer(connection, {"2026-05-15": "2.5", "2026-05-18": "3"}, later)
    loaded = load.run(connection, run_id=1)
    assert loaded.tables == {"daily_prices": Merged(new=3, restated=1)}
    assert versions(connection) == [
        ("2026-05-14", Decimal(1), MONDAY, None),
        ("2026-05-15", Decimal(2), MONDAY, later),
        ("2026-05-15", Decimal("2.5"), later, None),
        ("2026-05-18", Decimal(3), later, None),
    ]


def test_the_same_value_written_otherwise_is_no_restatement(connection: psycopg.Connection) -> None:
    answer(connection, {"2026-05-15": "218.2"})
    answer(connection, {"2026-05-15": "218.2000"}, MONDAY + timedelta(days=1))
    assert load.run(connection, run_id=1).tables == {"daily_prices": Merged(new=1)}


def test_a_value_that_went_away_and_came_back_is_three_versions(
    connection: psycopg.Connection,
) -> None:
    for days, close in enumerate(("1", "2", "1")):
        answer(connection, {"2026-05-15": close}, MONDAY + timedelta(days=days))
    load.run(connection, run_id=1)
    assert [row[1] for row in versions(connection)] == [1, 2, 1]
    assert [row[3] is None for row in versions(connection)] == [False, False, True]


def test_an_older_answer_that_is_loaded_late_restates_nothing(
    connection: psycopg.Connection,
) -> None:
    answer(connection, {"2026-05-15": "2"})
    load.run(connection, run_id=1)
    answer(connection, {"2026-05-14": "1", "2026-05-15": "1"}, MONDAY - timedelta(days=1))
    load.run(connection, run_id=2)
    current = [row[:2] for row in versions(connection) if row[3] is None]
    assert current == [("2026-05-14", Decimal(1)), ("2026-05-15", Decimal(2))]


def test_a_row_that_is_no_longer_told_of_stays_as_it_was(connection: psycopg.Connection) -> None:
    answer(connection, {"2026-05-14": "1", "2026-05-15": "2"})
    answer(connection, {"2026-05-15": "2"}, MONDAY + timedelta(days=1))
    load.run(connection, run_id=1)
    assert len(versions(connection)) == 2


def test_every_row_knows_its_answer(connection: psycopg.Connection) -> None:
    response_id = answer(connection, {"2026-05-15": "2"})
    load.run(connection, run_id=1)
    rows = connection.execute("SELECT response_id, source FROM raw.daily_prices").fetchall()
    assert rows == [(response_id, "test")]


def test_an_answer_that_cannot_be_read_is_told_and_stays_and_the_others_are_loaded(
    connection: psycopg.Connection,
) -> None:
    answer(connection, {"2026-05-15": "2"}, symbol="GOOD")
    answer(connection, {"2026-05-15": "two"}, symbol="BAD")
    loaded = load.run(connection, run_id=1)
    assert [str(error) for error in loaded.unreadable] == [
        "The answer to TIME_SERIES_DAILY BAD cannot be read: close: 'two' is not a number."
    ]
    assert loaded.error() is not None
    assert len(versions(connection)) == 1
    row = connection.execute("SELECT symbol FROM raw.responses WHERE loaded_at IS NULL").fetchone()
    assert row == ("BAD",)


def test_a_function_without_a_typed_table_waits_for_one(connection: psycopg.Connection) -> None:
    answer(connection, {}, function="HISTORICAL_OPTIONS", body="{}")
    loaded = load.run(connection, run_id=1)
    assert (loaded.documents, loaded.error()) == (0, None)


@pytest.mark.parametrize("symbol", ["NA", "NAN", "TRUE", "INF", "E", "NULL"])
def test_a_ticker_that_looks_like_something_else_is_a_ticker(
    symbol: str, connection: psycopg.Connection
) -> None:
    answer(connection, {"2026-05-15": "2"}, symbol=symbol)
    load.run(connection, run_id=1)
    assert connection.execute("SELECT symbol FROM raw.daily_prices").fetchall() == [(symbol,)]


def test_many_answers_are_loaded_in_chunks(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load.responses, "_FETCH_BYTES", 1)
    monkeypatch.setattr(load.responses, "_MERGE_BYTES", 2)
    for n in range(4):
        answer(connection, {"2026-05-15": str(n)}, symbol=f"S{n}")
    told: list[tuple[int, int]] = []
    loaded = load.run(
        connection, run_id=1, on_progress=lambda done, total: told.append((done, total))
    )
    assert loaded.tables == {"daily_prices": Merged(new=4)}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_whole_bars_that_are_there_are_left_alone_and_those_that_differ_are_not(
    connection: psycopg.Connection,
) -> None:
    def told(*rows: str, hours: int) -> Merged:
        at = MONDAY + timedelta(hours=hours)
        answer(connection, {}, at, body="timestamp,open,high,low,close,volume\n" + "\n".join(rows))
        connection.execute("UPDATE raw.responses SET format = 'csv'")
        return load.run(connection, run_id=1).tables.get("daily_prices", Merged())

    first, second = "2026-05-14,1.5,2,1,1.5,10", "2026-05-15,1,2,1,2.0,10"
    assert told(second, first, hours=0) == Merged(new=2)
    assert told(second, first, hours=1) == Merged()
    assert told(second.replace("2.0", "2.00"), first, hours=2) == Merged(), "the same number"
    assert told(second.replace("2.0", "3"), first, hours=3) == Merged(restated=1)
    assert told("2026-05-18,1,2,1,,10", second, first, hours=3) == Merged(), "no close: unreadable"
    assert told("2026-05-18,,2,1,4,", second, first, hours=4) == Merged(new=1, restated=1)
    assert told("2026-05-18,,2,1,4,", second, first, hours=5) == Merged(), "with blanks in it"
    assert [row[1] for row in versions(connection) if row[3] is None] == [
        Decimal(close) for close in ("1.5", "2.0", "4")
    ]
