"""How fresh sources were found to be, for ``source_status:`` in a selection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg

_KEPT_CHECKS = 100


def may_write(connection: psycopg.Connection) -> bool:
    """Whether this role may create datapipe's own tables."""
    row = connection.execute(
        "SELECT has_database_privilege(current_database(), 'CREATE') AND NOT pg_is_in_recovery()"
    ).fetchone()
    return bool(row and row[0])


def write(
    connection: psycopg.Connection,
    project: str,
    found: Mapping[str, tuple[str, datetime | None]],
) -> None:
    """Record the status and the newest row of each source, by unique id.

    All of them are one check; checks of long ago are forgotten.
    """
    rows = [
        {"unique_id": unique_id, "status": status, "max_loaded_at": newest and newest.isoformat()}
        for unique_id, (status, newest) in found.items()
    ]
    with connection.transaction():
        connection.execute(
            "INSERT INTO meta.source_freshness "
            "(project, checked_at, unique_id, status, max_loaded_at) "
            "SELECT %s, %s, new.* FROM json_to_recordset(%s::json) AS new "
            "(unique_id text, status text, max_loaded_at timestamptz)",
            [project, datetime.now(UTC), json.dumps(rows, ensure_ascii=False)],
        )
        connection.execute(
            "DELETE FROM meta.source_freshness WHERE project = %s AND checked_at < "
            "(SELECT min(checked_at) FROM (SELECT DISTINCT checked_at FROM meta.source_freshness "
            "WHERE project = %s ORDER BY checked_at DESC LIMIT %s) latest)",
            [project, project, _KEPT_CHECKS],
        )


def fresher(connection: psycopg.Connection, project: str) -> frozenset[str] | None:
    """The sources that the last check found with newer rows than the one before it.

    As with dbt, a source that the check before did not see is among them. None if there were not
    two checks.
    """
    there = connection.execute("SELECT to_regclass('meta.source_freshness') IS NOT NULL").fetchone()
    if not (there and there[0]):
        return None
    checks = connection.execute(
        "SELECT DISTINCT checked_at FROM meta.source_freshness WHERE project = %s "
        "ORDER BY checked_at DESC LIMIT 2",
        [project],
    ).fetchall()
    if len(checks) < 2:
        return None
    rows = connection.execute(
        """
        SELECT now.unique_id
        FROM meta.source_freshness now LEFT JOIN meta.source_freshness before
            ON before.project = now.project AND before.unique_id = now.unique_id
            AND before.checked_at = %s AND before.status <> 'runtime error'
        WHERE now.project = %s AND now.checked_at = %s AND now.status <> 'runtime error'
            AND (before.unique_id IS NULL OR coalesce(now.max_loaded_at, '-infinity')
                > coalesce(before.max_loaded_at, '-infinity'))
        """,
        [checks[1][0], project, checks[0][0]],
    )
    return frozenset(unique_id for (unique_id,) in rows)
