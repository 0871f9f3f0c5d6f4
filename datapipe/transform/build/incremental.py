"""Incremental models: only what is new is computed, and it is published with all the rest.

The new rows go into a table aside, the increment. What everybody else in the run reads, tests and
models alike, is a view aside that shows the published rows with the increment applied, so all of
them see the table as it will be. Publishing then changes the published table itself by deleting and
inserting (or merging) the same rows within the one transaction: readers see the old rows until it
commits, nothing waits for them, and a failed test leaves no trace. The work follows what is new,
not what is stored.

Where ``on_schema_change`` changes the columns, the whole table is written anew aside out of that
same view, and swapped like any other table.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.build import aside
from datapipe.transform.database import catalog
from datapipe.transform.build.table import Built, Statements, fill, line_of
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.compile import Compiler
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute
from datapipe.warehouse.failures import failure

SUFFIX = "__increment"
_DEST, _SOURCE = "DBT_INTERNAL_DEST", "DBT_INTERNAL_SOURCE"


def starting(
    connection: psycopg.Connection, models: Collection[Model], *, full_refresh: bool
) -> dict[str, RelationState]:
    """The published tables of those of ``models`` that get an increment and not all their rows."""
    wanted = {
        (model.relation.schema, model.relation.identifier): model.name
        for model in models
        if model.materialized == "incremental" and not refreshes_fully(model, full_refresh)
    }
    found = catalog.states(connection, wanted) if wanted else {}
    return {wanted[name]: state for name, state in found.items() if state.kind == "r"}


def refreshes_fully(model: Model, full_refresh: bool) -> bool:
    """Whether all rows are computed: the model's own setting goes before that of the run."""
    own = model.config.get("full_refresh")
    return full_refresh if own is None else bool(own)


def build(
    connection: psycopg.Connection, model: Model, compiler: Compiler, published: RelationState
) -> Built:
    """Compute the increment of ``model`` aside, and show there what it makes of the table."""
    started = time.perf_counter()
    shown = compiler.place(model)
    new = model.relation.within(aside.beside(model.relation.schema, SUFFIX))
    compiled = compiler.model(model)
    statements = Statements()
    statements.add(f"CREATE TABLE {new.local} AS (\n", compiled, ") WITH NO DATA")
    statements.add(f"INSERT INTO {new.local} (\n", compiled)
    statements.add(f"ANALYZE {new.local}")
    rows = statements.execute(connection, compiled, compiler)
    increment = _Increment(model, published, _state(connection, new))
    try:
        if increment.is_reshaped:
            fill(connection, model, shown, increment.applied())
            return Built(model, shown, rows, time.perf_counter() - started)
        execute(connection, f"CREATE VIEW {shown.local} AS {increment.applied()}")
    except psycopg.Error as error:
        raise told(error, model) from error
    seconds = time.perf_counter() - started
    return Built(model, shown, rows, seconds, increment=increment.statements())


def told(error: psycopg.Error, model: Model) -> DatapipeError:
    """What PostgreSQL says of applying an increment, in the words of the model's settings."""
    said = error.diag.message_primary or str(error)
    if error.sqlstate == "21000":
        message = (
            f"The model {model.name} has several new rows for one unique_key, so they cannot be "
            "merged."
        )
    elif (error.sqlstate or "")[:2] in {"21", "22", "23", "42"}:
        message = f"PostgreSQL cannot apply the new rows of {model.name}: {said}."
    else:
        return failure(error, f"applying the new rows of {model.name}")
    return ProjectError(
        f"{message} Mend unique_key, incremental_predicates or the model.",
        path=model.path,
        line=line_of(model, "unique_key"),
        model=model.name,
    )


def _state(connection: psycopg.Connection, relation: Relation) -> RelationState:
    name = relation.schema, relation.identifier
    return catalog.states(connection, [name])[name]


@dataclass(frozen=True)
class _Column:
    """A column of the table as it will be; None where the old table or the increment lacks it."""

    name: str
    type: str
    old_type: str | None
    new_type: str | None

    def from_(self, alias: str) -> str:
        """Its value out of the old table or the increment."""
        there = self.old_type if alias == _DEST else self.new_type
        if there is None:
            return f"CAST(NULL AS {self.type}) AS {quoted(self.name)}"
        plain = f"{alias}.{quoted(self.name)}"
        return (
            plain if there == self.type else f"CAST({plain} AS {self.type}) AS {quoted(self.name)}"
        )


class _Increment:
    def __init__(self, model: Model, old: RelationState, new: RelationState) -> None:
        self.model = model
        self.old = old
        self.new = new
        self.keys = _listed(model.config.get("unique_key"))
        given = model.config.get("incremental_predicates") or model.config.get("predicates")
        self.predicates = _listed(given)
        default = "delete+insert" if self.keys else "append"
        strategy = str(model.config.get("incremental_strategy") or default)
        self.strategy = strategy if self.keys else "append"
        self.columns = self._columns()

    @property
    def is_reshaped(self) -> bool:
        """Whether the columns of the table change."""
        before = [(column.name, column.type) for column in self.old.columns]
        return [(column.name, column.type) for column in self.columns] != before

    def applied(self) -> str:
        """A query for the rows of the table as it will be."""
        old, new = f"{self.old.local} AS {_DEST}", f"{self.new.local} AS {_SOURCE}"
        kept, came = self._select(_DEST), self._select(_SOURCE)
        if self.strategy == "append":
            return f"SELECT {kept} FROM {old} UNION ALL SELECT {came} FROM {new}"  # noqa: S608 - quoted
        if self.strategy == "merge":
            on = self._merged_on()
            updated = self._updated()
            both = ", ".join(
                column.from_(_SOURCE if column.name in updated else _DEST)
                for column in self.columns
            )
            return (
                f"SELECT {kept} FROM {old} WHERE NOT EXISTS (SELECT FROM {new} WHERE {on}) "  # noqa: S608
                f"UNION ALL SELECT {both} FROM {old} JOIN {new} ON {on} "
                f"UNION ALL SELECT {came} FROM {new} "
                f"WHERE NOT EXISTS (SELECT FROM {old} WHERE {on})"
            )
        # The keys get names of their own, so that a name in a predicate or a key that is an
        # expression means a column of the table, as it does in DELETE.
        keys = ", ".join(f"{key} AS __key_{number}" for number, key in enumerate(self.keys))
        match = " AND ".join(
            f"increment.__key_{number} = ({key})" for number, key in enumerate(self.keys)
        )
        return (
            f"SELECT {kept} FROM {old} WHERE NOT EXISTS (SELECT FROM (SELECT {keys} FROM {new}) "  # noqa: S608
            f"AS increment WHERE {match}{self._and_predicates()}) "
            f"UNION ALL SELECT {came} FROM {new}"
        )

    def statements(self) -> tuple[str, ...]:
        """What changes the published table to the rows of ``applied``."""
        names = [quoted(column.name) for column in self.columns if column.new_type]
        columns, table, new = ", ".join(names), self.old.local, self.new.local
        if self.strategy == "merge":
            updated = self._updated()
            sets = ", ".join(
                f"{name} = {_SOURCE}.{name}"
                for name in map(quoted, (c.name for c in self.columns if c.name in updated))
            )
            update = f"WHEN MATCHED THEN UPDATE SET {sets} " if sets else ""
            values = ", ".join(f"{_SOURCE}.{name}" for name in names)
            merge = (
                f"MERGE INTO {table} AS {_DEST} USING {new} AS {_SOURCE} ON {self._merged_on()} "  # noqa: S608
                f"{update}WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})"
            )
            return (merge,)
        insert = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {new}"  # noqa: S608
        if self.strategy == "append":
            return (insert,)
        keys = ", ".join(self.keys)
        delete = (
            f"DELETE FROM {table} AS {_DEST} WHERE ({keys}) IN (SELECT {keys} FROM {new} "  # noqa: S608
            f"AS {_SOURCE}){self._and_predicates()}"
        )
        return delete, insert

    def _select(self, alias: str) -> str:
        return ", ".join(column.from_(alias) for column in self.columns)

    def _and_predicates(self) -> str:
        return "".join(f" AND {predicate}" for predicate in self.predicates)

    def _merged_on(self) -> str:
        matches = [f"{_SOURCE}.{key} = {_DEST}.{key}" for key in self.keys]
        return " AND ".join(f"({condition})" for condition in (*self.predicates, *matches))

    def _updated(self) -> set[str]:
        """The columns that a merge changes in the rows that are there."""
        config = self.model.config
        names = {column.name for column in self.columns if column.new_type}
        if config.get("merge_update_columns"):
            return names & set(_listed(config["merge_update_columns"]))
        excluded = {name.lower() for name in _listed(config.get("merge_exclude_columns"))}
        return {name for name in names if name.lower() not in excluded}

    def _columns(self) -> list[_Column]:
        """The columns of the table as it will be, by what ``on_schema_change`` says."""
        old = {column.name: column.type for column in self.old.columns}
        new = {column.name: column.type for column in self.new.columns}
        policy = self.model.config.get("on_schema_change") or "ignore"
        if policy == "ignore":
            missing = next((name for name in old if name not in new), None)
            if missing is not None:
                raise self._out_of_step(f"the model no longer has the column {missing}")
            return [_Column(name, type_, type_, new[name]) for name, type_ in old.items()]
        if policy == "fail":
            differing = _difference(old, new)
            if differing:
                raise self._out_of_step(differing)
        kept, retyped = old, {}
        if policy == "sync_all_columns":
            kept = {name: type_ for name, type_ in old.items() if new.get(name) == type_}
            # To dbt, a column of another type is a new one in the old one's place: it comes last.
            retyped = {name: new[name] for name in new if name in old and name not in kept}
        added = {name: type_ for name, type_ in new.items() if name not in old}
        return [
            _Column(name, type_, old.get(name), new.get(name))
            for name, type_ in {**kept, **added, **retyped}.items()
        ]

    def _out_of_step(self, differing: str) -> ProjectError:
        return ProjectError(
            f"The model {self.model.name} and its table {self.old.local} are out of step: "
            f"{differing}. Run once with --full-refresh, or set on_schema_change to "
            "append_new_columns or sync_all_columns.",
            path=self.model.path,
            line=line_of(self.model, "on_schema_change"),
            model=self.model.name,
        )


def _difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    for name in new:
        if name not in old:
            return f"the column {name} is new"
        if new[name] != old[name]:
            return f"the column {name} is {new[name]} and was {old[name]}"
    gone = next((name for name in old if name not in new), None)
    return f"the model no longer has the column {gone}" if gone else ""


def _listed(value: Any) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(each) for each in value]
