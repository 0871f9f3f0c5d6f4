"""The rows of a unit test as queries: those given in place of inputs, and those expected."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.checks.unit import literals
from datapipe.transform.checks.unit.alone import referred
from datapipe.transform.checks.unit.columns import Column, Columns, Known, matched
from datapipe.transform.compile import Compiler
from datapipe.transform.database.relation import quoted
from datapipe.transform.jinja import said
from datapipe.transform.jinja.context import near
from datapipe.transform.manifest.nodes import Model, Source
from datapipe.transform.manifest.setting_lines import below
from datapipe.transform.manifest.tests import Given, Rows, UnitTest
from datapipe.warehouse.failures import class_of


@frozen
class Expected:
    """The expected rows as a query, and the columns of the model that they name."""

    columns: tuple[Column, ...]
    sql: str


class Fixtures:
    """What one unit test gives and expects; ``lines`` are where the rows of each query stand."""

    def __init__(self, test: UnitTest, model: Model, compiler: Compiler, columns: Columns) -> None:
        self.test = test
        self.model = model
        self.lines: dict[str, int] = {}
        self._compiler = compiler
        self._columns = columns
        self._given = {self._input(given).unique_id: given for given in test.given}
        grows = (test.overrides.get("macros") or {}).get("is_incremental")
        if grows and not self.gives(model):
            raise self._mistake(
                f"In the unit test {test.name} the model {model.name} grows, and nothing says from "
                "what. Add `- input: this` with the rows that are there.",
                test.line,
            )

    def gives(self, node: Model | Source) -> bool:
        return node.unique_id in self._given

    def sql_for(self, node: Model | Source) -> str:
        """The query for the rows in place of ``node``; raises ProjectError if none are given."""
        name = self._written(node)
        given = self._given.get(node.unique_id)
        if given is None:
            raise self._mistake(
                f"The model {self.model.name} reads {name}, and the unit test {self.test.name} "
                f"gives no rows for it. Add `- input: {name}` with its rows, or `rows: []`.",
                self.test.line,
            )
        if given.rows.format == "sql":
            sql = self._completed(self._rendered(given.rows), node, given.rows)
        else:
            sql = literals.query(*self._typed(self._rows(given.rows, node), node, name, given.rows))
        self.lines[sql] = given.rows.line
        return sql

    def expected(self, actual: Sequence[Column]) -> Expected:
        """The expected rows, with the types that the model's columns have."""
        given = self.test.expect
        if given.format == "sql":
            rows, text = [], self._rendered(given)
            names = [column.name for column in self._described(text, given)]
        else:
            rows, text = self._rows(given, None), ""
            names = list(dict.fromkeys(name for row in rows for name in row))
        named = names or [column.name for column in actual]
        meant = matched(actual, named)
        self._refuse_unknown(named, meant, actual, "what is expected", given)
        types = {column.name: column.type or "text" for column in actual}
        columns = tuple(Column(name, types[name]) for name in dict.fromkeys(meant.values()))
        if given.format == "sql":
            cast = ", ".join(
                f"CAST({quoted(name)} AS {types[column]}) AS {quoted(column)}"
                for name, column in meant.items()
            )
            sql = f"SELECT {cast} FROM (\n{text}\n) given"
        else:
            renamed = [{meant[name]: row[name] for name in row} for row in rows]
            sql = literals.query(renamed, [(each.name, types[each.name]) for each in columns])
        self.lines[sql] = given.line
        return Expected(columns, sql)

    def _input(self, given: Given) -> Model | Source:
        """The node that ``given`` stands for."""
        written = given.input.strip()
        if written == "this":
            return self.model
        manifest = self._compiler.manifest

        def ref(*names: str, **options: Any) -> Model:
            return referred(manifest, self.model, names, options)

        def source(source_name: str, name: str) -> Source:
            return manifest.source(source_name, name, package=self.model.package)

        own = {"ref": ref, "source": source}
        found = self._compiler.renderer.value("{{ " + written + " }}", own, **self._at(given.rows))
        if not isinstance(found, Model | Source):
            raise self._mistake(
                f"An input must be ref(...), source(...) or this, not {written}.", given.rows.line
            )
        return found

    def _rows(self, given: Rows, node: Model | Source | None) -> list[dict[str, Any]]:
        """The rows of dictionaries or CSV; a seed without rows gives those of its file."""
        if given.format == "csv":
            return self._read(str(given.rows), given.line)
        if given.rows is None and isinstance(node, Model) and node.is_seed:
            return self._read(node.path.read_text(encoding="utf-8-sig"), given.line)
        rows = given.rows or []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._mistake(
                f"The rows of the unit test {self.test.name} must be a list of mappings of columns "
                "to values. Say format: csv or format: sql where they are text.",
                given.line,
            )
        return [{str(name): value for name, value in row.items()} for row in rows]

    def _read(self, text: str, line: int) -> list[dict[str, Any]]:
        """The rows of CSV; an empty value is NULL."""
        reader = csv.DictReader(io.StringIO(text.strip("\r\n")))
        rows = []
        for row in reader:
            if None in row:
                values = [*(row[name] for name in row if name is not None), *row[None]]
                raise self._mistake(
                    f"A row of the unit test {self.test.name} has {len(values)} values, but there "
                    f"are {len(values) - len(row[None])} columns.",
                    below(self.test.path, line, ",".join(map(str, values))) or line,
                )
            rows.append({name.strip(): value or None for name, value in row.items()})
        return rows

    def _typed(
        self, rows: Sequence[Mapping[str, Any]], node: Model | Source, name: str, given: Rows
    ) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """``rows`` under the names of the columns of ``node``, and all of these with types."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns, meant = self._meant(names, node, name, given)
        renamed = [{meant[each]: value for each, value in row.items()} for row in rows]
        written = given.format != "dict"
        return renamed, [
            (
                column.name,
                column.type
                or literals.guessed([row.get(column.name) for row in renamed], written=written),
            )
            for column in columns
        ]

    def _meant(
        self, names: Sequence[str], node: Model | Source, name: str, given: Rows
    ) -> tuple[tuple[Column, ...], dict[str, str]]:
        """The columns of ``node``, and which of them each of ``names`` is."""
        surest: Known | None = None
        for known in self._columns.known(node):
            meant = matched(known.columns, names)
            if len(meant) == len(names):
                return known.columns, meant
            surest = surest or known
        if surest is not None and surest.whole:
            meant = matched(surest.columns, names)
            self._refuse_unknown(names, meant, surest.columns, name, given)
        declared = surest.columns if surest is not None else ()
        meant = {each: each for each in names} | matched(declared, names)
        there = {column.name for column in declared}
        more = (Column(each, None) for each in meant.values() if each not in there)
        return (*declared, *more), meant

    def _completed(self, sql: str, node: Model | Source, given: Rows) -> str:
        """A query that is given, with NULL for the columns of ``node`` that it lacks."""
        there = {column.name for column in self._described(sql, given)}
        known = next((known.columns for known in self._columns.known(node)), ())
        lacking = [
            f"CAST(NULL AS {column.type or 'text'}) AS {quoted(column.name)}"
            for column in known
            if column.name not in there
        ]
        if not lacking:
            return sql
        return f"SELECT given.*, {', '.join(lacking)} FROM (\n{sql}\n) given"

    def _described(self, sql: str, given: Rows) -> tuple[Column, ...]:
        try:
            return self._columns.of_query(sql)
        except psycopg.Error as error:
            if class_of(error) not in {"22", "42"}:
                raise
            written = said.line(error, f"SELECT * FROM (\n{sql}", sql)
            raise self._mistake(
                f"PostgreSQL does not take the SQL of the unit test {self.test.name}: "
                f"{error.diag.message_primary}.",
                (written and below(self.test.path, given.line, written)) or given.line,
            ) from error

    def _rendered(self, given: Rows) -> str:
        return self._compiler.renderer.text(str(given.rows), {}, **self._at(given)).strip()

    def _at(self, given: Rows) -> dict[str, Any]:
        return {"path": self.test.path, "line": given.line, "package": self.model.package}

    def _refuse_unknown(
        self,
        names: Sequence[str],
        meant: Mapping[str, str],
        columns: Sequence[Column],
        what: str,
        given: Rows,
    ) -> None:
        known = [column.name for column in columns]
        for name in names:
            if name not in meant:
                raise self._mistake(
                    f"The unit test {self.test.name} names a column {name} in {what}, which has "
                    f"none of that name.{near(name, known)} Its columns are {', '.join(known)}.",
                    below(self.test.path, given.line, name) or given.line,
                )

    def _written(self, node: Model | Source) -> str:
        if isinstance(node, Source):
            return f"source('{node.source_name}', '{node.name}')"
        return "this" if node is self.model else f"ref('{node.name}')"

    def _mistake(self, message: str, line: int) -> ProjectError:
        return ProjectError(message, path=self.test.path, line=line, model=self.model.name)
