"""Sends SQL that was put together, several statements at a time."""

from __future__ import annotations

import re
from typing import Any

import psycopg

from datapipe.transform.database.quoting import between_semicolons, hidden

# Below this size a table can be planned for without being looked at.
LARGE_BYTES = 8 * 1024 * 1024

_OF_TRANSACTION = re.compile(r"\b(?:begin|start|commit)\b", re.IGNORECASE)
_BEGINS_OR_ENDS = re.compile(
    r"(?is)\s*(?:begin|start\s+transaction|commit|end)(?:\s+(?:work|transaction))?"
    r"(?:\s+(?:isolation\s+level|read\s+(?:only|write)|(?:not\s+)?deferrable|and\s+no\s+chain)[\w\s,]*)?"
    r"\s*"
)


def within_ours(sql: str) -> str:
    """``sql`` of a project without statements that begin or end a transaction, which is ours here.

    dbt sends it within a transaction that is committed in the end; here each text is one.
    """
    if not _OF_TRANSACTION.search(sql) or "atomic" in sql.lower():
        return sql
    return ";".join(
        # What stands behind is to stay where it is, for the places of errors.
        re.sub(r"\S", " ", each) if _BEGINS_OR_ENDS.fullmatch(hidden(each)) else each
        for each in between_semicolons(sql)
    )


def execute(connection: psycopg.Connection, text: str) -> psycopg.Cursor[tuple[Any, ...]]:
    """Send ``text`` as it stands: a percent sign or a dollar in it means nothing to the driver."""
    return connection.execute(text.encode(connection.info.encoding))


def flush(connection: psycopg.Connection) -> None:
    """Let PostgreSQL count what ``connection``, in autocommit, has written.

    A run that follows at once finds the counts; without them it would compare tables by reading
    them.
    """
    connection.execute("SELECT pg_stat_force_next_flush()")


def literal(text: str) -> str:
    """``text`` as an SQL string."""
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"


def analyzed(table: str) -> str:
    """The statement that gathers statistics of ``table``, if it is large.

    dbt gathers none. How a query is planned decides the order in which ``string_agg`` and the like
    find rows that are not sorted, so small tables are left without statistics as well.
    """
    size = f"pg_relation_size({literal(table)}::regclass)"
    return "DO " + literal(f"BEGIN IF {size} > {LARGE_BYTES} THEN ANALYZE {table}; END IF; END")
