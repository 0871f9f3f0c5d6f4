"""What a step did, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datapipe.cli.text import count

if TYPE_CHECKING:
    from datapipe.extract import Extracted
    from datapipe.load import Loaded
    from datapipe.transform import NodeResult, Transformed

_SHOWN_AT_MOST = 10
_WORDS = {"success": "built", "fail": "FAIL", "error": "ERROR"}


def summary(result: Extracted | Loaded | Transformed) -> str:
    """What a step did in a line, and what to know of it in a line each."""
    from datapipe.extract import Extracted
    from datapipe.load import Loaded

    if isinstance(result, Extracted):
        return _extracted(result)
    if isinstance(result, Loaded):
        return _loaded(result)
    return _transformed(result)


def _extracted(result: Extracted) -> str:
    parts = [f"{count(result.stored, 'answer')} stored"]
    parts += [f"{result.unchanged} unchanged"] if result.unchanged else []
    parts += [f"{len(result.empty)} empty"] if result.empty else []
    parts += [f"{len(result.failures)} failed"] if result.failures else []
    parts += [f"{len(result.waiting)} not asked"] if result.waiting else []
    parts += [f"{result.current} up to date"] if result.current else []
    parts += [f"{result.held} held back (--plan tells why)"] if result.held else []
    lines = [f"{failure.request}: {failure.error}" for failure in result.failures]
    lines += [f"{request}: nothing there" for request in result.empty]
    return _listed("Extract: " + ", ".join(parts) + ".", lines)


def _loaded(result: Loaded) -> str:
    head = f"Load: {count(result.documents, 'document')} read"
    for name, merged in sorted(result.tables.items()):
        if merged.new or merged.restated or merged.retired:
            head += f", raw.{name} {merged.new:,} new"
            head += f", {merged.restated:,} restated" if merged.restated else ""
            head += f", {merged.retired:,} retired" if merged.retired else ""
    if not result.versions:
        head += ", nothing new"
    lines = [str(error) for error in result.unreadable]
    lines += [str(bad) for bad in result.rejected]
    return _listed(head + ".", lines)


def _transformed(result: Transformed) -> str:
    from datapipe.transform import ModelResult

    if not result.results:
        return _listed("Transform: nothing to do.", list(result.warnings))
    passed = sum(test.status in {"pass", "reused"} for test in result.tests)
    reused = sum(
        isinstance(each, ModelResult) and each.status == "reused" for each in result.results
    )
    kept = sum(model.is_kept for model in result.models)
    warned = [test for test in result.tests if test.status == "warn"]
    unchanged = f"{reused:,} reused as nothing changed, " if reused else ""
    resumed = f" ({kept:,} kept from the run before)" if kept else ""
    head = (
        f"Transform: {count(len(result.models), 'model')} published{resumed}, {unchanged}"
        f"{passed} of {count(len(result.tests), 'test')} passed"
    )
    head += f", {count(len(warned), 'warning')}" if warned else ""
    lines = [f"warning: {test.name} found {count(test.failures, 'row')}" for test in warned]
    return _listed(head + ".", [*lines, *result.warnings])


def node_line(result: NodeResult, done: int, total: int) -> str:
    """How one node of a transform ended, in a line."""
    from datapipe.transform import ModelResult, TestResult

    what, more, ended = result.name, [], _WORDS.get(result.status, result.status)
    if isinstance(result, ModelResult):
        what = f"{result.materialized} {result.schema}.{result.relation}"
        more += [count(result.rows, "row")] if result.rows is not None else []
        if result.is_kept:
            ended = "kept"
            more.append("the run before had built it")
    else:
        what = f"{result.resource_type.replace('_', ' ')} {result.name}"
    if isinstance(result, TestResult) and result.status in {"fail", "warn"}:
        more += [count(result.failures, "row")] if result.failures else []
    if result.status == "skipped":
        more.append(f"because of {result.because}")
    elif result.status == "error":
        at = f"{result.path}:{result.line}" if result.line else str(result.path or "")
        more += [at] if at else []
    elif result.status == "reused":
        more += [result.message] if result.message else []
    if result.status not in {"skipped", "reused"} and ended != "kept":
        more.append(f"{result.seconds:.2f} s")
    width = len(str(total))
    head = f"{done:>{width}} of {total}  {ended:<8}{what}"
    return f"{head}  ({', '.join(more)})" if more else head


def _listed(head: str, lines: list[str]) -> str:
    shown = [f"  {line}" for line in lines[:_SHOWN_AT_MOST]]
    if len(lines) > _SHOWN_AT_MOST:
        shown.append(f"  and {len(lines) - _SHOWN_AT_MOST} more")
    return "\n".join([head, *shown])
