"""What PostgreSQL says of SQL, as a sentence."""

from __future__ import annotations

import psycopg

# The classes of SQLSTATE that are no fault of the SQL: the connection, other transactions, the
# server and its resources.
_NOT_OURS = {"08", "25", "40", "53", "54", "55", "57", "58", "XX"}


def is_fault_of_sql(error: psycopg.Error) -> bool:
    """Whether whoever wrote the SQL can mend it."""
    state = error.sqlstate or ""
    return bool(state) and state[:2] not in _NOT_OURS and state != "42501"


def message(error: psycopg.Error, doing: str, *, at_end: bool = False) -> str:
    """PostgreSQL's message, detail and hint; ``at_end`` says that the SQL ended too early."""
    diag = error.diag
    said = diag.message_primary or str(error).strip()
    said, near, token = said.partition(" at or near ")
    if at_end and near:
        said += " at the end of the SQL"
    elif near:  # what was left open takes in all that follows
        first, newline, _ = token.partition("\n")
        said += f'{near}{first} ..."' if newline else f"{near}{token}"
    parts = [f"PostgreSQL stopped {doing}: {said}", diag.message_detail, diag.message_hint]
    return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts if part)


def line(error: psycopg.Error, sent: str, sql: str = "") -> str:
    """The line of what was ``sent`` that PostgreSQL points at, or an empty string.

    Of ``sql``, where that was written, and sent with more lines before it and other names in it.
    """
    if error.diag.statement_position is None:
        return ""
    number = sent.count("\n", 0, int(error.diag.statement_position) - 1)
    lines = (sql or sent).split("\n")
    number -= sent.count("\n") + 1 - len(lines)
    return lines[number].strip() if 0 <= number < len(lines) else ""
