"""The project that datapipe ships, on rows put in by hand, against figures worked out by hand."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from datapipe import transform
from datapipe.errors import TestsFailedError
from datapipe.paths import shipped
from datapipe.transform import Options, Transformed
from datapipe.warehouse import Warehouse

KNOWN = datetime(2024, 1, 1, tzinfo=UTC)
Build = Callable[..., Transformed]


@pytest.fixture(autouse=True)
def _a_server_far_from_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shipped gives the same whatever zone the server is in."""
    monkeypatch.setenv("PGTZ", "Pacific/Auckland")


@pytest.fixture
def build(warehouse: Warehouse, cache_dir: Path) -> Build:
    asked = Options(project_dir=shipped("sql_models"), cache_dir=cache_dir)
    return lambda **variables: transform.run(
        warehouse, replace(asked, variables=variables), run_id=1
    )


@pytest.fixture
def daily(connection: psycopg.Connection) -> Callable[..., None]:
    """Puts daily bars in, each (symbol, date, close) or with high, low, volume after it."""

    def put(bars: Iterable[tuple[Any, ...]], known_from: Any = KNOWN, known_to: Any = None) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into raw.daily_prices (symbol, session_date, close, open, high, low, "
                "volume, known_from, known_to, source) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'test')",
                [
                    (
                        symbol,
                        day,
                        close,
                        close,
                        *(rest or (close, close, 100)),
                        known_from,
                        known_to,
                    )
                    for symbol, day, close, *rest in bars
                ],
            )

    return put


def weekdays(first: date, count: int) -> list[date]:
    days = (first + timedelta(days=number) for number in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


def test_empty_raw_tables_give_empty_marts(build: Build, rows: Any) -> None:
    transformed = build()
    assert {model.name: model.rows for model in transformed.models} == {
        "stg_daily_prices": None,
        "stg_intraday_prices": None,
        "stg_company_overview": None,
        "dim_company": 0,
        "fact_daily_trading": 0,
        "fact_intraday_trading": 0,
        "fact_market_metrics": 0,
    }
    assert {(model.schema, model.materialized) for model in transformed.models} == {
        ("staging", "view"),
        ("marts", "table"),
    }
    assert len(transformed.tests) >= 25
    assert {test.status for test in transformed.tests} == {"pass"}
    assert rows("select count(*) from meta.models") == [(7,)]


def test_every_model_and_every_column_is_described(build: Build, rows: Any) -> None:
    build()
    described = {
        model["name"]: [column["name"] for column in model["columns"] if column["description"]]
        for folder in ("staging", "marts")
        for model in yaml.safe_load((shipped("sql_models") / folder / "schema.yml").read_text())[
            "models"
        ]
        if model["description"]
    }
    there: dict[str, list[str]] = {}
    for table, column, comment in rows(
        "select c.relname, a.attname, col_description(c.oid, a.attnum) from pg_class c "
        "join pg_attribute a on a.attrelid = c.oid and attnum > 0 "
        "where relnamespace in ('staging'::regnamespace, 'marts'::regnamespace) "
        "and relkind in ('r', 'v') order by c.relname, attnum"
    ):
        there.setdefault(table, []).append(column)
        assert comment, (table, column)
    assert described == there


def test_the_sources_are_described_as_they_are(rows: Any) -> None:
    file = yaml.safe_load((shipped("sql_models") / "staging" / "sources.yml").read_text())
    for table in file["sources"][0]["tables"]:
        columns = rows(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0",
            f"raw.{table['name']}",
        )
        assert {column["name"] for column in table["columns"]} <= {name for (name,) in columns}


def test_previous_close_is_that_of_the_session_before_across_a_gap(
    build: Build, daily: Any, rows: Any
) -> None:
    daily(
        [
            ("A", date(2024, 1, 5), Decimal("100"), Decimal("101"), Decimal("99"), 10),
            ("A", date(2024, 3, 1), Decimal("101.5"), Decimal("102"), Decimal("100"), None),
            ("B", date(2024, 2, 1), Decimal("7"), Decimal("7"), Decimal("7"), 3),
            ("Z", date(2024, 1, 1), Decimal("0"), Decimal("0"), Decimal("0"), 3),
            ("Z", date(2024, 1, 2), Decimal("5"), Decimal("5"), Decimal("5"), 3),
        ]
    )
    transformed = build()
    facts = rows(
        "select symbol, session_date, previous_close, change, change_percent, traded_value, source "
        "from marts.fact_daily_trading order by 1, 2"
    )
    assert facts == [
        ("A", date(2024, 1, 5), None, None, None, 1000, "test"),
        ("A", date(2024, 3, 1), 100, Decimal("1.5"), Decimal("1.5"), None, "test"),
        ("B", date(2024, 2, 1), None, None, None, 21, "test"),
        ("Z", date(2024, 1, 1), None, None, None, 0, "test"),
        ("Z", date(2024, 1, 2), 0, 5, None, 15, "test"),
    ]
    warned = {test.name: test.failures for test in transformed.tests if test.status == "warn"}
    assert warned == {"prices_are_positive": 1}


def test_averages_are_of_exactly_so_many_sessions_or_missing(
    build: Build, daily: Any, rows: Any
) -> None:
    days = weekdays(date(2022, 1, 3), 201)
    daily(
        ("A", day, Decimal(number), Decimal(number), Decimal(number), number * 10)
        for number, day in enumerate(days, 1)
    )
    daily(("B", day, Decimal(5)) for day in days[:19])
    build()
    found = {
        day: figures
        for day, *figures in rows(
            "select session_date, sma_20, sma_50, sma_200, volume_average_20 "
            "from marts.fact_market_metrics where symbol = 'A'"
        )
    }
    assert found[days[18]] == [None, None, None, None]
    assert found[days[19]] == [Decimal("10.5"), None, None, 105]  # (1 + 20) / 2
    assert found[days[20]] == [Decimal("11.5"), None, None, 115]  # (2 + 21) / 2
    assert found[days[48]][1] is None
    assert found[days[49]][1] == Decimal("25.5")
    assert found[days[198]][2] is None
    assert found[days[199]][2] == Decimal("100.5")
    assert found[days[200]] == [Decimal("191.5"), Decimal("176.5"), Decimal("101.5"), 1915]
    assert rows(
        "select count(sma_20), count(*) from marts.fact_market_metrics where symbol = 'B'"
    ) == [(0, 19)]


def test_a_year_is_the_52_weeks_that_end_with_the_session(
    build: Build, daily: Any, rows: Any
) -> None:
    last = date(2023, 6, 30)
    bars = [
        ("A", last - timedelta(days=364), Decimal(50), Decimal(99), Decimal(1), 1),
        ("A", last - timedelta(days=363), Decimal(50), Decimal(80), Decimal(20), 1),
        ("A", last - timedelta(days=200), Decimal(50), Decimal(60), Decimal(30), 1),
        ("A", last, Decimal(50), Decimal(55), Decimal(45), 1),
        ("A", last + timedelta(days=1), Decimal(50), Decimal(1000), Decimal("0.5"), 1),
        ("B", last, Decimal(7), Decimal(8), Decimal(6), 1),
    ]
    daily(bars)
    build()
    found = rows(
        "select symbol, session_date, high_52_week, low_52_week from marts.fact_market_metrics "
        "order by 1, 2"
    )
    assert [tuple(row[2:]) for row in found] == [
        (99, 1),
        (99, 1),
        (99, 1),
        (80, 20),
        (1000, Decimal("0.5")),
        (8, 6),
    ]


def test_a_year_over_every_border_of_blocks_is_right(build: Build, daily: Any, rows: Any) -> None:
    days = weekdays(date(1999, 3, 1), 900)
    prices = [Decimal(100 + (number * 7919) % 211) for number in range(len(days))]
    kept = [pair for number, pair in enumerate(zip(days, prices, strict=True)) if number % 7]
    daily(("A", day, price) for day, price in kept)
    build()
    expected = []
    for day, _ in kept:
        year = [price for other, price in kept if day - timedelta(days=364) < other <= day]
        expected.append((day, max(year), min(year)))
    assert expected == rows(
        "select session_date, high_52_week, low_52_week from marts.fact_market_metrics order by 1"
    )


def test_volatility_is_of_twenty_log_returns(build: Build, daily: Any, rows: Any) -> None:
    days = weekdays(date(2022, 1, 3), 22)
    closes = [Decimal(100 + (number * 37) % 13) for number in range(22)]
    daily(("A", day, close) for day, close in zip(days, closes, strict=True))
    build()
    found = [
        value
        for (value,) in rows(
            "select volatility_20 from marts.fact_market_metrics order by session_date"
        )
    ]
    returns = [math.log(after / before) for before, after in pairwise(closes)]
    assert found[:20] == [None] * 20
    assert found[20] == pytest.approx(statistics.stdev(returns[:20]) * math.sqrt(252), rel=1e-12)
    assert found[21] == pytest.approx(statistics.stdev(returns[1:]) * math.sqrt(252), rel=1e-12)


def test_a_return_needs_a_close_near_the_day(build: Build, daily: Any, rows: Any) -> None:
    daily(
        [
            ("A", date(2023, 3, 31), Decimal(80)),
            ("A", date(2023, 5, 30), Decimal(90)),
            ("A", date(2023, 6, 30), Decimal(99)),  # the same day of May
            ("A", date(2023, 7, 5), Decimal(110)),  # 30 May is six days before 5 June
            ("A", date(2023, 7, 6), Decimal(120)),  # and seven before the 6th
            ("A", date(2024, 3, 31), Decimal(160)),  # the same day of 2023
        ]
    )
    build()
    found = rows(
        "select return_1_month, return_1_year from marts.fact_market_metrics order by session_date"
    )
    rounded = [tuple(value and round(value, 6) for value in row) for row in found]
    assert rounded == [
        (None, None),
        (None, None),
        (10, None),
        (Decimal("22.222222"), None),
        (None, None),
        (None, 100),
    ]


def test_bars_named_by_their_end_are_put_back_and_sessions_are_new_yorks(
    build: Build, connection: psycopg.Connection, rows: Any
) -> None:
    bars = [
        # In winter New York is five hours behind UTC, from 10 March 2024 on four.
        ("5min", "2024-03-08 14:30+00", 100, "start"),
        ("5min", "2024-03-08 14:40+00", 101, "end"),  # 09:35 there
        ("5min", "2024-03-08 14:45+00", 102, "end"),
        ("5min", "2024-03-08 21:00+00", 103, "start"),  # 16:00 there
        ("5min", "2024-03-09 00:55+00", 104, "start"),  # 19:55 there, the evening before
        ("5min", "2024-03-11 13:25+00", 110, "start"),  # 09:25 there
        ("5min", "2024-03-11 13:30+00", 121, "start"),
        ("60min", "2024-03-11 20:00+00", 90, "end"),  # 15:00 there
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into raw.intraday_prices (symbol, bar_interval, bar_at, close, bar_label, "
            "known_from, source) values ('A', %s, %s, %s, %s, '2024-04-01', 'test')",
            bars,
        )
        # The first bar once more, as the older answers named it, and known before.
        cursor.execute(
            "insert into raw.intraday_prices (symbol, bar_interval, bar_at, close, bar_label, "
            "known_from, source) "
            "values ('A', '5min', '2024-03-08 14:35+00', 99, 'end', '2024-03-09', 'test')"
        )
    build()
    found = rows(
        "select bar_interval, to_char(bar_start at time zone 'America/New_York', 'DD HH24:MI'), "
        "session_date - date '2024-03-01' + 1, close, is_regular_hours, round(change_percent, 4) "
        "from marts.fact_intraday_trading order by bar_interval, bar_start"
    )
    assert found == [
        ("5min", "08 09:30", 8, 100, True, None),
        ("5min", "08 09:35", 8, 101, True, 1),
        ("5min", "08 09:40", 8, 102, True, Decimal("0.9901")),
        ("5min", "08 16:00", 8, 103, False, Decimal("0.9804")),
        ("5min", "08 19:55", 8, 104, False, Decimal("0.9709")),
        ("5min", "11 09:25", 11, 110, False, None),
        ("5min", "11 09:30", 11, 121, True, 10),
        ("60min", "11 15:00", 11, 90, True, None),
    ]
    assert rows("select symbol, name, first_session_date from marts.dim_company") == [
        ("A", "A", None)
    ]


def test_a_company_is_known_by_prices_or_by_its_overview(
    build: Build, daily: Any, connection: psycopg.Connection, rows: Any
) -> None:
    daily([("A", date(2024, 1, 2), Decimal(1)), ("A", date(2024, 1, 5), Decimal(2))])
    connection.execute(
        "insert into raw.company_overview (symbol, name, currency, known_from, known_to, source) "
        "values ('A', 'Old Name', 'USD', '2023-01-01', '2024-01-01', 'test'), "
        "('A', 'Alpha', 'USD', '2024-01-01', null, 'test'), "
        "('NAN', null, null, '2024-01-01', null, 'test')"
    )
    build()
    found = rows(
        "select symbol, name, currency, first_session_date, last_session_date "
        "from marts.dim_company order by symbol"
    )
    assert found == [
        ("A", "Alpha", "USD", date(2024, 1, 2), date(2024, 1, 5)),
        ("NAN", "NAN", None, None, None),
    ]


def test_as_of_gives_what_was_known_then_in_schemas_of_its_own(
    build: Build, daily: Any, rows: Any
) -> None:
    day, restated = date(2024, 1, 2), datetime(2024, 2, 1, 12, tzinfo=UTC)
    daily([("A", day, Decimal(10))], KNOWN, restated)
    daily([("A", day, Decimal(11))], restated)
    daily([("A", date(2024, 2, 5), Decimal(12))], datetime(2024, 2, 6, tzinfo=UTC))
    build()
    written = rows("select * from meta.models order by name")

    def then(moment: str) -> Any:
        build(as_of=moment)
        return rows("select close from marts_as_of.fact_daily_trading order by session_date")

    assert then("2024-02-01 11:59:59") == [(10,)]  # without a zone it is UTC
    assert then("2024-02-01T13:00:00+01:00") == [(11,)]
    assert then("2023-12-31") == []
    assert rows("select close from staging_as_of.stg_daily_prices") == []
    assert rows("select close from marts.fact_daily_trading order by session_date") == [
        (11,),
        (12,),
    ]
    assert rows("select * from meta.models order by name") == written


def test_versions_that_overlap_are_found(build: Build, daily: Any) -> None:
    day = date(2024, 1, 2)
    daily([("A", day, Decimal(10))], KNOWN, KNOWN + timedelta(days=10))
    daily([("A", day, Decimal(11))], KNOWN + timedelta(days=5))
    with pytest.raises(TestsFailedError) as caught:
        build()
    assert caught.value.failed == ("one_version_is_known_at_a_time",)


def test_a_session_of_the_future_is_found(build: Build, daily: Any) -> None:
    daily([("A", date(2999, 1, 2), Decimal(10))])
    with pytest.raises(TestsFailedError) as caught:
        build()
    assert caught.value.failed == ("no_session_comes_from_the_future",)
