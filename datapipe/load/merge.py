"""Merging rows into tables with versions.

A row that is new gets a version; a row that differs from its current version ends that version and
begins another; a row that does not differ is not touched. Where an answer tells of all there is, a
row that it leaves out is retired: its version ends, and no other begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import psycopg
from psycopg import sql

from datapipe.frozen import frozen
from datapipe.load.copy_text import Incoming, as_texts, blocks
from datapipe.load.tables import VERSION_COLUMNS, Table

RAW = "raw"


@frozen
class Merged:
    """How many versions a merge wrote, of ``new`` rows and of ``restated`` ones, or only ended."""

    new: int = 0
    restated: int = 0
    retired: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(
            self.new + other.new, self.restated + other.restated, self.retired + other.retired
        )


@dataclass
class _Found:
    """What an intake knows of a table: rows written at once, and the bounds of those set aside."""

    was_empty: bool
    written: int = 0
    is_aside: bool = False
    symbols: set[str | None] = field(default_factory=set)
    first: str | None = None
    last: str | None = None


class Intake:
    """Rows on their way into the tables of ``schema``.

    ``add`` copies rows, and may be called as often as there are more: into their table if it is
    empty or knows nothing of them, otherwise aside. ``merge`` then merges what lies aside. Between
    two merges no key of a table may come twice. Both run within the caller's transaction.
    """

    def __init__(self, connection: psycopg.Connection, schema: str = RAW) -> None:
        self._connection = connection
        self._schema = schema
        self._found: dict[Table, _Found] = {}

    def add(self, table: Table, batch: Iterable[Incoming]) -> None:
        """Copy rows; of series of numbers, only rows that are not there already as they are."""
        names = _names(table, self._schema)
        if table not in self._found:
            self._found[table] = _Found(table.is_plain and not self._any(_ANY_AT_ALL, names))
        found = self._found[table]
        if found.was_empty:
            found.written += self._copy(names["table"], table, names, batch)
            return
        if table.is_plain:
            batch = list(batch)
            current = self._current_lines(table, names, batch)
            if not current:
                found.written += self._copy(names["table"], table, names, batch)
                return
            batch = _news(batch, current)
            if not batch:
                return
        if not found.is_aside:
            self._connection.execute(_CREATE.format(**names))
            found.is_aside = True
        self._copy(names["aside"], table, names, _noted(batch, found, table))

    def _copy(
        self,
        into: sql.Composable,
        table: Table,
        names: dict[str, sql.Composable],
        batch: Iterable[Incoming],
    ) -> int:
        """Copy rows into a table; gives how many there were."""
        query = _COPY.format(into=into, columns=names["columns"])
        with self._connection.cursor() as cursor:
            with cursor.copy(query) as copy:
                for text in blocks(batch, len(table.columns)):
                    copy.write(text)
            return cursor.rowcount

    def _current_lines(
        self, table: Table, names: dict[str, sql.Composable], batch: list[Incoming]
    ) -> frozenset[str]:
        """The current versions of rows that ``batch`` may have, each as ``as_texts`` writes it."""
        told = _Found(was_empty=False)
        for incoming in batch:
            _note(told, table, incoming.rows)
        query = _CURRENT_LINES.format(**names, within=_within(table, told))
        row = self._connection.execute(query).fetchone()
        return frozenset(row[0].split("\n")) if row else frozenset()

    def merge(self) -> dict[str, Merged]:
        """Merge what was added, table by table."""
        # Where the statistics of a table are older than its rows, a nested loop looks cheap and
        # takes for ever; what is left are joins whose time follows the number of rows.
        self._connection.execute("SET LOCAL enable_nestloop = off")
        merged = {table.name: self._merge(table) for table in self._found}
        self._found = {}
        return merged

    def _merge(self, table: Table) -> Merged:
        found = self._found[table]
        merged = Merged(new=found.written)
        if found.is_aside:
            names = _names(table, self._schema) | {"within": _within(table, found)}
            if found.symbols:
                merged += self._merge_aside(table, names)
            self._connection.execute(_DROP.format(**names))
        return merged

    def _merge_aside(self, table: Table, names: dict[str, sql.Composable]) -> Merged:
        execute = self._connection.execute
        if not table.scope and not self._any(_ANY_CURRENT, names):
            return Merged(new=execute(_INSERT_ALL.format(**names)).rowcount)
        execute(_ANALYZE.format(**names))
        written = execute(_FIND_CHANGED.format(**names)).rowcount
        restated = retired = 0
        if written and self._any(_ANY_RESTATED, names):
            restated = execute(_END_RESTATED.format(**names)).rowcount
        if table.scope:
            retired = execute(_RETIRE.format(**names)).rowcount
        if written:
            execute(_INSERT_CHANGED.format(**names))
        execute("DROP TABLE changed")
        return Merged(written - restated, restated, retired)

    def _any(self, query: sql.SQL, names: dict[str, sql.Composable]) -> bool:
        row = self._connection.execute(query.format(**names)).fetchone()
        return bool(row and row[0])


def merge(connection: psycopg.Connection, table: Table, batch: Iterable[Incoming]) -> Merged:
    """Merge ``batch`` into ``table``; no key may come twice in it.

    A row known no later than its current version is left out, so that an old answer that is loaded
    late cannot restate a newer one. Runs within the caller's transaction.
    """
    intake = Intake(connection)
    intake.add(table, batch)
    return intake.merge()[table.name]


_CREATE = sql.SQL("CREATE TEMPORARY TABLE {aside} (LIKE {table}) ON COMMIT DROP")
_COPY = sql.SQL("COPY {into} ({columns}) FROM STDIN")
# Of the key alone: to look at all columns takes as long as the merge of a small batch.
_ANALYZE = sql.SQL("ANALYZE {aside} ({key})")
_DROP = sql.SQL("DROP TABLE {aside}")

_ANY_AT_ALL = sql.SQL("SELECT EXISTS (SELECT FROM {table} AS current)")
# concat_ws leaves NULLs out: such a line is that of no row.
_CURRENT_LINES = sql.SQL(
    """
    SELECT string_agg(concat_ws(E'\\t', {current_columns}), E'\\n')
    FROM {table} AS current WHERE {within} AND current.known_to IS NULL
    HAVING count(*) > 0
    """
)
_ANY_CURRENT = sql.SQL(
    "SELECT EXISTS (SELECT FROM {table} AS current WHERE {within} AND current.known_to IS NULL)"
)
_INSERT_ALL = sql.SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM {aside}")

# The one look at the current rows: what of the incoming ones is new, and what differs.
_FIND_CHANGED = sql.SQL(
    """
    CREATE TEMPORARY TABLE changed ON COMMIT DROP AS
    SELECT incoming.*, current.known_from IS NOT NULL AS restates
    FROM {aside} AS incoming
    LEFT JOIN {table} AS current ON {same_key} AND {within} AND current.known_to IS NULL
    WHERE (
        current.known_from IS NULL
        OR current.known_from < incoming.known_from
        AND ({current_values}) IS DISTINCT FROM ({incoming_values})
    ) {not_told_of_later}
    """
)
_ANY_RESTATED = sql.SQL("SELECT EXISTS (SELECT FROM changed WHERE restates)")
_END_RESTATED = sql.SQL(
    """
    UPDATE {table} AS current SET known_to = incoming.known_from
    FROM changed AS incoming
    WHERE incoming.restates AND {same_key} AND {within} AND current.known_to IS NULL
    """
)
_INSERT_CHANGED = sql.SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM changed")

# A row that lies in what an answer tells all of, and that this answer does not tell of.
_RETIRE = sql.SQL(
    """
    UPDATE {table} AS current SET known_to = told.known_from
    FROM (SELECT DISTINCT {incoming_scope}, incoming.known_from FROM {aside} AS incoming) AS told
    WHERE ({current_scope}) = ({told_scope}) AND current.known_from < told.known_from
      AND current.known_to IS NULL AND {retirable}
      AND NOT EXISTS (SELECT FROM {aside} AS incoming WHERE {same_key})
    """
)
# An old answer that is loaded late may not bring back what a newer one left out.
_NOT_TOLD_OF_LATER = sql.SQL(
    """
    AND NOT EXISTS (
        SELECT FROM {table} AS later
        WHERE ({later_scope}) = ({late_scope}) AND later.known_to IS NULL
          AND later.known_from > incoming.known_from
    )
    """
)


def _news(batch: Sequence[Incoming], current: frozenset[str]) -> list[Incoming]:
    """``batch`` without rows that are written just as their ``current`` versions.

    Nothing would come of them, and most rows of a compact answer are such. Reading the current
    versions as texts takes a third of the time of copying these rows aside and joining them.
    """
    news = []
    for incoming in batch:
        texts = as_texts(incoming.rows)
        fresh = set(texts) - current
        if fresh:
            rows = [row for row, text in zip(incoming.rows, texts, strict=True) if text in fresh]
            news.append(replace(incoming, rows=rows))
    return news


def _noted(batch: Iterable[Incoming], found: _Found, table: Table) -> Iterator[Incoming]:
    for incoming in batch:
        _note(found, table, incoming.rows)
        yield incoming


def _note(found: _Found, table: Table, rows: Sequence[tuple[str | None, ...]]) -> None:
    found.symbols.update(map(itemgetter(0), rows))
    if table.date_column is None or not rows:
        return
    days = list(map(itemgetter(table.columns.index(table.date_column)), rows))
    first, last = min(days), max(days)
    found.first = first if found.first is None else min(found.first, first)
    found.last = last if found.last is None else max(found.last, last)


def _within(table: Table, found: _Found) -> sql.Composable:
    """A condition for the current rows that the new ones may meet, so that no others are read."""
    symbols = sorted(symbol or "" for symbol in found.symbols)
    within = sql.SQL("current.symbol = ANY({})").format(sql.Literal(symbols))
    if table.date_column is None or found.first is None:
        return within
    return sql.SQL("{} AND current.{} BETWEEN {} AND {}").format(
        within, sql.Identifier(table.date_column), sql.Literal(found.first), sql.Literal(found.last)
    )


def _names(table: Table, schema: str) -> dict[str, sql.Composable]:
    def listed(names: Iterable[str], of: str) -> sql.Composable:
        return sql.SQL(", ").join(sql.Identifier(of, name) for name in names)

    def expressions(of: str) -> list[sql.Composable]:
        return [sql.SQL(each).format(row=sql.Identifier(of)) for each in table.scope]

    def scope(of: str) -> sql.Composable:
        return sql.SQL(", ").join(expressions(of))

    parts = [sql.Identifier(f"scope_{n}") for n in range(len(table.scope))]
    names: dict[str, sql.Composable] = {
        "table": sql.Identifier(schema, table.name),
        "aside": sql.Identifier("pg_temp", f"incoming_{table.name}"),
        "key": sql.SQL(", ").join(map(sql.Identifier, table.key)),
        "columns": sql.SQL(", ").join(map(sql.Identifier, (*table.columns, *VERSION_COLUMNS))),
        "current_columns": listed(table.columns, "current"),
        "same_key": sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(
                sql.Identifier("current", name), sql.Identifier("incoming", name)
            )
            for name in table.key
        ),
        "current_values": listed(table.values, "current"),
        "incoming_values": listed(table.values, "incoming"),
        "not_told_of_later": sql.SQL(""),
    }
    if table.scope:
        names |= {
            "current_scope": scope("current"),
            "incoming_scope": sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(expression, part)
                for expression, part in zip(expressions("incoming"), parts, strict=True)
            ),
            "told_scope": sql.SQL(", ").join(sql.SQL("told.{}").format(part) for part in parts),
            "retirable": sql.SQL(table.retirable).format(row=sql.Identifier("current")),
        }
        names["not_told_of_later"] = _NOT_TOLD_OF_LATER.format(
            table=names["table"], later_scope=scope("later"), late_scope=scope("incoming")
        )
    return names
