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


def test_others_have_the_privileges_that_grants_gives_and_no_more(
    run: Run, rows: Any, connection: psycopg.Connection, roles: tuple[str, str]
) -> None:
    reader, writer = roles
    kinds = ("view", "table", "incremental")

    def project(grants: str) -> dict[str, str]:
        text = "{{ config(materialized='%s', grants=%s) }} select 1 as id"
        return {f"models/a_{kind}.sql": text % (kind, grants) for kind in kinds}

    def has(role: str, privilege: str) -> set[bool]:
        asked = "select has_table_privilege(%s, %s, %s)"
        return {rows(asked, role, f"shop.a_{kind}", privilege)[0][0] for kind in kinds}

    run(project(f"{{'select': ['{reader}', '{writer}'], 'insert': '{writer}'}}"))
    assert has(reader, "select") == {True}
    assert has(writer, "insert") == {True}
    assert has(reader, "insert") == {False}
    for kind in kinds:
        connection.execute(f"grant update on shop.a_{kind} to {reader}")
    run(project(f"{{'select': ['{reader}']}}"))
    assert has(reader, "select") == {True}
    assert has(reader, "update") == {False}
    assert has(writer, "select") == {False}
    run(project("{}"))
    assert has(reader, "select") == {True}


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
