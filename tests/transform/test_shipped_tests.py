"""The generic tests that the shipped project brings, in a project of one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import TestsFailedError
from datapipe.paths import shipped
from datapipe.transform import TestResult, Transformed
from datapipe.warehouse import sessions

Run = Callable[..., Transformed]

FILES = {
    "models/prices.sql": """
        select * from (values
            ('A', date '2024-01-02', 10.0, 1),
            ('A', date '2024-01-03', 11.0, null),
            ('A', date '2024-01-08', 12.5, 3),
            ('B.LON', date '2024-01-02', -1.0, 4),
            ('B.LON', date '2024-01-05', 0.0, 5)
        ) as p (symbol, session_date, close, volume)
    """,
    "models/schema.yml": """
        models:
          - name: prices
            data_tests:
              - row_count: {name: rows_hold, arguments: {min: 5, max: 5}}
              - row_count: {name: rows_few, arguments: {min: 6}}
              - row_count: {name: rows_by_symbol, arguments: {max: 2, group_by: symbol}}
              - row_count: {name: rows_by_two, arguments: {max: 1, group_by: [symbol, close]}}
              - expression_is_true: {name: true_or_null, arguments: {expression: volume > 0}}
              - expression_is_true: {name: untrue, arguments: {expression: close > 0 or volume > 4}}
              - sessions_complete: {name: gaps}
              - sessions_complete: {name: tolerated, arguments: {tolerance: 2}}
              - sessions_complete: {name: one_exchange, arguments: {exchange: "'XNYS'"}}
              - sessions_complete: {name: only_b, config: {where: symbol = 'B.LON'}}
            columns:
              - name: close
                data_tests:
                  - value_range: {name: within, arguments: {min: -1, max: 12.5}}
                  - value_range: {name: outside, arguments: {min: 0, max: 12}}
                  - value_range: {name: strictly, arguments: {min: -1, inclusive: false}}
              - name: volume
                data_tests:
                  - value_range: {name: null_is_within, arguments: {min: 1, max: 1 + 4}}
                  - expression_is_true: {name: of_a_column, arguments: {expression: "<> 3"}}
        sources:
          - {name: meta, tables: [{name: sessions}]}
    """,
    **{
        f"{folder}/{path.name}": path.read_text(encoding="utf-8")
        for folder in ("macros", "tests/generic")
        for path in (shipped("sql_models") / folder).glob("*.sql")
        if path.stem in {"value_range", "row_count", "expression_is_true", "sessions_complete",
                         "exchange_of"}
    },
}  # fmt: skip


@pytest.fixture
def results(run: Run, connection: psycopg.Connection) -> dict[str, TestResult]:
    connection.execute(
        """
        INSERT INTO meta.sessions SELECT exchange, day, day, day
        FROM (VALUES ('XNYS'), ('XLON')) AS e (exchange),
            generate_series(timestamp '2024-01-01', '2024-01-12', '1 day') AS day
        WHERE extract(isodow FROM day) < 6 AND (exchange, day) <> ('XLON', date '2024-01-04')
        """
    )
    with pytest.raises(TestsFailedError) as caught:
        run(FILES)
    return {each.name: each for each in caught.value.results if isinstance(each, TestResult)}


def test_the_shipped_tests_find_what_they_say(results: dict[str, TestResult]) -> None:
    found = {name: result.rows for name, result in results.items() if result.status == "fail"}
    assert {name for name, result in results.items() if result.status == "pass"} == {
        "rows_hold",
        "rows_by_two",
        "true_or_null",
        "tolerated",
        "within",
        "null_is_within",
    }
    a, b = ("A", "2024-01-08", "12.5", "3"), ("B.LON", "2024-01-02", "-1.0", "4")
    assert found == {
        "rows_few": (("5",),),
        "rows_by_symbol": (("A", "3"),),
        "untrue": (b,),
        "gaps": (
            ("A", "2024-01-04", "XNYS", "2"),
            ("A", "2024-01-05", "XNYS", "2"),
            ("B.LON", "2024-01-03", "XLON", "1"),
        ),
        "one_exchange": (
            ("A", "2024-01-04", "XNYS", "2"),
            ("A", "2024-01-05", "XNYS", "2"),
            ("B.LON", "2024-01-03", "XNYS", "2"),
            ("B.LON", "2024-01-04", "XNYS", "2"),
        ),
        "only_b": (("B.LON", "2024-01-03", "XLON", "1"),),
        "outside": (a, b),
        "strictly": (b,),
        "of_a_column": (a,),
    }


def test_the_macro_knows_the_exchanges_that_datapipe_knows(run: Run, rows: Any) -> None:
    run(
        {
            "macros/exchange_of.sql": FILES["macros/exchange_of.sql"],
            "models/found.sql": "select symbol, {{ exchange_of('symbol') }} as exchange from "
            "(values ('IBM'), ('BRK-B'), ('X.ABC'), ('A.B.LON'), "
            + ", ".join(f"('X.{suffix}')" for suffix in sessions._EXCHANGES)
            + ") as s (symbol)",
        }
    )
    found = dict(rows("select symbol, exchange from shop.found"))
    assert found == {symbol: sessions.exchange_of(symbol) for symbol in found}
    assert len(found) == 4 + len(sessions._EXCHANGES)
