"""Unit tests: what a model makes of given rows, compared with what it should make of them.

The model's own SQL is run with the given rows as CTEs in place of what it reads. So nothing needs
to be built, and nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.frozen import frozen
from datapipe.transform.checks.message import texts
from datapipe.transform.checks.unit import difference
from datapipe.transform.checks.unit.alone import Alone
from datapipe.transform.checks.unit.columns import Columns
from datapipe.transform.checks.unit.given import Fixtures
from datapipe.transform.compile import Compiled, Compiler, guess
from datapipe.transform.database.statements import execute
from datapipe.transform.jinja.context import Var, env_var
from datapipe.transform.manifest.setting_lines import below
from datapipe.transform.manifest.tests import UnitTest
from datapipe.transform.results import TestResult
from datapipe.transform.snippet import shown
from datapipe.warehouse.failures import class_of, failure

_ACTUAL, _EXPECTED = "__datapipe_actual", "__datapipe_expected"


def run(connection: psycopg.Connection, test: UnitTest, compiler: Compiler) -> TestResult:
    """The result of one unit test; a test that cannot be run is a result, too.

    Raises WarehouseError where the connection is lost.
    """
    started = time.perf_counter()
    result = TestResult(
        unique_id=test.unique_id,
        resource_type="unit_test",
        name=test.name,
        model=test.model,
        status="pass",
        path=test.path,
        line=test.line,
    )
    try:
        result = _Case(connection, test, compiler).run(result)
    except DatapipeError as error:
        result = _unable(result, error)
    except psycopg.Error as error:
        known = failure(error, f"the unit test {test.name}")
        if connection.broken:
            raise known from error
        result = _unable(result, known)
    return replace(result, seconds=time.perf_counter() - started)


def _unable(result: TestResult, error: DatapipeError) -> TestResult:
    error = shown(error)
    result = replace(result, status="error", message=str(error), error=error)
    if isinstance(error, ProjectError) and error.path is not None:
        result = replace(result, path=error.path, line=error.line)
    return result


class _Case:
    """One unit test on one connection."""

    def __init__(self, connection: psycopg.Connection, test: UnitTest, compiler: Compiler) -> None:
        self.connection = connection
        self.test = test
        self.model = compiler.manifest.models[test.model]
        self.columns = Columns(connection, compiler)
        self.fixtures = Fixtures(test, self.model, compiler, self.columns)
        self.alone = Alone(
            compiler,
            self.model,
            self.fixtures.sql_for,
            this=self.fixtures.gives(self.model),
            own=self._own(compiler),
            macros=self._macros(compiler),
        )

    def run(self, result: TestResult) -> TestResult:
        compiled = self.alone.compiled()
        inputs = [
            _Part(f"{name} AS (\n", sql, self.fixtures.lines[sql])
            for name, sql in self.alone.ctes.items()
        ]
        actual = _Part(f"{_ACTUAL} AS (\n", compiled.sql, None)
        shape = _Statement((*inputs, actual), f"SELECT * FROM {_ACTUAL} LIMIT 0")
        columns = self.columns.described(self._sent(shape, compiled))
        wanted = self.fixtures.expected(columns)
        expected = _Part(f"{_EXPECTED} AS (\n", wanted.sql, self.fixtures.lines[wanted.sql])
        compared = [(column.name, column.type or "text") for column in wanted.columns]
        comparison = difference.query(compared, _ACTUAL, _EXPECTED)
        statement = _Statement((*inputs, actual, expected), comparison)
        _, rows = texts(self._sent(statement, compiled))
        result = replace(result, query=statement.text)
        if not rows:
            return result
        surplus = [row[1:] for row in rows if row[0] == "surplus"]
        missing = [row[1:] for row in rows if row[0] == "missing"]
        return replace(
            result,
            status="fail",
            failures=max(len(surplus), len(missing)),
            message=difference.told(compared, surplus, missing),
        )

    def _sent(self, statement: _Statement, compiled: Compiled) -> psycopg.Cursor[Any]:
        try:
            return execute(self.connection, statement.text)
        except psycopg.Error as error:
            if self.connection.broken:
                raise
            raise self._told(error, statement, compiled) from error

    def _told(
        self, error: psycopg.Error, statement: _Statement, compiled: Compiled
    ) -> DatapipeError:
        """PostgreSQL's message, with the place in the model or in the test that it points at."""
        position = error.diag.statement_position
        part, start = statement.at(int(position) - 1 if position else -1)
        said = (error.diag.message_primary or str(error)).strip()
        value = said.rpartition(': "')[2].rstrip('"')
        given = below(self.test.path, self.test.line, value)
        of_result = position is None or error.sqlstate == "42702"
        of_model = part is not None and part.line is None
        if of_result and given is None and guess.likely_offsets(error, compiled.sql):
            of_model = True
        if of_model:
            from datapipe.transform.compile.locate import project_error  # seldom needed

            sent_at = [start] if start else []
            return project_error(error, compiled, sent_at, self.alone.compiler, self.connection)
        if class_of(error) not in {"22", "23", "42"}:
            return failure(error, f"the unit test {self.test.name}")
        line = self.test.line if part is None or part.line is None else part.line
        return ProjectError(
            f"PostgreSQL stopped the unit test {self.test.name}: {said}. Look at the values and "
            "their types; data_type under the columns of a source tells them.",
            path=self.test.path,
            line=below(self.test.path, line, value) or line,
            model=self.model.name,
        )

    def _own(self, compiler: Compiler) -> dict[str, Any]:
        """What the model's template sees that it does not see in a run."""
        project = compiler.renderer.project
        variables = {**project.variables_for(self.model.package), **self._overrides("vars")}
        environment = self._overrides("env_vars")

        def overridden(name: str, default: Any = None) -> Any:
            return environment[name] if name in environment else env_var(name, default)

        own = {"var": Var(variables), "env_var": overridden, "this": None}
        return {**self._values(compiler), **own}

    def _values(self, compiler: Compiler) -> dict[str, Any]:
        """Overrides of what is no macro but a value, as ``invocation_id`` is."""
        known = compiler.renderer.macros.has
        given = self._overrides("macros")
        return {name: given[name] for name in given if not known(name) and not known(f"dbt.{name}")}

    def _macros(self, compiler: Compiler) -> dict[str, Callable[..., Any]]:
        """Overrides of macros; one of dbt's own is found with and without ``dbt.``."""
        given = self._overrides("macros")
        values = self._values(compiler)
        found = {name: _giving(given[name]) for name in given if name not in values}
        for name in tuple(found):
            bare = name.removeprefix("dbt.")
            if bare != name:
                found.setdefault(bare, found[name])
            elif compiler.renderer.macros.has(f"dbt.{name}"):
                found[f"dbt.{name}"] = found[name]
        return found

    def _overrides(self, kind: str) -> Mapping[str, Any]:
        return self.test.overrides.get(kind) or {}


@frozen
class _Part:
    """One CTE of the query: given rows, from ``line`` of the test's file, or the model."""

    head: str
    sql: str
    line: int | None


@frozen
class _Statement:
    """A query over some parts, which knows where each stands in its text."""

    parts: tuple[_Part, ...]
    query: str

    @property
    def text(self) -> str:
        written = ",\n".join(f"{part.head}{part.sql}\n)" for part in self.parts)
        return f"WITH {written}\n{self.query}"

    def at(self, position: int) -> tuple[_Part | None, int]:
        """The part that stands at ``position``, and where it begins."""
        start = len("WITH ")
        for part in self.parts:
            start += len(part.head)
            if start <= position <= start + len(part.sql) + len("\n)"):  # where it ends too early
                return part, start
            start += len(part.sql) + len("\n),\n")
        return None, 0


def _giving(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value
