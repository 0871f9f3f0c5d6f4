"""Locks that are not to be had: what that looks like, and who holds them."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from datapipe.errors import WarehouseError

BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
)


def still_busy(
    connection: psycopg.Connection, schemas: Iterable[str], wait_seconds: float
) -> WarehouseError:
    """The error that tells who still uses relations of ``schemas``."""
    row = connection.execute(
        """
        SELECT string_agg(DISTINCT format('process %%s (%%s)', a.pid, left(a.query, 60)), ', ')
        FROM pg_locks l
        JOIN pg_class c ON c.oid = l.relation
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_stat_activity a USING (pid)
        WHERE l.granted AND a.pid <> pg_backend_pid() AND n.nspname = ANY(%s)
        """,
        [sorted(set(schemas))],
    ).fetchone()
    holders = row[0] if row and row[0] else "another transaction"
    return WarehouseError(
        f"The published tables are in use by {holders}, so nothing could be published for "
        f"{wait_seconds:.0f} s. Run again when that has ended.",
        sqlstate="55P03",
    )
