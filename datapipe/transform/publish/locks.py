"""The locks of a publication: all of them are taken at once, or none."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from datapipe.errors import WarehouseError
from datapipe.transform.database.catalog import KINDS
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.publish.plan import Plan

# What PostgreSQL raises where a lock is not to be had in time.
BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
)


def take(connection: psycopg.Connection, plan: Plan, patience_ms: int) -> None:
    """Take every lock, or raise one of ``BUSY`` before a reader could find a deadlock.

    LOCK TABLE on a view would lock the tables below it, raw data too. Giving a view the owner that
    it has locks it alone.
    """
    views = [each.view for each in plan.repointed if each.view]
    views += [plan.old(each) for each in (*reversed(plan.replaced), *plan.restated)]
    views += [plan.old(each) for each in plan.refreshed]
    views += [old for _, old in reversed(plan.swapped) if old.kind not in "rp"]
    tables = [old.local for _, old in plan.swapped if old.kind in "rp"]
    referring = [key.of for key in (*plan.rekeyed, *plan.unkeyed) if key.of]
    tables += [".".join(map(quoted, table)) for table in referring]
    statements = [
        f"ALTER {KINDS[view.kind]} {view.local} OWNER TO {quoted(view.owner)}" for view in views
    ]
    if tables:
        statements.append(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
    if not statements:
        return
    # As one statement, the time for all of it together is limited.
    block = literal("BEGIN " + "; ".join(statements) + "; END")
    execute(
        connection,
        f"SET LOCAL lock_timeout = '{patience_ms}ms'; "
        f"SET LOCAL statement_timeout = '{patience_ms}ms'",
    )
    execute(connection, f"DO {block}")
    execute(connection, "SET LOCAL statement_timeout TO DEFAULT")


def still_busy(
    connection: psycopg.Connection, schemas: Iterable[str], wait_seconds: float
) -> WarehouseError:
    """The error that tells who has locks on relations of ``schemas``."""
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
