import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe import load
from datapipe.errors import LoadError
from datapipe.load import restatements
from datapipe.load.merge import Merged
from datapipe.load.tables import TABLES
from datapipe.warehouse import Warehouse

MONDAY = datetime(2025, 5, 19, 22, 0, tzinfo=UTC)


def answer(
    connection: psycopg.Connection,
    closes: dict[str, str],
    days: int = 0,
    symbol: str = "IBM",
    function: str = "TIME_SERIES_DAILY",
) -> None:
    series = {day: {"1. open": "1", "4. close": close} for day, close in closes.items()}
    at = MONDAY + timedelta(days=days)
    connection.execute(
        "INSERT INTO raw.responses (symbol, function, params, fetched_at, seen_at, format, body, "
        "sha256, source, run_id) VALUES (%s, %s, '{}', %s, %s, 'json', %s, '', 'test', 1)",
        [symbol, function, at, at, json.dumps({"Time Series": series})],
    )


def tables(connection: psycopg.Connection, columns: str = "*") -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: connection.execute(
            f"SELECT {columns} FROM raw.{table.name} ORDER BY {', '.join(table.key)}, known_from"
        ).fetchall()
        for table in TABLES
    }


@pytest.fixture
def history(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Answers with restatements and a retired week, then a user's file that corrects a price."""
    answer(connection, {"2025-05-15": "1", "2025-05-16": "2"})
    answer(connection, {"2025-05-16": "2.5", "2025-05-19": "3"}, days=1)
    answer(connection, {"2025-05-16": "9"}, symbol="NAN")
    weekly = "TIME_SERIES_WEEKLY"
    answer(connection, {"2025-05-15": "1", "2025-05-09": "2"}, function=weekly)
    answer(connection, {"2025-05-16": "1", "2025-05-09": "2"}, days=1, function=weekly)
    load.run(connection, run_id=1)
    path = tmp_path / "prices.csv"
    path.write_text("symbol,date,close\nIBM,2025-05-16,2.25\nOWN,2025-05-16,7\n")
    load.run(connection, [path], run_id=2)
    bars = tmp_path / "bars.csv"
    bars.write_text("symbol,timestamp,close\nOWN,2025-05-16 09:30:00,7\n")
    load.run(connection, [bars], run_id=2)
    later = datetime.now(UTC) - MONDAY + timedelta(days=1)
    answer(connection, {"2025-05-16": "2.5"}, days=later.days + 1)
    load.run(connection, run_id=3)


def test_a_rebuild_gives_the_same_tables_and_touches_nothing_that_is_right(
    history: None, connection: psycopg.Connection
) -> None:
    before = tables(connection, "xmin::text, *")
    rebuilt = load.rebuild(connection)
    assert (rebuilt.documents, rebuilt.tables, rebuilt.error()) == (6, {}, None)
    assert tables(connection, "xmin::text, *") == before


def test_a_rebuild_mends_what_was_lost_or_altered(
    history: None, connection: psycopg.Connection
) -> None:
    before = tables(connection)
    assert [len(before[name]) for name in ("daily_prices", "weekly_prices")] == [8, 3]
    connection.execute("DELETE FROM raw.weekly_prices")
    connection.execute("DELETE FROM raw.daily_prices WHERE response_id IS NOT NULL")
    load.rebuild(connection)
    assert tables(connection) == before
    connection.execute(
        "UPDATE raw.daily_prices SET close = 0, known_to = NULL WHERE symbol = 'NAN'"
    )
    assert load.rebuild(connection).tables == {"daily_prices": Merged(new=1, retired=1)}
    assert tables(connection) == before


def test_rows_of_users_files_outlive_a_rebuild(
    history: None, connection: psycopg.Connection
) -> None:
    load.rebuild(connection)
    rows = connection.execute(
        "SELECT symbol, close, known_to IS NULL FROM raw.daily_prices WHERE source = 'csv' "
        "ORDER BY symbol"
    ).fetchall()
    assert [(symbol, float(close), current) for symbol, close, current in rows] == [
        ("IBM", 2.25, False),
        ("OWN", 7.0, True),
    ]
    assert connection.execute("SELECT count(*) FROM raw.intraday_prices").fetchone() == (1,)


def test_rows_of_an_answer_that_somebody_deleted_outlive_a_rebuild(
    history: None, connection: psycopg.Connection
) -> None:
    before = tables(connection)
    connection.execute("DELETE FROM raw.responses WHERE symbol = 'NAN'")
    load.rebuild(connection)
    assert tables(connection) == before


def test_a_rebuild_changes_nothing_where_an_answer_can_no_longer_be_read(
    history: None, connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE raw.responses SET body = '{\"x\": 1}' WHERE symbol = 'NAN'")
    connection.execute("DELETE FROM raw.weekly_prices")
    with pytest.raises(LoadError, match="nothing was changed"):
        load.rebuild(connection)
    assert connection.execute("SELECT count(*) FROM raw.weekly_prices").fetchone() == (0,)


def test_a_rebuild_loads_what_was_not_loaded(connection: psycopg.Connection) -> None:
    answer(connection, {"2025-05-16": "9"})
    told: list[tuple[int, int]] = []
    rebuilt = load.rebuild(connection, on_progress=lambda done, total: told.append((done, total)))
    assert rebuilt.tables == {"daily_prices": Merged(new=1)}
    assert told == [(1, 1)]
    assert load.run(connection, run_id=1).documents == 0


def test_restatements_tell_what_a_value_was_and_is_and_since_when(
    history: None, warehouse: Warehouse
) -> None:
    found = restatements.run(warehouse, ["IBM"])
    daily = [each for each in found if each.table == "daily_prices" and each.column == "close"]
    assert [(each.date, each.old_value, each.new_value) for each in daily] == [
        ("2025-05-16", "2", "2.5"),
        ("2025-05-16", "2.5", "2.25"),
        ("2025-05-16", "2.25", "2.5"),
    ]
    assert daily[0].since == MONDAY + timedelta(days=1)
    assert {each.table for each in found} == {"daily_prices"}, "a retired row is no restatement"


def test_restatements_are_narrowed_by_symbol_and_time(history: None, warehouse: Warehouse) -> None:
    assert restatements.run(warehouse, ["NAN"]) == ()
    later = restatements.run(warehouse, (), date(2025, 5, 21))
    assert [each.new_value for each in later if each.column == "close"] == ["2.25", "2.5"]
