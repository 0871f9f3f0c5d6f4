"""What PostgreSQL says of SQL, as a sentence, with the name that may have been meant."""

from __future__ import annotations

import difflib

import psycopg

# The classes of SQLSTATE that are no fault of the SQL: the connection, other transactions, the
# server and its resources.
_NOT_OURS = {"08", "25", "40", "53", "54", "55", "57", "58", "XX"}


def is_fault_of_sql(error: psycopg.Error) -> bool:
    """Whether whoever wrote the SQL can mend it."""
    state = error.sqlstate or ""
    return bool(state) and state[:2] not in _NOT_OURS and state != "42501"


def message(error: psycopg.Error, doing: str) -> str:
    """PostgreSQL's message, detail and hint."""
    diag = error.diag
    said = diag.message_primary or str(error).strip()
    parts = [f"PostgreSQL stopped {doing}: {said}", diag.message_detail, diag.message_hint]
    return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts if part)


def line(error: psycopg.Error, sql: str) -> str:
    """The line of ``sql`` that PostgreSQL points at, or an empty string."""
    if error.diag.statement_position is None:
        return ""
    position = int(error.diag.statement_position) - 1
    start = sql.rfind("\n", 0, position) + 1
    return sql[start:].partition("\n")[0].strip()


def near_name(error: psycopg.Error, connection: psycopg.Connection, sql: str) -> str:
    """A question that names what may have been meant, or an empty string."""
    if error.diag.message_hint and error.sqlstate != "42883":  # PostgreSQL has a better one
        return ""
    said = error.diag.message_primary or ""
    asked = said.partition('"')[2].partition('"')[0] if '"' in said else ""
    if error.sqlstate == "42703":
        asked = asked or said.removeprefix("column ").partition(" ")[0].rpartition(".")[2]
        asked, query, value = asked.rpartition(".")[2], _COLUMNS, [sql]
    elif error.sqlstate == "42P01":
        asked, query, value = asked.rpartition(".")[2], _RELATIONS, []
    elif error.sqlstate == "42883":
        asked = said.removeprefix("function ").partition("(")[0].rpartition(".")[2]
        query, value = _FUNCTIONS, []
    else:
        return ""
    try:
        known = [str(row[0]) for row in connection.execute(query, value or None)]
    except psycopg.Error:  # such as in a transaction that has failed
        return ""
    near = difflib.get_close_matches(asked, known, n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near and near[0] != asked else ""


_COLUMNS = """
SELECT DISTINCT a.attname
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND strpos(%s, c.relname) > 0
"""
_RELATIONS = """
SELECT DISTINCT c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_FUNCTIONS = "SELECT DISTINCT proname FROM pg_proc WHERE prokind IN ('f', 'a', 'w')"
