"""Loading answers of ``raw.responses``: in which order, how many at once, and how one is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg

from datapipe.errors import LoadError
from datapipe.frozen import frozen
from datapipe.load.copy_text import Incoming
from datapipe.load.merge import RAW, Intake, Merged
from datapipe.load.parse import FUNCTIONS, Document, parse
from datapipe.load.tables import Table

# How much is merged in a transaction, and how much is held in memory at once; bytes as stored. Of
# full histories a megabyte is about six answers, of compact ones two hundred.
_MERGE_BYTES = 24_000_000
_FETCH_BYTES = 1_000_000


@frozen
class Stored:
    """An answer that is to be loaded; ``size`` is that of its stored text in bytes."""

    symbol: str
    function: str
    response_id: int
    size: int
    fetched_at: datetime


@dataclass
class Done:
    """What was loaded so far."""

    documents: int = 0
    tables: dict[str, Merged] = field(default_factory=dict)
    unreadable: dict[int, LoadError] = field(default_factory=dict)

    def add(self, merged: dict[str, Merged]) -> None:
        for name, more in merged.items():
            self.tables[name] = self.tables.get(name, Merged()) + more


def stored(connection: psycopg.Connection, *, all_of_them: bool = False) -> list[Stored]:
    """Answers that can be loaded and are not, or all that can be, in the order they came."""
    rows = connection.execute(
        "SELECT symbol, function, response_id, pg_column_size(body), fetched_at "
        "FROM raw.responses WHERE function = ANY(%s) AND (%s OR loaded_at IS NULL) "
        "ORDER BY fetched_at, response_id",
        [list(FUNCTIONS), all_of_them],
    )
    return [Stored(*row) for row in rows]


def chunks(waiting: Iterable[Stored]) -> Iterator[list[Stored]]:
    """What can be merged at once: parts in which no two answers may tell of the same row."""
    for wave in _waves(waiting):
        yield from _parts(wave, _MERGE_BYTES)


def load(
    connection: psycopg.Connection,
    chunk: Sequence[Stored],
    done: Done,
    *,
    schema: str = RAW,
    on_read: Callable[[int], None] = lambda count: None,
) -> None:
    """Load the answers of a chunk, and add to ``done``; runs within the caller's transaction."""
    intake = Intake(connection, schema)
    for part in _parts(chunk, _FETCH_BYTES):
        rows = connection.execute(
            "SELECT response_id, function, symbol, params, format, body, fetched_at, source "
            "FROM raw.responses WHERE response_id = ANY(%s) AND symbol = ANY(%s) "
            "ORDER BY function, fetched_at, response_id",
            [[each.response_id for each in part], list({each.symbol for each in part})],
        )
        for function, answers in groupby(rows, key=itemgetter(1)):
            read = _read(answers, done)
            tables = FUNCTIONS[function].tables
            if len(tables) == 1:
                # The server reads the rows of one answer while the next one is parsed here.
                intake.add(tables[0], (incoming for _, incoming in read))
                continue
            batches: dict[Table, list[Incoming]] = {}
            for table, incoming in read:
                batches.setdefault(table, []).append(incoming)
            for table, batch in batches.items():
                intake.add(table, batch)
        on_read(len(part))
    done.add(intake.merge())


def _read(answers: Iterable[tuple[Any, ...]], done: Done) -> Iterator[tuple[Table, Incoming]]:
    """The rows of each answer by table; what cannot be read is noted as ``done``."""
    for response_id, function, symbol, params, fmt, body, fetched_at, source in answers:
        try:
            parsed = parse(Document(function, symbol, params, fmt, body))
        except LoadError as error:
            done.unreadable[response_id] = error
            continue
        done.documents += 1
        for each in parsed:
            yield each.table, Incoming(each.rows, fetched_at, source, response_id)


def mark_loaded(connection: psycopg.Connection, answers: Iterable[Stored], done: Done) -> None:
    """Remember which of these answers were read."""
    read = [each for each in answers if each.response_id not in done.unreadable]
    connection.execute(
        "UPDATE raw.responses SET loaded_at = now() "
        "WHERE symbol = ANY(%s) AND response_id = ANY(%s) AND loaded_at IS NULL",
        [list({each.symbol for each in read}), [each.response_id for each in read]],
    )


def _waves(waiting: Iterable[Stored]) -> list[list[Stored]]:
    """Answers in waves, older ones first; each wave has one answer for a table and a symbol.

    Two answers may have the same rows, and a merge takes a key only once.
    """
    waves: list[list[Stored]] = []
    last: dict[tuple[str, str], int] = {}
    for each in waiting:
        told = [
            (table.name, "" if table.whole_market else each.symbol)
            for table in FUNCTIONS[each.function].tables
        ]
        number = max(last.get(one, -1) for one in told) + 1
        last |= dict.fromkeys(told, number)
        if number == len(waves):
            waves.append([])
        waves[number].append(each)
    return waves


def _parts(waiting: Iterable[Stored], size: int) -> Iterator[list[Stored]]:
    part: list[Stored] = []
    held = 0
    for each in waiting:
        part.append(each)
        held += each.size
        if held >= size:
            yield part
            part, held = [], 0
    if part:
        yield part
