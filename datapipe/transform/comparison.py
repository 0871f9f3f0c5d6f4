"""Compares an incremental model as a full build gives it with what increments have made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.build.increment import listed
from datapipe.transform.database import catalog
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.nodes import Model

_DIFFERING = "pg_temp.datapipe_differing"
_OF_TIME = ("date", "time", "timestamp")


@frozen
class Difference:
    """The first row that is not the same both ways.

    ``key`` is its unique key, or the whole row where there is none, as text. ``columns`` has both
    values of each column that differs, the full build's first; None is NULL. ``only_in`` says
    which of the two has the row, if only one has it.
    """

    key: Mapping[str, str | None]
    columns: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    only_in: str = ""
    is_whole_row: bool = False


@frozen
class Verified:
    """An incremental model, built both ways; ``rows`` is how many rows a full build gives.

    ``differing`` counts the keys that are not the same, or the rows where there is no key.
    ``columns`` says how the columns themselves differ, and ``note`` what was not compared, and why.
    """

    name: str
    relation: str
    rows: int = 0
    differing: int = 0
    columns: tuple[str, ...] = ()
    first: Difference | None = None
    note: str = ""
    is_compared: bool = True

    @property
    def is_same(self) -> bool:
        return not self.columns and not self.differing


class Comparison:
    """Compares two relations row for row, as text: so two numbers must have the same digits."""

    def __init__(
        self,
        connection: psycopg.Connection,
        model: Model,
        whole: Relation,
        grown: Relation,
        clock: str,
    ) -> None:
        self.connection = connection
        self.model = model
        self.whole, self.grown = whole.local, grown.local
        self.clock = clock
        states = catalog.states(connection, [whole.standing, grown.standing])
        self.types = {column.name: column.type for column in states[whole.standing].columns}
        self.other_types = {column.name: column.type for column in states[grown.standing].columns}
        self.compared = list(self.types)

    @property
    def row(self) -> str:
        """The columns that are compared, as text, in one order: each relation may have another."""
        columns = ", ".join(f"t.{quoted(name)}" for name in self.compared)
        return f"ROW({columns})::text"

    def outcome(self, relation: str) -> Verified:
        rows = int(self._value(f"SELECT count(*) FROM {self.whole}"))
        columns = self._other_columns()
        name = self.model.name
        if columns:
            return Verified(name, relation, rows, columns=(columns,))
        keys = listed(self.model.config.get("unique_key"))
        differing, note = self._differing(), ""
        if differing and keys and self.clock.startswith("reads the clock"):
            clocked = self._clocked(keys)
            if clocked:
                note = f"Not compared: {', '.join(clocked)}, as the model {self.clock}."
                self.compared = [name for name in self.compared if name not in clocked]
                differing = self._differing()
        if not differing:
            return Verified(name, relation, rows, note=note)
        first = self._first_by_key(keys) if keys else self._first_row()
        if keys:
            differing = int(self._value(f"SELECT count(*) FROM {self._both(keys)}"))
        return Verified(name, relation, rows, differing, first=first, note=note)

    def _differing(self) -> int:
        """How many rows only one of them has; those rows are kept for a closer look."""
        execute(
            self.connection,
            f"DROP TABLE IF EXISTS {_DIFFERING}; CREATE TEMP TABLE datapipe_differing "
            "ON COMMIT DROP AS SELECT row, sum(side) AS more "
            f"FROM (SELECT {self.row} AS row, 1 AS side FROM {self.whole} AS t UNION ALL "
            f"SELECT {self.row}, -1 FROM {self.grown} AS t) both_ways "
            "GROUP BY row HAVING sum(side) <> 0",
        )
        return int(self._value(f"SELECT coalesce(sum(abs(more)), 0) FROM {_DIFFERING}"))

    def _other_columns(self) -> str:
        """How the columns differ, as a sentence; their order does not count."""
        for name, type_ in self.types.items():
            other = self.other_types.get(name)
            if other is None:
                return f"only a full build has the column {name}."
            if other != type_:
                return f"the column {name} is {type_} in a full build, and {other} as it grew."
        extra = next((name for name in self.other_types if name not in self.types), None)
        return f"a full build does not have the column {extra} any more." if extra else ""

    def _rows(self, table: str, keys: Sequence[str]) -> str:
        named = ", ".join(f"({key})::text AS key_{n}" for n, key in enumerate(keys))
        columns = ", ".join(map(quoted, self.types))
        return (
            f"(SELECT {named}, {columns} FROM (SELECT * FROM {table} AS t "
            f"WHERE {self.row} IN (SELECT row FROM {_DIFFERING})) AS t)"
        )

    def _both(self, keys: Sequence[str]) -> str:
        """The differing rows of both, side by side by key."""
        w, g = self._rows(self.whole, keys), self._rows(self.grown, keys)
        # Within an array NULL equals NULL, and a full join takes an equality only.
        arrays = " = ".join(
            "ARRAY[" + ", ".join(f"{side}.key_{n}" for n in range(len(keys))) + "]" for side in "wg"
        )
        return f"{w} AS w FULL JOIN {g} AS g ON {arrays}"

    def _first_by_key(self, keys: Sequence[str]) -> Difference:
        chosen = ", ".join(f"coalesce(w.key_{n}, g.key_{n}) AS k{n}" for n in range(len(keys)))
        values = ", ".join(
            f"w.{quoted(name)}::text, g.{quoted(name)}::text" for name in self.compared
        )
        order = ", ".join(f"k{n}" for n in range(len(keys)))
        row = execute(
            self.connection,
            f"SELECT {chosen}, w IS NOT DISTINCT FROM NULL, g IS NOT DISTINCT FROM NULL, {values} "
            f"FROM {self._both(keys)} ORDER BY {order} LIMIT 1",
        ).fetchone()
        assert row is not None  # noqa: S101 - there are differing rows
        count = len(keys)
        key = dict(zip(keys, row[:count], strict=True))
        no_whole, no_grown = row[count], row[count + 1]
        if no_whole or no_grown:
            return Difference(key, only_in="what increments give" if no_whole else "a full build")
        pairs = zip(row[count + 2 :: 2], row[count + 3 :: 2], strict=True)
        columns = {
            name: pair
            for name, pair in zip(self.compared, pairs, strict=True)
            if pair[0] != pair[1]
        }
        return Difference(key, columns)

    def _first_row(self) -> Difference:
        row = execute(
            self.connection,
            f"SELECT row, more FROM {_DIFFERING} ORDER BY row LIMIT 1",
        ).fetchone()
        assert row is not None  # noqa: S101 - a table of differences is not empty
        where = "a full build" if row[1] > 0 else "what increments give"
        return Difference({"the row": row[0]}, only_in=where, is_whole_row=True)

    def _clocked(self, keys: Sequence[str]) -> list[str]:
        """The columns of dates and times that differ: their values may come from a clock."""
        names = [name for name, type_ in self.types.items() if type_.startswith(_OF_TIME)]
        if not names:
            return []
        differs = ", ".join(
            f"bool_or(w.{quoted(name)}::text IS DISTINCT FROM g.{quoted(name)}::text)"
            for name in names
        )
        there = "w.key_0 IS NOT NULL AND g.key_0 IS NOT NULL"
        row = execute(
            self.connection,
            f"SELECT {differs} FROM {self._both(keys)} WHERE {there}",
        ).fetchone()
        assert row is not None  # noqa: S101 - the key is among them
        return [name for name, is_other in zip(names, row, strict=True) if is_other]

    def _value(self, query: str) -> Any:
        row = execute(self.connection, query).fetchone()
        return row[0] if row else None
