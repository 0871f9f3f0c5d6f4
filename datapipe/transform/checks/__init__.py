"""Holds what was built against its tests: data tests after it is built, unit tests before.

A test that fails, and a test that cannot be run, is a result and no exception; only a lost
connection is raised.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.frozen import frozen
from datapipe.transform.checks import materialized, store
from datapipe.transform.checks.message import SHOWN_ROWS, tell, texts
from datapipe.transform.checks.store import Keeper, limited
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.database.session_settings import leaving_none_open
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.results import Status, TestResult
from datapipe.transform.snippet import shown
from datapipe.warehouse.failures import failure

__all__ = ["Witness", "data_tests", "store", "tell", "unit_tests"]

# What tells when the tests began goes before them all.
_FIRST = "SELECT 0, false, false, clock_timestamp();\n"


class Witness(Protocol):
    """Notices what data tests have read."""

    def question_of_tests(self) -> Sequence[str]:
        """What is asked at the end of the transaction that the tests run in: queries."""

    def tests_saw(
        self,
        connection: psycopg.Connection,
        tests: Sequence[tuple[DataTest, Compiled]],
        answers: Sequence[Sequence[tuple[Any, ...]]],
    ) -> None:
        """Told what the answers to the questions were."""


def data_tests(
    connection: psycopg.Connection,
    tests: Sequence[DataTest],
    compiler: Compiler,
    *,
    witness: Witness | None = None,
) -> tuple[tuple[TestResult, ...], Mapping[str, Compiled]]:
    """The result of each test, and the SQL of those that could be compiled, by unique id.

    All are sent in one round trip, and the first rows that were found are asked for in another.
    Raises WarehouseError where the connection, which is in autocommit, is lost.
    """
    asked = [_compiled(connection, test, compiler) for test in tests]
    queries = [each for each in asked if isinstance(each, _Query)]
    answered = iter(_answered(connection, queries, compiler, witness))
    results = [
        _again(each, next(answered), compiler) if isinstance(each, _Query) else each
        for each in asked
    ]
    compiled = {each.test.unique_id: each.compiled for each in queries}
    return tuple(_with_rows(connection, asked, results, compiler)), compiled


def unit_tests(
    connection: psycopg.Connection, tests: Sequence[UnitTest], compiler: Compiler
) -> tuple[TestResult, ...]:
    """The result of each unit test; no table need exist.

    Raises WarehouseError where the connection is lost.
    """
    from datapipe.transform.checks import unit

    return tuple(unit.run(connection, test, compiler) for test in tests)


@frozen
class _Query:
    """What is sent for one test; its own SQL begins at ``start`` of ``text``."""

    test: DataTest
    compiled: Compiled
    keeper: Keeper | None
    text: str
    start: int

    @property
    def rows(self) -> str:
        """The query that shows the rows."""
        if self.keeper is not None and self.keeper.kind == "table":
            return f"select * from {self.keeper.relation.local}"
        lines = [line for line in limited(self.compiled).splitlines() if line.strip()]
        return textwrap.dedent("\n".join(lines))


def _compiled(
    connection: psycopg.Connection, test: DataTest, compiler: Compiler
) -> _Query | TestResult:
    try:
        with leaving_none_open(connection):
            keeper = store.keeper(connection, test, compiler)
            compiled = compiler.test(test, this=keeper.relation if keeper else None)
    except DatapipeError as error:
        return _unable(test, error)
    except psycopg.Error as error:  # of a macro that asks the database
        return _unable(test, _known(error, connection, f"the test {test.name}"))
    before = ""
    rows, after = limited(compiled), ""
    if keeper is not None and keeper.kind == "table":
        before = f"{keeper.freed()}CREATE TABLE {keeper.relation.local} AS (\n"
        after = f");\n{keeper.marked()}"
        counted = f"{keeper.relation.local} dbt_internal_test"
        return _Query(
            test,
            compiled,
            keeper,
            before + rows + after + _count(test, counted, compiler),
            len(before),
        )
    before, _, after = _count(test, "(\n\0) dbt_internal_test", compiler).partition("\0")
    return _Query(test, compiled, keeper, before + rows + after, len(before))


def _count(test: DataTest, rows: str, compiler: Compiler) -> str:
    """The query that counts ``rows`` and holds the number against the thresholds.

    What thresholds are to the project's own macros, they are asked themselves.
    """
    config = test.config
    warn, fail = f"failures {config['warn_if']}", f"failures {config['error_if']}"
    if materialized.macro_of(test, compiler):
        warn = fail = "false"
    return (
        f"SELECT failures, {warn}, {fail}, "
        f"clock_timestamp() FROM (SELECT {config['fail_calc']} AS failures FROM {rows}) counted"
    )


def _again(query: _Query, result: TestResult, compiler: Compiler) -> TestResult:
    """``result``, or what macros of the project's own come to, if it has them."""
    test = query.test
    macro = materialized.macro_of(test, compiler)
    if macro is None or result.status == "error":
        return result
    try:
        return materialized.again(query.compiled, result, macro, compiler)
    except DatapipeError as error:
        return _unable(test, error)


def _answered(
    connection: psycopg.Connection,
    queries: Sequence[_Query],
    compiler: Compiler,
    witness: Witness | None,
) -> list[TestResult]:
    """Ask all in one round trip; if that fails, one by one, to learn which of them it was."""
    if not queries:
        return []
    try:
        return _asked(connection, queries, compiler, witness)
    except psycopg.Error as error:
        if connection.broken:
            raise failure(error, "the data tests") from error
    results = []
    for query in queries:
        try:
            results += _asked(connection, [query], compiler, witness)
        except psycopg.Error as error:
            results.append(_unable(query.test, _error(error, connection, query, compiler)))
    return results


def _asked(
    connection: psycopg.Connection,
    queries: Sequence[_Query],
    compiler: Compiler,
    witness: Witness | None,
) -> list[TestResult]:
    """The results; what is sent together is one transaction."""
    questions = () if witness is None else witness.question_of_tests()
    text = ";\n".join(query.text for query in queries)
    sent = ";\n".join([compiler.reading(text) + _FIRST + text, *questions])
    cursor = execute(connection, sent)
    found: list[list[tuple[Any, ...]]] = []
    while True:
        if cursor.description is not None:
            found.append(cursor.fetchall())
        if not cursor.nextset():
            break
    answered = len(found) - len(questions)
    counts, answers = found[:answered], found[answered:]
    if witness is not None:
        witness.tests_saw(connection, [(each.test, each.compiled) for each in queries], answers)
    rows = [count[0] if count else (0, False, False, None) for count in counts]
    return [
        replace(
            _result(
                query.test, materialized.status(query.test, should_warn=row[1], should_fail=row[2])
            ),
            failures=int(row[0] or 0),
            seconds=(row[3] - before[3]).total_seconds(),
            query=query.rows,
            stored_in=query.keeper.relation.local if query.keeper else "",
        )
        for query, before, row in zip(queries, rows, rows[1:], strict=False)
    ]


def _with_rows(
    connection: psycopg.Connection,
    asked: Sequence[_Query | TestResult],
    results: Sequence[TestResult],
    compiler: Compiler,
) -> list[TestResult]:
    """``results`` with the first rows that those have found which found any."""
    found = [
        number
        for number, (query, result) in enumerate(zip(asked, results, strict=True))
        if isinstance(query, _Query) and result.status in {"fail", "warn"}
    ]
    told = list(results)
    if not found:
        return told
    first = [f"SELECT * FROM (\n{told[n].query}\n) found LIMIT {SHOWN_ROWS}" for n in found]
    text = ";\n".join(first)
    reading = compiler.reading(text)
    try:
        cursor = execute(connection, reading + text)
        if reading:
            cursor.nextset()
    except psycopg.Error as error:
        if connection.broken:
            raise failure(error, "the data tests") from error
        return told  # what they found is known, if not how it looks
    for number in found:
        columns, rows = texts(cursor)
        told[number] = replace(told[number], columns=columns, rows=rows)
        cursor.nextset()
    return told


def _unable(test: DataTest, error: DatapipeError) -> TestResult:
    """The result of a test that could not be run."""
    error = shown(error)
    result = replace(_result(test, "error"), message=str(error), error=error)
    if isinstance(error, ProjectError) and error.path is not None:
        return replace(result, path=error.path, line=error.line)
    return result


def _result(test: DataTest, status: Status) -> TestResult:
    return TestResult(
        unique_id=test.unique_id,
        resource_type="test",
        name=test.name,
        model=test.of,
        status=status,
        path=test.path,
        line=test.line,
    )


def _error(
    error: psycopg.Error, connection: psycopg.Connection, query: _Query, compiler: Compiler
) -> DatapipeError:
    if connection.broken:
        raise failure(error, f"the test {query.test.name}") from error
    from datapipe.transform.compile.locate import project_error  # seldom needed

    start = len(compiler.reading(query.text)) + len(_FIRST) + query.start
    return project_error(error, query.compiled, [start], compiler, connection)


def _known(error: psycopg.Error, connection: psycopg.Connection, doing: str) -> DatapipeError:
    known = failure(error, doing)
    if connection.broken:
        raise known from error
    return known
