"""Makes the typed tables anew, from all that came in.

They are built aside, as temporary tables, and then the real ones are given the differences: what is
right is not touched, and readers see all of it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter

import psycopg
from psycopg import sql

from datapipe.errors import LoadError
from datapipe.load import responses
from datapipe.load.copy_text import Incoming
from datapipe.load.merge import RAW, Intake, Merged
from datapipe.load.tables import TABLES, Table

_ASIDE = "pg_temp"

_CREATE = sql.SQL("CREATE TEMPORARY TABLE {name} (LIKE {real} INCLUDING ALL) ON COMMIT DROP")
# Rows of users' files, and of answers that somebody has deleted.
_OF_NO_ANSWER = sql.SQL(
    """
    FROM {real} AS kept
    WHERE NOT EXISTS (SELECT FROM raw.responses r WHERE r.response_id = kept.response_id)
    """
)
_TIMES = sql.SQL("SELECT DISTINCT known_from, source, response_id {of_no_answer}")
_ROWS = sql.SQL(
    "SELECT {texts} {of_no_answer} AND known_from = {known_from} AND source = {source} "
    "AND response_id IS NOT DISTINCT FROM {response_id}"
)
_ANALYZE = sql.SQL("ANALYZE {aside}")
_DELETE = sql.SQL(
    """
    DELETE FROM {real} AS old WHERE NOT EXISTS (
        SELECT FROM {aside} AS new
        WHERE {same_version} AND ({old_values}) IS NOT DISTINCT FROM ({new_values})
    )
    """
)
_INSERT = sql.SQL(
    """
    INSERT INTO {real} SELECT * FROM {aside} AS new
    WHERE NOT EXISTS (SELECT FROM {real} AS old WHERE {same_version})
    """
)


def rebuild(
    connection: psycopg.Connection, on_progress: Callable[[int, int], None]
) -> tuple[int, dict[str, Merged], tuple[LoadError, ...]]:
    """Rebuild; gives how many answers were read, which versions came and went, what was unreadable.

    Raises LoadError, and changes nothing, if an answer cannot be read that once could.
    """
    done = responses.Done()
    with connection.transaction():
        # Times as texts are all of one zone then, so that later ones are greater.
        connection.execute("SET LOCAL timezone = 'UTC'")
        for table in TABLES:
            connection.execute(_CREATE.format(**_names(table)))
        answers = responses.stored(connection, all_of_them=True)
        _replay(connection, answers, done, on_progress)
        _check(connection, done)
        changed = {table.name: _exchange(connection, table) for table in TABLES}
        responses.mark_loaded(connection, answers, done)
    changed = {name: merged for name, merged in changed.items() if merged != Merged()}
    return done.documents, changed, tuple(done.unreadable.values())


def _replay(
    connection: psycopg.Connection,
    waiting: list[responses.Stored],
    done: responses.Done,
    on_progress: Callable[[int, int], None],
) -> None:
    """Everything in the order in which it was known: answers, and what is of no answer."""
    total, read = len(waiting), 0

    def count(more: int) -> None:
        nonlocal read
        read += more
        on_progress(read, total)

    def until(known_from: datetime | None) -> None:
        nonlocal waiting
        earlier = [each for each in waiting if known_from is None or each.fetched_at < known_from]
        waiting = waiting[len(earlier) :]
        for chunk in responses.chunks(earlier):
            responses.load(connection, chunk, done, schema=_ASIDE, on_read=count)

    for table, kept in _kept(connection):
        until(kept.known_from)
        rows = connection.execute(
            _ROWS.format(
                **_names(table),
                known_from=sql.Literal(kept.known_from),
                source=sql.Literal(kept.source),
                response_id=sql.Literal(kept.response_id),
            )
        ).fetchall()
        intake = Intake(connection, _ASIDE)
        intake.add(table, [Incoming(rows, kept.known_from, kept.source, kept.response_id)])
        intake.merge()
    until(None)


def _kept(connection: psycopg.Connection) -> list[tuple[Table, Incoming]]:
    """What comes from no answer, without its rows, in the order in which it was known."""
    kept = [
        (table, Incoming((), *times))
        for table in TABLES
        for times in connection.execute(_TIMES.format(**_names(table))).fetchall()
    ]
    known_from = attrgetter("known_from")
    return sorted(kept, key=lambda each: known_from(each[1]))


def _check(connection: psycopg.Connection, done: responses.Done) -> None:
    row = connection.execute(
        "SELECT response_id FROM raw.responses WHERE response_id = ANY(%s) "
        "AND loaded_at IS NOT NULL ORDER BY response_id LIMIT 1",
        [list(done.unreadable)],
    ).fetchone()
    if row is not None:
        raise LoadError(
            f"{done.unreadable[row[0]]} It was loaded before (response_id {row[0]}), and its rows "
            "would be lost, so nothing was changed. To keep them as they are, delete this answer "
            "from raw.responses."
        )


def _exchange(connection: psycopg.Connection, table: Table) -> Merged:
    names = _names(table)
    connection.execute(_ANALYZE.format(**names))
    deleted = connection.execute(_DELETE.format(**names)).rowcount
    inserted = connection.execute(_INSERT.format(**names)).rowcount
    return Merged(new=inserted, retired=deleted)


def _names(table: Table) -> dict[str, sql.Composable]:
    def values(of: str) -> sql.Composable:
        names = (*table.values, "known_to", "source", "response_id")
        return sql.SQL(", ").join(sql.Identifier(of, name) for name in names)

    names: dict[str, sql.Composable] = {
        "name": sql.Identifier(table.name),
        "real": sql.Identifier(RAW, table.name),
        "aside": sql.Identifier(_ASIDE, table.name),
        "texts": sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(name)) for name in table.columns
        ),
        "same_version": sql.SQL(" AND ").join(
            sql.SQL("old.{0} = new.{0}").format(sql.Identifier(name))
            for name in (*table.key, "known_from")
        ),
        "old_values": values("old"),
        "new_values": values("new"),
    }
    return names | {"of_no_answer": _OF_NO_ANSWER.format(**names)}
