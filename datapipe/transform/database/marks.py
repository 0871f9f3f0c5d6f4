"""Remembers which constraints ``on-run-end`` has made, by a mark in their comments.

With dbt such a hook always finds a new table, without the constraints that it is to make. So the
new table is not given those that are marked: the hook makes them again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import psycopg

from datapipe.transform.database.catalog import Name, arrays_of
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute, literal

MARK = "Made by on-run-end, which makes it again when datapipe transform replaces the table."

_THERE = """
SELECT k.oid::bigint, n.nspname, c.relname, k.conname, obj_description(k.oid, 'pg_constraint')
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype IN ('p', 'u', 'c', 'x', 'f')
"""
_BY_NAME = "AND (n.nspname, c.relname) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
_AROUND = "AND (k.conrelid = ANY(%s::oid[]) OR k.confrelid = ANY(%s::oid[]))"


def there(connection: psycopg.Connection, names: Collection[Name]) -> set[int]:
    """The constraints of these tables, by oid."""
    return {row[0] for row in _constraints(connection, names)}


def mark(connection: psycopg.Connection, names: Collection[Name], before: Collection[int]) -> None:
    """Mark the constraints of these tables that were not there ``before``."""
    statements = [
        f"COMMENT ON CONSTRAINT {quoted(constraint)} ON {quoted(schema)}.{quoted(table)} "
        f"IS {literal(MARK)}"
        for oid, schema, table, constraint, comment in _constraints(connection, names)
        if oid not in before and comment is None
    ]
    if statements:
        execute(connection, "; ".join(statements))


def marked(connection: psycopg.Connection, oids: Iterable[int]) -> set[tuple[Name, str]]:
    """The marked constraints of these tables and of what refers to them, each with its table."""
    wanted = list(oids)
    rows = connection.execute(_THERE + _AROUND, [wanted, wanted]).fetchall()
    return {((row[1], row[2]), row[3]) for row in rows if row[4] == MARK}


def _constraints(
    connection: psycopg.Connection, names: Collection[Name]
) -> list[tuple[int, str, str, str, str | None]]:
    return connection.execute(_THERE + _BY_NAME, arrays_of(names)).fetchall()
