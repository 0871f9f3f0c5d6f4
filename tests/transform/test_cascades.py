"""Rows that a growing model takes out of its table take others with them, by their foreign keys."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from datapipe.errors import TestsFailedError

GROWN = "{{ config(materialized='incremental', unique_key='id') }} select * from "
TOUCHED = "{{ 'where is_new' if is_incremental() }}"
NEW = "{{ 'where id > (select max(id) from ' ~ this ~ ')' if is_incremental() }}"
FILES = {
    "models/sources.yml": """
        sources: [{name: ext, tables: [{name: a}, {name: b}, {name: c}]}]
        models:
          - name: b
            columns: [{name: a_id, data_tests: [{relationships: {to: ref('a'), field: id}}]}]
          - name: c
            columns: [{name: b_id, data_tests: [{relationships: {to: ref('b'), field: id}}]}]
        """,
    "models/a.sql": GROWN + "{{ source('ext', 'a') }} " + TOUCHED,
    "models/other.sql": GROWN + "{{ source('ext', 'a') }} " + TOUCHED,
    "models/b.sql": "-- {{ ref('a') }}, {{ ref('other') }}\n"
    + GROWN
    + "{{ source('ext', 'b') }} "
    + NEW,
    "models/c.sql": "-- {{ ref('b') }}\n" + GROWN + "{{ source('ext', 'c') }} " + NEW,
    "models/kept.sql": "-- {{ ref('a') }}\n" + GROWN + "{{ source('ext', 'b') }} " + NEW,
}
KEYS = """
    ALTER TABLE shop.a ADD PRIMARY KEY (id);
    ALTER TABLE shop.b ADD PRIMARY KEY (id);
    ALTER TABLE shop.other ADD PRIMARY KEY (id);
    ALTER TABLE shop.b ADD CONSTRAINT of_a FOREIGN KEY (a_id) REFERENCES shop.a ON DELETE CASCADE;
    ALTER TABLE shop.b
        ADD CONSTRAINT of_other FOREIGN KEY (a_id) REFERENCES shop.other ON DELETE CASCADE;
    ALTER TABLE shop.c ADD CONSTRAINT of_b FOREIGN KEY (b_id) REFERENCES shop.b ON DELETE CASCADE;
    ALTER TABLE shop.kept
        ADD CONSTRAINT of_a FOREIGN KEY (a_id) REFERENCES shop.a ON DELETE SET NULL
"""


@pytest.fixture
def published(run: Any, connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE SCHEMA ext; CREATE TABLE ext.a (id int, is_new bool); "
        "CREATE TABLE ext.b (id int, a_id int); CREATE TABLE ext.c (id int, b_id int); "
        "INSERT INTO ext.a VALUES (1, false), (2, false), (3, false); "
        "INSERT INTO ext.b VALUES (10, 1), (20, 2), (30, 3); "
        "INSERT INTO ext.c VALUES (100, 10), (200, 20), (300, 30)"
    )
    run(FILES)
    connection.execute(KEYS)
    # The row is put back, but what referred to it is gone, and what is newest with it.
    connection.execute("UPDATE ext.a SET is_new = true WHERE id = 3")


def test_rows_go_with_those_they_refer_to_and_the_models_that_have_them_see_that(
    run: Any, rows: Any, published: None, connection: psycopg.Connection
) -> None:
    connection.execute(
        "DELETE FROM ext.b WHERE id = 30; INSERT INTO ext.b VALUES (25, 1); "
        "DELETE FROM ext.c WHERE id = 300"
    )
    run(threads=3)
    assert rows("SELECT id FROM shop.a ORDER BY id") == [(1,), (2,), (3,)]
    assert rows("SELECT * FROM shop.b ORDER BY id") == [(10, 1), (20, 2), (25, 1)]
    assert rows("SELECT * FROM shop.c ORDER BY id") == [(100, 10), (200, 20)]
    assert rows("SELECT * FROM shop.kept ORDER BY id") == [(10, 1), (20, 2), (30, None)]
    keys = rows(
        "SELECT conname, conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint "
        "WHERE contype = 'f' ORDER BY 1, 2"
    )
    assert keys == [
        ("of_a", "shop.b", "shop.a"),
        ("of_a", "shop.kept", "shop.a"),
        ("of_b", "shop.c", "shop.b"),
        ("of_other", "shop.b", "shop.other"),
    ]


def test_rows_of_what_is_not_built_go_when_all_is_published(
    run: Any, rows: Any, published: None
) -> None:
    run(select=["a", "other", "b"])
    assert rows("SELECT * FROM shop.b ORDER BY id") == [(10, 1), (20, 2)]
    assert rows("SELECT * FROM shop.c ORDER BY id") == [(100, 10), (200, 20)]
    assert rows("SELECT * FROM shop.kept ORDER BY id") == [(10, 1), (20, 2), (30, None)]


def test_rows_that_would_go_stay_where_nothing_is_published(
    run: Any, rows: Any, published: None
) -> None:
    with pytest.raises(TestsFailedError):
        run({"tests/fails.sql": "select 1 from {{ ref('c') }} limit 1"})
    assert rows("SELECT * FROM shop.b ORDER BY id") == [(10, 1), (20, 2), (30, 3)]
    assert rows("SELECT id FROM shop.c ORDER BY id") == [(100,), (200,), (300,)]


@pytest.mark.parametrize("how", [{"per_model": True}, {"select": ["a"], "indirect": "empty"}])
def test_rows_go_also_with_those_that_a_hook_takes_out_of_a_table_that_is_swapped(
    run: Any, rows: Any, published: None, how: dict[str, Any]
) -> None:
    hook = "post_hook='delete from {{ this }} where id = 1', unique_key"
    run({"models/a.sql": FILES["models/a.sql"].replace("unique_key", hook)}, **how)
    assert rows("SELECT id FROM shop.a ORDER BY id") == [(2,), (3,)]
    assert rows("SELECT min(id) FROM shop.b") == [(20,)]
    assert rows("SELECT id, a_id FROM shop.kept ORDER BY id LIMIT 2") == [(10, None), (20, 2)]
