"""Runs the data tests against what was built aside."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import psycopg

from datapipe.errors import TestsFailedError
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.compile.locate import project_error, with_near_name
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.nodes import DataTest
from datapipe.transform.results import Status, TestResult


def run(
    connection: psycopg.Connection,
    tests: Iterable[DataTest],
    compiler: Compiler,
    *,
    on_done: Callable[[str], None],
) -> tuple[TestResult, ...]:
    """The result of each test; raises TestsFailedError at the end if any failed."""
    results: list[TestResult] = []
    failed: list[tuple[TestResult, Compiled]] = []
    for _, group in groupby(tests, key=lambda test: test.of):
        together = [(test, compiler.test(test)) for test in group]
        for (test, compiled), result in zip(
            together, _run_together(connection, together, compiler), strict=True
        ):
            results.append(result)
            on_done(test.name)
            if result.status == "fail":
                failed.append((result, compiled))
    if failed:
        raise TestsFailedError(
            _told(failed, len(results)), failed=[result.name for result, _ in failed]
        )
    return tuple(results)


def _run_together(
    connection: psycopg.Connection,
    tests: Sequence[tuple[DataTest, Compiled]],
    compiler: Compiler,
) -> list[TestResult]:
    """Run tests in one round trip; if that fails, one by one, to learn which of them it was."""
    texts = ["SELECT 0, false, false, clock_timestamp()", *(_query(*each)[0] for each in tests)]
    try:
        cursor = execute(connection, ";\n".join(texts))
    except psycopg.Error:
        for test, compiled in tests:
            text, start = _query(test, compiled)
            try:
                execute(connection, text)
            except psycopg.Error as error:
                told = project_error(error, compiled, [start], compiler)
                raise with_near_name(told, error, connection, compiled) from error
        raise
    rows = []
    while True:
        rows.append(cursor.fetchone() or (0, False, False, None))
        if not cursor.nextset():
            break
    return [
        TestResult(
            name=test.name,
            model=test.of,
            status=_status(test, should_warn=row[1], should_fail=row[2]),
            failures=int(row[0] or 0),
            seconds=(row[3] - before[3]).total_seconds(),
        )
        for (test, _), before, row in zip(tests, rows, rows[1:], strict=False)
    ]


def _query(test: DataTest, compiled: Compiled) -> tuple[str, int]:
    """The query that counts what the test finds, and where in it the test's own SQL begins."""
    config = test.config
    before = (
        f"SELECT failures, failures {config['warn_if']}, failures {config['error_if']}, "  # noqa: S608 - the project's own SQL
        f"clock_timestamp() FROM (SELECT {config['fail_calc']} AS failures FROM (\n"
    )
    limit = f"LIMIT {config['limit']}" if config.get("limit") is not None else ""
    return f"{before}{compiled.sql}\n{limit}) dbt_internal_test) counted", len(before)


def _status(test: DataTest, *, should_warn: bool, should_fail: bool) -> Status:
    if test.config["severity"] == "error" and should_fail:
        return "fail"
    return "warn" if should_warn else "pass"


def _told(failed: Sequence[tuple[TestResult, Compiled]], total: int) -> str:
    first = f"{len(failed)} of {total} data tests failed; nothing was published. "
    lines = [
        first + "What was built stays aside until the next run, where these queries show the rows:"
    ]
    for result, compiled in failed:
        node = compiled.node
        assert isinstance(node, DataTest)  # noqa: S101 - what was run are tests
        query = "\n".join(line for line in compiled.sql.splitlines() if line.strip())
        rows = "row" if result.failures == 1 else "rows"
        lines += [
            f"  {result.name} ({node.path}:{node.line}): {result.failures} {rows}",
            textwrap.indent(textwrap.dedent(query) + ";", "    "),
        ]
    return "\n".join(lines)
