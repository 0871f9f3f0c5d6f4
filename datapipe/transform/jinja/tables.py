"""The results of queries as templates use them: small tables in the shape of agate's.

Values come as dbt gives them: numbers with a fraction as Decimal, what Python has no plain type for
as text, JSON and arrays as the text of their JSON.
"""

from __future__ import annotations

import datetime
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.jinja import printed, scope


@frozen
class Response:
    """What PostgreSQL said a statement did; written, it is the command's tag."""

    _message: str = ""
    code: str | None = None
    rows_affected: int | None = None
    query_id: str | None = None

    def __str__(self) -> str:
        return self._message


class Named(Sequence[Any]):
    """Values in order, which may also have names; iterating gives the values."""

    _called = "MappedSequence"

    def __init__(self, values: Iterable[Any], keys: Sequence[Any] | None = None) -> None:
        self._values = tuple(values)
        self._keys = keys

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) or type(key) is int:
            return self._values[key]
        return self.dict()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._values == tuple(other)

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self._values[:5]))
        return f"<agate.{self._called}: ({shown}{', ...' if len(self) > 5 else ''})>"

    def keys(self) -> Sequence[Any] | None:
        return self._keys

    def values(self) -> tuple[Any, ...]:
        return self._values

    def items(self) -> list[tuple[Any, Any]]:
        return list(zip(self._keys or (), self._values, strict=False))

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return self.dict()[key]
        except KeyError:
            return default

    def dict(self) -> dict[Any, Any]:
        """The values by their names."""
        if self._keys is None:
            raise KeyError("These have no names.")
        return OrderedDict(zip(self._keys, self._values, strict=False))


class Row(Named):
    """One row; ``row[0]``, ``row['name']`` and ``row.name`` are its values."""

    _called = "Row"


@frozen
class DataType:
    """A column's type as templates ask it to write a value."""

    name: str

    def __str__(self) -> str:
        return self.name

    def jsonify(self, value: Any) -> Any:
        """``value`` as JSON can have it."""
        if isinstance(value, Decimal):
            return float(value)
        return value.isoformat() if isinstance(value, datetime.date) else value

    def csvify(self, value: Any) -> Any:
        """``value`` as it stands in a CSV file."""
        return value.isoformat() if isinstance(value, datetime.date) else value


class ColumnOfTable(Named):
    """All values of one column."""

    _called = "Column"

    def __init__(self, name: str, values: Iterable[Any]) -> None:
        super().__init__(values)
        self.name = name

    @property
    def data_type(self) -> DataType:
        """How values of the column are written."""
        return DataType(_type_of(self))

    def values_distinct(self) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(self._values))

    def values_without_nulls(self) -> tuple[Any, ...]:
        return tuple(value for value in self._values if value is not None)

    def values_sorted(self) -> list[Any]:
        return sorted(self._values, key=lambda value: (value is None, value))

    def values_without_nulls_sorted(self) -> list[Any]:
        return sorted(self.values_without_nulls())


class Table:
    """The result of a query; iterating gives its rows.

    ``types`` are those of the columns; without them they are found out from the values.
    """

    def __init__(
        self,
        rows: Iterable[Sequence[Any]],
        names: Iterable[str],
        types: Iterable[str] | None = None,
    ) -> None:
        self.column_names = tuple(names)
        self._types = None if types is None else tuple(types)
        self.rows = Named(Row(row, self.column_names) for row in rows)
        self.row_names = None

    @property
    def columns(self) -> Named:
        columns = zip(*self.rows, strict=True) if len(self.rows) else ((),) * len(self.column_names)
        return Named(
            map(ColumnOfTable, self.column_names, columns),
            self.column_names,
        )

    @property
    def column_types(self) -> tuple[str, ...]:
        """The PostgreSQL type that each column's values fit in."""
        if self._types is not None:
            return self._types
        return tuple(_type_of(column) for column in self.columns)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return self.rows[key]

    def __str__(self) -> str:
        return f"{self._structure()}\n"

    def select(self, key: str | Sequence[str]) -> Table:
        """The table with these columns only."""
        names = [key] if isinstance(key, str) else list(key)
        return Table(([row[name] for name in names] for row in self.rows), names)

    def exclude(self, key: str | Sequence[str]) -> Table:
        """The table without these columns."""
        left_out = {key} if isinstance(key, str) else set(key)
        return self.select([name for name in self.column_names if name not in left_out])

    def rename(self, column_names: Any = None, **_: Any) -> Table:
        """The table with other column names: all of them, or a mapping of old names to new."""
        if isinstance(column_names, dict):
            names = [column_names.get(name, name) for name in self.column_names]
        else:
            names = list(column_names or self.column_names)
        return Table(self.rows, names)

    def where(self, test: Callable[[Row], Any]) -> Table:
        return Table((row for row in self.rows if test(row)), self.column_names)

    def find(self, test: Callable[[Row], Any]) -> Row | None:
        return next((row for row in self.rows if test(row)), None)

    def limit(self, start_or_stop: int | None = None, stop: int | None = None) -> Table:
        rows = self.rows[:start_or_stop] if stop is None else self.rows[start_or_stop:stop]
        return Table(rows, self.column_names)

    def distinct(self, key: Any = None) -> Table:
        """The first row for each value of a column, of several, or of the whole row."""
        first: dict[Any, Row] = {}
        for row in self.rows:
            first.setdefault(_key(row, key), row)
        return Table(first.values(), self.column_names)

    def group_by(self, key: Any, **_: Any) -> Groups:
        """A table for each value of a column, in the order in which the values come first."""
        found: dict[Any, list[Row]] = {}
        for row in self.rows:
            found.setdefault(_key(row, key), []).append(row)
        tables = (Table(rows, self.column_names) for rows in found.values())
        return Groups(tables, list(found))

    def order_by(self, key: Any, reverse: bool = False) -> Table:
        def placed(row: Row) -> Any:
            found = _key(row, key)
            values = found if isinstance(found, tuple) else (found,)
            return [(value is None, value) for value in values]

        rows: list[Row] = sorted(self, key=placed, reverse=reverse)
        return Table(rows, self.column_names)

    def print_table(
        self,
        max_rows: int | None = 20,
        max_columns: int | None = 6,
        output: Any = None,
        max_column_width: int | None = 20,
        locale: str | None = None,
        max_precision: int | None = 3,
    ) -> None:
        """Print the table in characters, with as much of it as is asked for."""
        del output, locale
        _print(printed.grid(self, max_rows, max_columns, max_column_width, max_precision))

    def print_structure(self, **_: Any) -> None:
        """Print what columns there are, and their types."""
        _print(self._structure())

    def _structure(self) -> str:
        types = [(column.name, printed.kind(column)) for column in self.columns]
        return printed.grid(Table(types, ("column", "data_type")))

    def print_csv(self, **_: Any) -> None:
        """Print the table as CSV."""
        _print(printed.as_csv(self))

    def print_json(self, **options: Any) -> None:
        """Print the rows as JSON."""
        _print(printed.as_json(self, **options))


class Groups(Named):
    """The tables that a table was taken apart into, by the values they have in common."""

    def merge(self, **_: Any) -> Table:
        """All their rows in one table again."""
        names = self[0].column_names if len(self) else ()
        return Table((row for table in self for row in table), names)


def _key(row: Row, key: Any) -> Any:
    if key is None:
        return row.values()
    if callable(key):
        return key(row)
    return row[key] if isinstance(key, str) else tuple(row[name] for name in key)


def _print(text: str) -> None:
    """Print ``text`` as the template that is being rendered prints."""
    scope.current().variables["print"](text)


def converted(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> Table:
    """The rows of a cursor as a table: each column's values are of one kind, as agate has them."""
    if not rows:
        return Table((), _apart(names))
    columns = [_column(values) for values in zip(*rows, strict=True)]
    return Table(zip(*columns, strict=True), _apart(names))


def _apart(names: Sequence[str]) -> list[str]:
    """Column names made distinct: a number is put behind one that was there before."""
    seen: dict[str, int] = {}
    apart = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        apart.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return apart


def _column(values: Sequence[Any]) -> Sequence[Any]:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int} or kinds in ({bool}, {datetime.date}, {datetime.datetime}):
        return values
    if kinds <= {int, float, Decimal}:
        return [_decimal(value) for value in values]
    return [_text(value) for value in values]


def _decimal(value: Any) -> Decimal | None:
    if value is None or isinstance(value, Decimal):
        return value
    return Decimal(repr(value))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return str(value)


def _type_of(column: ColumnOfTable) -> str:
    kinds = {type(value) for value in column.values_without_nulls()}
    if kinds == {Decimal}:
        whole = all(value == value.to_integral_value() for value in column.values_without_nulls())
        return "integer" if whole else "float8"
    return {
        frozenset(): "integer",
        frozenset({int}): "integer",
        frozenset({bool}): "boolean",
        frozenset({datetime.date}): "date",
        frozenset({datetime.datetime}): "timestamp without time zone",
    }.get(frozenset(kinds), "text")
