"""Sends SQL that was put together, several statements at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg

# Below this size a table can be planned for without being looked at.
LARGE_BYTES = 8 * 1024 * 1024


_OF_TRANSACTION = re.compile(r"\b(?:begin|start|commit)\b", re.IGNORECASE)
_PIECE = re.compile(
    r"(?s)(?P<passed>--[^\n]*|/\*.*?\*/|\s+)|(?P<end>;)"
    r"|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|[^\W\d]\w*|."
)
_BEGINS_OR_ENDS = re.compile(
    r"(?is)(?:begin|start\s+transaction|commit|end)(?:\s+(?:work|transaction))?"
    r"(?:\s+(?:isolation\s+level|read\s+(?:only|write)|(?:not\s+)?deferrable|and\s+no\s+chain)[\w\s,]*)?"
)


def within_ours(sql: str) -> str:
    """``sql`` of a project without statements that begin or end a transaction, which is ours here.

    dbt sends it within a transaction that is committed in the end; here each text is one.
    """
    if not _OF_TRANSACTION.search(sql) or "atomic" in sql.lower():
        return sql
    pieces, end = [], 0
    for start, stop in _statements(sql):
        if _BEGINS_OR_ENDS.fullmatch(sql, start, stop):
            pieces.append(sql[end:start])
            end = stop
    return "".join(pieces) + sql[end:]


def _statements(sql: str) -> Iterator[tuple[int, int]]:
    """From where to where each statement of ``sql`` reaches, without comments around it."""
    start = stop = None
    for piece in _PIECE.finditer(sql):
        if piece["end"]:
            if start is not None and stop is not None:
                yield start, stop
            start = None
        elif not piece["passed"]:
            start, stop = (piece.start() if start is None else start), piece.end()
    if start is not None and stop is not None:
        yield start, stop


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
