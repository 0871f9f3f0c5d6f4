"""The ledger of runs, and the locks that keep two of them apart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from importlib.metadata import version
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, LockedError, PartlyDoneError
from datapipe.frozen import frozen

_LOCK_CLASS = 0x64706970  # "dpip" in ASCII: the first half of every advisory lock of a run


@frozen
class Run:
    """One run of one command, as it stands in ``meta.runs``."""

    run_id: int
    summary: dict[str, Any] = field(default_factory=dict)


@contextmanager
def recorded(connection: psycopg.Connection, command: str) -> Iterator[Run]:
    """Write a run of ``command`` into the ledger, and how it ended.

    ``connection`` must be in autocommit: the ledger tells of runs that were rolled back, too.
    """
    row = connection.execute(
        "INSERT INTO meta.runs (command, version) VALUES (%s, %s) RETURNING run_id",
        [command, version("datapipe-analytics")],
    ).fetchone()
    assert row is not None  # noqa: S101 - INSERT ... RETURNING gives a row or raises
    run = Run(run_id=row[0])
    outcome = "failed"
    try:
        yield run
        outcome = "done"
    except PartlyDoneError:
        outcome = "partly done"
        raise
    except DatapipeError as error:
        run.summary["error"] = str(error)
        raise
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        if not connection.closed and not connection.broken:
            connection.execute(
                "UPDATE meta.runs SET finished_at = clock_timestamp(), outcome = %s, summary = %s "
                "WHERE run_id = %s",
                [outcome, json.dumps(run.summary, ensure_ascii=False, default=str), run.run_id],
            )


@contextmanager
def locked(
    connection: psycopg.Connection,
    name: str,
    wait_seconds: float,
    *,
    on_wait: Callable[[str], None] = lambda message: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock ``name`` in this database; PostgreSQL frees it when the process dies.

    Waits up to ``wait_seconds``, then raises LockedError. ``on_wait`` is told once.
    """
    key = [_LOCK_CLASS, name]
    until = clock() + wait_seconds
    told = False
    while not _held(connection, "SELECT pg_try_advisory_lock(%s, hashtext(%s))", key):
        if clock() >= until:
            raise LockedError(
                f"Another {name} is running{_holder(connection, key)}. Wait until it has ended; "
                "DATAPIPE_LOCK_WAIT_SECONDS says how long to wait for it."
            )
        if not told:
            on_wait(f"Another {name} is running{_holder(connection, key)}; waiting for it.")
            told = True
        sleep(0.1)
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", key)


def _held(connection: psycopg.Connection, query: str, key: list[Any]) -> bool:
    row = connection.execute(query, key).fetchone()
    return bool(row and row[0])


def _holder(connection: psycopg.Connection, key: list[Any]) -> str:
    row = connection.execute(
        """
        SELECT a.pid, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
        FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND l.granted AND l.database = (
            SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.classid = %s::bigint::oid AND l.objid = (hashtext(%s)::bigint & 4294967295)::oid
        """,
        key,
    ).fetchone()
    return "" if row is None else f" (server process {row[0]}, since {row[1]})"
