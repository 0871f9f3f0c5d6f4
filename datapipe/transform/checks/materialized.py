"""Data tests that are run by macros of the project's own.

Packages that collect the results of tests have a materialization for them, and some projects count
failures their own way, in ``get_test_sql``. What these macros say is the result; the rows that are
shown are those that the test itself has found before.
"""

from __future__ import annotations

from dataclasses import replace

from datapipe.errors import ProjectError
from datapipe.transform.build import aside
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.results import Status, TestResult

_DEFAULT = "dbt.materialization_test_default"


def macro_of(test: DataTest, compiler: Compiler) -> str | None:
    """The materialization that gives the result; None if it is dbt's, and that calls no macro."""
    calls = compiler.is_overridden("get_test_sql")
    return compiler.materialization(test) or (_DEFAULT if calls else None)


def again(compiled: Compiled, result: TestResult, macro: str, compiler: Compiler) -> TestResult:
    """``result`` as the materialization ``macro`` says, on the connection of this thread.

    ``compiled`` is the test; its template may write, and so is rendered only once. Raises
    ProjectError for what is wrong with the macro.
    """
    test = compiled.node
    assert isinstance(test, DataTest)  # noqa: S101 - it is the result of one
    node = compiler.seen(test, compiled)
    # It may be written down; what is sent of it finds what stands aside.
    code = aside.in_public(compiled.sql, compiler.manifest.schemas)
    node |= {"compiled_code": code, "compiled_sql": code}
    sql = f"select * from {result.stored_in}" if result.stored_in else code
    own = {"sql": sql, "compiled_code": code, "model": node}
    found = compiler.call(test, "result_of_test", macro.split("."), own=own)
    rows = [tuple(row) for row in found["table"].rows] if found is not None else []
    if not rows or len(rows[0]) != 3:
        raise ProjectError(
            "The materialization of tests brought no result: its statement main gives failures, "
            "should_warn and should_error.",
            path=test.path,
            line=test.line,
            model=test.of,
        )
    failures, should_warn, should_fail = rows[0]
    return replace(
        result,
        failures=int(failures or 0),
        status=status(test, should_warn=bool(should_warn), should_fail=bool(should_fail)),
    )


def status(test: DataTest, *, should_warn: bool, should_fail: bool) -> Status:
    if test.severity == "error" and should_fail:
        return "fail"
    return "warn" if should_warn else "pass"
