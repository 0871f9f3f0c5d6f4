"""Sessions as each node of dbt's finds one: without what statements of the project have left there.

dbt opens one for each node. Here one session builds many, so what one of them has set for the
session, and its temporary tables, are taken back before the next.
"""

from __future__ import annotations

import re

import psycopg

from datapipe.warehouse import settle

_LEAVING = re.compile(
    r"(?:^|;)\s*(?:re)?set\s+(?!local\b)|\bset_config\s*\(|\b(?:temp|temporary)\s|\bpg_temp\b"
    r"|(?:^|;)\s*(?:prepare|declare|load|discard)\b",
    re.IGNORECASE,
)


def leaves(statement: str) -> bool:
    """Whether ``statement`` may leave something in its session."""
    return _LEAVING.search(statement) is not None


def ready(connection: psycopg.Connection) -> None:
    """Let the search path be as dbt has it, and not as somebody set it for the role."""
    connection.execute('SET search_path = "$user", public')


def renew(connection: psycopg.Connection) -> None:
    """Make the session what it was before statements of the project came; it is in autocommit."""
    connection.execute(
        "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DEALLOCATE ALL; DISCARD TEMP"
    )
    settle(connection)
    ready(connection)
