"""Sends SQL that was put together, several statements at a time."""

from __future__ import annotations

from typing import Any

import psycopg

# Below this size a table can be planned for without being looked at.
LARGE_BYTES = 8 * 1024 * 1024


def execute(connection: psycopg.Connection, text: str) -> psycopg.Cursor[tuple[Any, ...]]:
    """Send ``text`` as it stands: a percent sign or a dollar in it means nothing to the driver."""
    return connection.execute(text.encode(connection.info.encoding))


def flush(connection: psycopg.Connection) -> None:
    """Let PostgreSQL count what ``connection``, in autocommit, has written; for who runs next.

    Without it a run that follows at once has to compare tables by reading them.
    """
    connection.execute("SELECT pg_stat_force_next_flush()")


def literal(text: str) -> str:
    """``text`` as an SQL string."""
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"


def analyzed(table: str) -> str:
    """The statement that gathers statistics of ``table``, if it is large.

    dbt gathers none, and how a query is planned decides in which order ``string_agg`` and the like
    come by rows that are not ordered: so small tables are left for autovacuum to look at, too.
    """
    size = f"pg_relation_size({literal(table)}::regclass)"
    return "DO " + literal(f"BEGIN IF {size} > {LARGE_BYTES} THEN ANALYZE {table}; END IF; END")
