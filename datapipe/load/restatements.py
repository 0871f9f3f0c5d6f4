"""Restatements: what a row said before, and what it says since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from psycopg import sql

from datapipe.frozen import frozen
from datapipe.load.merge import RAW
from datapipe.load.tables import TABLES, Table
from datapipe.warehouse import Warehouse, migrate


@frozen
class Restatement:
    """A value of a row that became another one. ``part`` is what else tells the row apart."""

    table: str
    symbol: str
    date: str
    part: str
    column: str
    old_value: str | None
    new_value: str | None
    since: datetime


_QUERY = sql.SQL(
    """
    SELECT {name}, new.symbol, {date}, {part}, value.name, value.old, value.new, new.known_from
    FROM {table} AS old
    JOIN {table} AS new ON {same_key} AND new.known_from = old.known_to
    CROSS JOIN LATERAL (VALUES {values}) AS value (name, old, new, differs, place)
    WHERE old.known_to >= coalesce({since}, '-infinity'::timestamptz)
      AND (cardinality({symbols}) = 0 OR old.symbol = ANY({symbols})) AND value.differs
    ORDER BY new.known_from, new.symbol, 3, 4, value.place
    """
)


def run(
    warehouse: Warehouse, symbols: Sequence[str] = (), since: date | None = None
) -> tuple[Restatement, ...]:
    """The restatements of ``symbols`` (of none: of all), known since a date; by table and time."""
    with warehouse.connect(autocommit=True) as connection:
        migrate.upgrade(warehouse, connection)
        return tuple(
            Restatement(*row)
            for table in TABLES
            for row in connection.execute(_query(table, symbols, since))
        )


def _query(table: Table, symbols: Sequence[str], since: date | None) -> sql.Composed:
    def text(name: str) -> sql.Composable:
        return sql.SQL("new.{}::text").format(sql.Identifier(name))

    parts = [name for name in table.key[1:] if name != table.date_column]
    values = [
        sql.SQL(
            "({0}, old.{1}::text, new.{1}::text, old.{1} IS DISTINCT FROM new.{1}, {2})"
        ).format(sql.Literal(name), sql.Identifier(name), sql.Literal(place))
        for place, name in enumerate(table.values)
    ]
    return _QUERY.format(
        name=sql.Literal(table.name),
        table=sql.Identifier(RAW, table.name),
        date=text(table.date_column) if table.date_column else sql.Literal(""),
        part=sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join(map(text, parts)))
        if parts
        else sql.Literal(""),
        same_key=sql.SQL(" AND ").join(
            sql.SQL("new.{0} = old.{0}").format(sql.Identifier(name)) for name in table.key
        ),
        values=sql.SQL(", ").join(values),
        since=sql.SQL("{}::timestamptz").format(sql.Literal(since)),
        symbols=sql.SQL("{}::text[]").format(sql.Literal(list(symbols))),
    )
