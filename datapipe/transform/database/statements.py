"""Sends SQL that was put together, several statements at a time."""

from __future__ import annotations

from typing import Any

import psycopg


def execute(connection: psycopg.Connection, text: str) -> psycopg.Cursor[tuple[Any, ...]]:
    """Send ``text`` as it stands: a percent sign or a dollar in it means nothing to the driver."""
    return connection.execute(text.encode(connection.info.encoding))


def literal(text: str) -> str:
    """``text`` as an SQL string."""
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"
