"""Load: from ``raw.responses`` and users' files to the typed tables of ``raw``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from datapipe.errors import DatapipeError, LoadError, PartlyDoneError
from datapipe.frozen import frozen
from datapipe.load import files, responses
from datapipe.load.anew import rebuild as anew
from datapipe.load.copy_text import Incoming
from datapipe.load.files import Rejected
from datapipe.load.merge import Merged, merge

# Transform sees by the server's counters which tables have changed; they would come seconds later.
_COUNT_NOW = "SELECT pg_stat_force_next_flush()"


@frozen
class Loaded:
    """What a load did: answers or files read, versions written by table, what was put aside."""

    documents: int = 0
    tables: dict[str, Merged] = field(default_factory=dict)
    unreadable: tuple[LoadError, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def versions(self) -> int:
        """How many versions of rows have begun, or have ended without another one."""
        return sum(merged.new + merged.restated + merged.retired for merged in self.tables.values())

    def error(self) -> DatapipeError | None:
        """The error to raise when everything has been told; None if everything could be read."""
        if self.rejected:
            return PartlyDoneError(
                f"Rows put aside: {len(self.rejected):,}. They are in raw.rejected_rows, with the "
                "reason. The others are loaded."
            )
        if self.unreadable:
            return PartlyDoneError(
                f"Answers that could not be read: {len(self.unreadable):,}. They stay in "
                "raw.responses. The others are loaded."
            )
        return None


def run(
    connection: psycopg.Connection,
    paths: Sequence[Path] = (),
    *,
    run_id: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Loaded:
    """Load the answers that are not loaded yet; with ``paths``, the rows of those files instead.

    ``connection`` must be in autocommit: every chunk of answers, and every file, is a transaction
    of its own. Safe to repeat, and to kill.
    """
    if paths:
        return _load_files(connection, paths, run_id)
    waiting = responses.stored(connection)
    done = responses.Done()
    read = 0

    def count(more: int) -> None:
        nonlocal read
        read += more
        on_progress(read, len(waiting))

    for chunk in responses.chunks(waiting):
        with connection.transaction():
            responses.load(connection, chunk, done, on_read=count)
            responses.mark_loaded(connection, chunk, done)
    if waiting:
        connection.execute(_COUNT_NOW)
    return Loaded(done.documents, done.tables, tuple(done.unreadable.values()))


def rebuild(
    connection: psycopg.Connection,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Loaded:
    """Make the typed tables anew from all of ``raw.responses``, and the rows of users' files.

    One transaction: readers see the old tables until the new ones are there, and a kill changes
    nothing. ``Loaded.tables`` tells what became different.
    """
    loaded = Loaded(*anew(connection, on_progress))
    connection.execute(_COUNT_NOW)
    return loaded


def _load_files(connection: psycopg.Connection, paths: Sequence[Path], run_id: int) -> Loaded:
    tables: dict[str, Merged] = {}
    rejected: list[Rejected] = []
    for path in paths:
        read = files.read(path)
        with connection.transaction():
            incoming = Incoming(read.rows, datetime.now(UTC), source="csv")
            merged = merge(connection, read.table, [incoming])
            _keep_rejected(connection, run_id, read.rejected)
        tables[read.table.name] = tables.get(read.table.name, Merged()) + merged
        rejected += read.rejected
    connection.execute(_COUNT_NOW)
    return Loaded(len(paths), tables, rejected=tuple(rejected))


def _keep_rejected(
    connection: psycopg.Connection, run_id: int, rejected: Sequence[Rejected]
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO raw.rejected_rows (run_id, file, line, reason, content) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [(run_id, str(bad.path), bad.line, bad.reason, bad.content) for bad in rejected],
        )
