"""Incremental models built both ways, and what differs named."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from datapipe import transform
from datapipe.errors import VerifyFailedError
from datapipe.transform import Options
from datapipe.warehouse import Warehouse

NEW = "{% if is_incremental() %} where day > (select max(day) from {{ this }}) {% endif %}"
KEYED = "{{ config(materialized='incremental', unique_key=['symbol', 'day']) }} "
FROM = " from {{ source('ext', 'prices') }} " + NEW


@pytest.fixture
def verified(run: Any, warehouse: Warehouse, write: Any, connection: psycopg.Connection) -> Any:
    """Runs a project of one model, changes the source, and verifies."""
    connection.execute(
        "CREATE SCHEMA ext; CREATE TABLE ext.prices (symbol text, day date, close float8); "
        "INSERT INTO ext.prices SELECT 'A', date '2024-01-01' + n, n FROM generate_series(1, 5) n"
    )

    def verify(model: str, change: str) -> Any:
        sources = "sources: [{name: ext, tables: [{name: prices}]}]"
        run({"models/grown.sql": model, "models/sources.yml": sources})
        connection.execute(change)
        [result], _ = transform.verify(warehouse, Options(project_dir=write({})))
        return result

    return verify


def test_a_model_that_grows_right_is_the_same_and_nothing_is_left(verified: Any, rows: Any) -> None:
    result = verified(KEYED + "select *" + FROM, "INSERT INTO ext.prices VALUES ('A', now(), NULL)")
    assert (result.is_same, result.rows, result.note) == (True, 6, "")
    assert rows("SELECT count(*) FROM shop.grown") == [(5,)]
    assert rows("SELECT nspname FROM pg_namespace WHERE nspname ~ 'shop.+'") == []


@pytest.mark.parametrize(
    ("change", "key", "columns"),
    [
        ("UPDATE ext.prices SET close = 0.1::float8 + 0.2 WHERE close = 3", "2024-01-04",
         {"close": ("0.30000000000000004", "3")}),
        ("UPDATE ext.prices SET close = NULL WHERE close = 2", "2024-01-03",
         {"close": (None, "2")}),
    ],
)  # fmt: skip
def test_the_first_key_and_the_columns_that_differ_are_named(
    verified: Any, change: str, key: str, columns: dict[str, Any]
) -> None:
    with pytest.raises(VerifyFailedError, match=f"symbol = 'A', day = '{key}'") as failed:
        verified(KEYED + "select *, clock_timestamp() as loaded_at" + FROM, change)
    [result] = failed.value.results
    assert (result.first.key, result.first.columns) == ({"symbol": "A", "day": key}, columns)
    assert "Not compared: loaded_at" in result.note


def test_columns_of_a_clock_are_no_difference(verified: Any) -> None:
    model = KEYED + "select symbol, day, clock_timestamp() as loaded_at" + FROM
    assert verified(model, "SELECT").is_same


def test_rows_without_a_key_and_other_types_are_told(verified: Any) -> None:
    with pytest.raises(VerifyFailedError, match="is only in what increments give"):
        verified(
            "{{ config(materialized='incremental') }} select symbol, day" + FROM,
            "DELETE FROM ext.prices WHERE close = 1",
        )
    with pytest.raises(VerifyFailedError, match="the column symbol is text in a full build"):
        verified(
            KEYED + "select symbol, day" + FROM, "ALTER TABLE shop.grown ALTER symbol TYPE varchar"
        )
