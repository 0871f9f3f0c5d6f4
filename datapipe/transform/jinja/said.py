"""What PostgreSQL says of SQL, as a sentence."""

from __future__ import annotations

import re

import psycopg

# The classes of SQLSTATE that are no fault of the SQL: the connection, other transactions, the
# server and its resources.
_NOT_OURS = {"08", "25", "40", "53", "54", "55", "57", "58", "XX"}
_CTE = "__dbt__cte__"
_TOKEN = re.compile(r"\w+|\W")


def is_fault_of_sql(error: psycopg.Error) -> bool:
    """Whether the error can be mended by changing the SQL."""
    state = error.sqlstate or ""
    return bool(state) and state[:2] not in _NOT_OURS and state != "42501"


def message(error: psycopg.Error, doing: str, *, at_end: bool = False) -> str:
    """PostgreSQL's message, detail and hint; ``at_end`` says that the SQL ended too early."""
    diag = error.diag
    said = diag.message_primary or str(error).strip()
    said, near, token = said.partition(" at or near ")
    if at_end and near:
        said += " at the end of the SQL"
    elif near:  # a quote that is left open has taken in all that follows
        first, newline, _ = token.partition("\n")
        said += f'{near}{first} ..."' if newline else f"{near}{token}"
    parts = [f"PostgreSQL stopped {doing}: {said}", diag.message_detail, diag.message_hint]
    told = " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts if part)
    return told.replace(_CTE, "")  # what is read through one has the name of a model


def offset(error: psycopg.Error, sent: str, sql: str) -> int | None:
    """Where in ``sql`` PostgreSQL points; ``sent`` had more before it, and other names in it."""
    if error.diag.statement_position is None:
        return None
    position = int(error.diag.statement_position) - 1
    number = sent.count("\n", 0, position) - sent.count("\n") + sql.count("\n")
    lines = sql.split("\n")
    token = _TOKEN.match(sent, position)
    if not 0 <= number < len(lines) or token is None:
        return None
    before = sent[sent.rfind("\n", 0, position) + 1 : position].count(token[0])
    at = -1
    for _ in range(before + 1):
        at = lines[number].find(token[0], at + 1)
    return sum(len(line) + 1 for line in lines[:number]) + max(at, 0)


def line(error: psycopg.Error, sent: str, sql: str = "") -> str:
    """The line of ``sql`` that PostgreSQL points at; empty if it points nowhere in it.

    ``sent`` is what it got: with more lines before, and other names.
    """
    sql = sql or sent
    at = offset(error, sent, sql)
    return "" if at is None else sql[:at].rpartition("\n")[2] + sql[at:].partition("\n")[0]
