"""Load: from ``raw.responses`` and users' files to the typed tables of ``raw``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import psycopg

from datapipe.errors import DatapipeError, LoadError, PartlyDoneError
from datapipe.load import files
from datapipe.load.files import Rejected
from datapipe.load.merge import Incoming, Merged, merge
from datapipe.load.parse import FUNCTIONS, Document, Parsed, parse
from datapipe.load.tables import Table

_Waiting: TypeAlias = tuple[str, str, int, int]  # symbol, function, response_id, size in bytes

# How much is loaded in a transaction, as stored: of full histories about ten answers, of compact
# ones a few hundred. Both their text and their rows are held in memory.
_CHUNK_BYTES = 2_000_000


@dataclass(frozen=True)
class Loaded:
    """What a load did: answers or files read, versions written by table, what was put aside."""

    documents: int = 0
    tables: dict[str, Merged] = field(default_factory=dict)
    unreadable: tuple[LoadError, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def versions(self) -> int:
        return sum(merged.new + merged.restated for merged in self.tables.values())

    def error(self) -> DatapipeError | None:
        """What to raise when all is told: None when all that was to be read was read."""
        if self.rejected:
            return PartlyDoneError(
                f"{len(self.rejected)} rows were put aside; they are in raw.rejected_rows, with "
                "the reason. The others are loaded."
            )
        if self.unreadable:
            return PartlyDoneError(
                f"{len(self.unreadable)} answers could not be read; they stay in raw.responses. "
                "The others are loaded."
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
    return _load_responses(connection, on_progress)


def _load_responses(
    connection: psycopg.Connection, on_progress: Callable[[int, int], None]
) -> Loaded:
    waiting = connection.execute(
        "SELECT symbol, function, response_id, pg_column_size(body) FROM raw.responses "
        "WHERE loaded_at IS NULL AND function = ANY(%s) ORDER BY fetched_at, response_id",
        [list(FUNCTIONS)],
    ).fetchall()
    tables: dict[str, Merged] = {}
    unreadable: list[LoadError] = []
    done = 0
    for wave in _waves(waiting):
        for chunk in _chunks(wave):
            with connection.transaction():
                merged, bad = _load_chunk(connection, [row[2] for row in chunk])
            _add(tables, merged)
            unreadable += bad
            done += len(chunk)
            on_progress(done, len(waiting))
    return Loaded(done - len(unreadable), tables, tuple(unreadable))


def _waves(rows: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
    """``rows`` so parted that a wave holds one answer a symbol and function, oldest first.

    Two answers to one question tell of the same rows, and a merge takes a key only once.
    """
    rest = list(rows)
    while rest:
        wave: dict[tuple[str, str], _Waiting] = {}
        rest = [row for row in rest if wave.setdefault(row[:2], row) is not row]
        yield list(wave.values())


def _load_chunk(
    connection: psycopg.Connection, response_ids: list[int]
) -> tuple[dict[str, Merged], list[LoadError]]:
    batches: dict[Table, list[Incoming]] = {}
    unreadable: list[LoadError] = []
    loaded: list[int] = []
    rows = connection.execute(
        "SELECT response_id, function, symbol, params, format, body, fetched_at, source "
        "FROM raw.responses WHERE response_id = ANY(%s)",
        [response_ids],
    )
    for response_id, function, symbol, params, fmt, body, fetched_at, source in rows:
        try:
            parsed: Parsed = parse(Document(function, symbol, params, fmt, body))
        except LoadError as error:
            unreadable.append(error)
            continue
        incoming = Incoming(parsed.rows, fetched_at, source, response_id)
        batches.setdefault(parsed.table, []).append(incoming)
        loaded.append(response_id)
    merged = {table.name: merge(connection, table, batch) for table, batch in batches.items()}
    connection.execute(
        "UPDATE raw.responses SET loaded_at = now() WHERE response_id = ANY(%s)", [loaded]
    )
    return merged, unreadable


def _load_files(connection: psycopg.Connection, paths: Sequence[Path], run_id: int) -> Loaded:
    tables: dict[str, Merged] = {}
    rejected: list[Rejected] = []
    for path in paths:
        read = files.read(path)
        with connection.transaction():
            incoming = Incoming(read.rows, datetime.now(UTC), source="csv")
            _add(tables, {read.table.name: merge(connection, read.table, [incoming])})
            _keep_rejected(connection, run_id, read.rejected)
        rejected += read.rejected
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


def _add(tables: dict[str, Merged], more: dict[str, Merged]) -> None:
    for name, merged in more.items():
        tables[name] = tables.get(name, Merged()) + merged


def _chunks(waiting: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
    chunk: list[_Waiting] = []
    size = 0
    for row in waiting:
        chunk.append(row)
        size += row[3]
        if size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
