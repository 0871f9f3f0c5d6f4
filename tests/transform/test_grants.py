"""The settings ``grants`` and ``unlogged`` mean what they mean in dbt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from datapipe.errors import PublishError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]


@pytest.fixture
def roles(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    names = "grants_reader", 'grants "writer"'
    quoted = [name.replace('"', '""') for name in names]
    for name in quoted:
        connection.execute(f'create role "{name}"')
    yield names
    for name in quoted:
        connection.execute(f'drop owned by "{name}"; drop role "{name}"')


@pytest.mark.parametrize("kind", ["view", "table", "incremental"])
def test_others_have_the_privileges_that_grants_gives_and_no_more(
    run: Run, rows: Any, connection: psycopg.Connection, roles: tuple[str, str], kind: str
) -> None:
    reader, writer = roles

    def project(grants: str) -> dict[str, str]:
        text = f"{{{{ config(materialized='{kind}', grants={grants}) }}}} select 1 as id"
        return {"models/m.sql": text}

    def has(role: str, privilege: str) -> bool:
        found = rows("select has_table_privilege(%s, 'shop.m', %s)", role, privilege)
        return bool(found[0][0])

    run(project(f"{{'select': ['{reader}', '{writer}'], 'insert': '{writer}'}}"))
    assert has(reader, "select")
    assert has(writer, "insert")
    assert not has(reader, "insert")
    connection.execute(f"grant update on shop.m to {reader}")
    run(project(f"{{'select': ['{reader}']}}"))
    assert has(reader, "select")
    assert not has(reader, "update")
    assert not has(writer, "select")
    run(project("{}"))
    assert has(reader, "select")


def test_a_role_that_is_not_there_stops_the_publication(run: Run, rows: Any) -> None:
    text = "{{ config(grants={'select': 'nobody_here'}) }} select 1 as id"
    with pytest.raises(PublishError, match="nobody_here"):
        run({"models/m.sql": text})
    assert rows("select 1 from pg_namespace where nspname = 'shop'") == []


def test_a_table_is_unlogged_where_the_model_says_so(run: Run, rows: Any) -> None:
    run(
        {
            "models/a.sql": "{{ config(materialized='table', unlogged=true) }} select 1 as id",
            "models/b.sql": "{{ config(materialized='table') }} select 1 as id",
        }
    )
    asked = "select relname::text, relpersistence::text from pg_class where relname in ('a', 'b')"
    assert sorted(rows(asked)) == [("a", "u"), ("b", "p")]
