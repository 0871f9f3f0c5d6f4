"""Gives each node a session like a new one, without what earlier statements have left there.

dbt opens a session for each node. Here one session builds many nodes, so what the project's
statements have set in it, and its temporary tables, are removed before the next node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from datapipe.warehouse import settle

# The time zone and the search path are what the server, the database or the role has set.
AS_IN_DBT = "SET datestyle = ISO"

# What the server has set decides what a cast of a time to a date or to text gives, and what a name
# without a schema means.
_USUAL = {
    "TimeZone": ("the time zone", {"UTC", "Etc/UTC"}),
    "DateStyle": ("the style of dates", {"ISO, MDY"}),
    "IntervalStyle": ("the style of intervals", {"postgres"}),
    "search_path": ("the search path", {'"$user", public'}),
}

_LEAVING = re.compile(
    r"(?:^|;)\s*(?:re)?set\s+(?!local\b)|\bset_config\s*\(|\b(?:temp|temporary)\s|\bpg_temp\b"
    r"|(?:^|;)\s*(?:prepare|declare|load|discard)\b",
    re.IGNORECASE,
)


def leaves(statement: str) -> bool:
    """Whether ``statement`` may leave something in its session."""
    return _LEAVING.search(statement) is not None


def unusual(connection: psycopg.Connection) -> dict[str, str]:
    """The settings of this session that are not the usual ones.

    The server reports most of them by itself, from version 18 on all.
    """
    found = {name: _setting(connection, key) for key, (name, _) in _USUAL.items()}
    return {name: found[name] for name, usual in _USUAL.values() if found[name] not in usual}


def _setting(connection: psycopg.Connection, key: str) -> str:
    reported = connection.info.parameter_status(key)
    if reported is not None:
        return reported
    row = connection.execute("SELECT current_setting(%s)", [key]).fetchone()
    return str(row[0]) if row else ""


@contextmanager
def leaving_none_open(connection: psycopg.Connection) -> Iterator[None]:
    """Roll back the transaction that is open at the end, in a session that is in autocommit."""
    try:
        yield
    finally:
        status = connection.info.transaction_status
        if status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            connection.rollback()


def renew(connection: psycopg.Connection) -> None:
    """Reset the session to what it was before the project's statements; it is in autocommit."""
    connection.execute(
        "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DEALLOCATE ALL; DISCARD TEMP"
    )
    settle(connection, AS_IN_DBT)
