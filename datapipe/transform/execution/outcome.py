"""How nodes ended, and what the whole run comes to."""

from __future__ import annotations

from collections.abc import Sequence

from datapipe.errors import DatapipeError, ProjectError, RunFailedError, TestsFailedError
from datapipe.transform.checks.message import tell
from datapipe.transform.execution.schedule import Node
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.results import ModelResult, NodeResult, Status, TestResult
from datapipe.transform.snippet import shown

_NAMED_AT_MOST = 8


def result_of(
    node: Node,
    status: Status,
    *,
    seconds: float = 0.0,
    rows: int | None = None,
    error: DatapipeError | None = None,
    message: str = "",
    because: str = "",
    is_kept: bool = False,
) -> NodeResult:
    """The result of a node that was not run, or of a model that was."""
    path, line = node.path, None if isinstance(node, Model) else node.line
    if isinstance(error, ProjectError) and error.path is not None:
        path, line = error.path, error.line
    message = str(shown(error)) if error else message
    if isinstance(node, Model):
        return ModelResult(
            unique_id=node.unique_id,
            resource_type=node.resource_type,
            name=node.name,
            status=status,
            seconds=seconds,
            message=message,
            because=because,
            path=path,
            line=line,
            schema=node.relation.schema,
            relation=node.relation.identifier,
            materialized=node.materialized,
            rows=rows,
            is_kept=is_kept,
        )
    is_data_test = isinstance(node, DataTest)
    return TestResult(
        unique_id=node.unique_id,
        resource_type="test" if is_data_test else "unit_test",
        name=node.name,
        status=status,
        seconds=seconds,
        message=message,
        because=because,
        path=path,
        line=line,
        model=node.of if isinstance(node, DataTest) else node.model,
        error=error,
    )


def error_of(
    results: Sequence[NodeResult], warnings: Sequence[str] = (), *, is_published: bool
) -> DatapipeError | None:
    """The error that a run with these results ends with; None if all went well.

    ``is_published`` says that what went well was published on the way. What there is to warn of is
    told, too: a failure is often what a warning was about.
    """
    failed = [each for each in results if each.status in {"error", "fail"}]
    if not failed:
        return None
    broken = [each for each in failed if each.status == "error"]
    shown = not broken and any(each.resource_type == "test" for each in failed)
    if is_published:
        stands = "what went well was published"
        where = ". These queries show the rows" if shown else ""
    else:
        stands = "nothing was published. What was built stays aside until the next run"
        where = ", where these queries show the rows" if shown else ""
    told = [f"{_counted(results)}; {stands}{where}:"]
    for each in failed:
        if isinstance(each, TestResult):
            told.append(tell([each]))
        else:
            told.append(each.message)
        told += _skipped_because(each, results)
    told += lines_of(warnings)
    message, names = "\n".join(told), [each.name for each in failed]
    if not broken:
        return TestsFailedError(message, failed=names, results=results)
    at = broken[0]
    return RunFailedError(message, failed=names, results=results, path=at.path, line=at.line)


def lines_of(warnings: Sequence[str]) -> list[str]:
    """The lines that tell, below an error, what there is to warn of."""
    told = [f"  {each}" for each in warnings[:_NAMED_AT_MOST]]
    return ["There are warnings, too:", *told] if told else []


def _counted(results: Sequence[NodeResult]) -> str:
    """How many of how many failed, by kind."""
    parts = []
    for noun in ("model", "unit test", "data test"):
        of_kind = [each for each in results if _noun(each) == noun]
        failed = sum(each.status in {"error", "fail"} for each in of_kind)
        if failed:
            parts.append(f"{failed} of {_count(len(of_kind), noun)}")
    return f"{' and '.join(parts)} failed"


def _noun(result: NodeResult) -> str:
    if isinstance(result, ModelResult):
        return "model"
    return "unit test" if result.resource_type == "unit_test" else "data test"


def _skipped_because(failed: NodeResult, results: Sequence[NodeResult]) -> list[str]:
    """A line that names what was skipped because of ``failed``, if anything was."""
    skipped = [each for each in results if each.status == "skipped" and each.because == failed.name]
    models = [each.name for each in skipped if isinstance(each, ModelResult)]
    shown, tests = models[:_NAMED_AT_MOST], len(skipped) - len(models)
    if len(models) > len(shown):
        shown.append(_count(len(models) - len(shown), "more model"))
    if tests:
        shown.append(_count(tests, "test"))
    return [f"  Skipped because of it: {', '.join(shown)}."] if shown else []


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
