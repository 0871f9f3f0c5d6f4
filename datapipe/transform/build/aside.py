"""Schemas of our own, beside the published ones: what is built there, nobody sees yet."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import psycopg

from datapipe.errors import PublishError
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute, literal

# A schema with this comment is ours to drop, and no other.
_MARK = "Made by datapipe transform; it is dropped at the latest by the next run."
_LONGEST_NAME = 63
_AT_ONCE = 200  # tables dropped in one statement: each takes about five of the server's locks

BUILD, OLD = "__build", "__old"


def beside(schema: str, suffix: str) -> str:
    """The name of the aside schema that belongs to ``schema``."""
    if len((schema + suffix).encode()) <= _LONGEST_NAME:
        return schema + suffix
    return f"{schema[:20]}_{zlib.crc32(schema.encode()):08x}{suffix}"


def left_over(connection: psycopg.Connection) -> list[str]:
    """The aside schemas that an earlier run left behind."""
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = %s "
        "ORDER BY nspname",
        [_MARK],
    )
    return [row[0] for row in rows]


def create(connection: psycopg.Connection, schemas: Iterable[str]) -> None:
    """Create aside schemas; raises PublishError where somebody else's schema has the name."""
    for schema in schemas:
        try:
            execute(
                connection,
                f"CREATE SCHEMA {quoted(schema)}; "
                f"COMMENT ON SCHEMA {quoted(schema)} IS {literal(_MARK)}",
            )
        except psycopg.errors.DuplicateSchema:
            raise PublishError(
                f"There is a schema {schema} already, and datapipe did not create it: its name is "
                "needed to build aside. Rename it."
            ) from None


def drop(connection: psycopg.Connection, schemas: Iterable[str]) -> None:
    """Drop aside schemas with what is in them, and nothing else.

    Raises PublishError if something outside depends on what is in them, or somebody reads it.
    """
    names = list(schemas)
    if not names:
        return
    rows = connection.execute(
        "SELECT format('%%I.%%I', n.nspname, c.relname), c.relkind FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = ANY(%s) AND c.relkind IN ('v', 'm', 'r') ORDER BY c.oid DESC",
        [names],
    ).fetchall()
    connection.execute("SET lock_timeout = '5s'")
    try:
        for kind, word in (("v", "VIEW"), ("m", "MATERIALIZED VIEW"), ("r", "TABLE")):
            found = [name for name, relkind in rows if relkind in {kind, kind.encode()}]
            # Views may depend on each other in any order, so those go in one statement.
            size = _AT_ONCE if kind == "r" else max(1, len(found))
            for start in range(0, len(found), size):
                execute(connection, f"DROP {word} {', '.join(found[start : start + size])}")
        execute(connection, f"DROP SCHEMA {', '.join(map(quoted, names))}")
    except psycopg.errors.DependentObjectsStillExist as error:
        detail = (error.diag.message_detail or "").splitlines()
        raise PublishError(
            f"Something depends on the schemas {', '.join(names)}, which transform builds in: "
            f"{detail[0] if detail else 'PostgreSQL does not say what'}. Drop it or move it."
        ) from None
    except psycopg.errors.LockNotAvailable:
        raise PublishError(
            f"Somebody reads in the schemas {', '.join(names)}, which transform builds in. "
            "Run again when that has ended."
        ) from None
    finally:
        if not connection.broken:
            connection.execute("RESET lock_timeout")
