"""What a step did, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datapipe.extract import Extracted
    from datapipe.load import Loaded
    from datapipe.transform import Transformed

_SHOWN_AT_MOST = 10


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
    parts = [f"{_count(result.stored, 'answer')} stored"]
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
    head = f"Load: {_count(result.documents, 'document')} read"
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
    passed = sum(test.status == "pass" for test in result.tests)
    warned = [test for test in result.tests if test.status == "warn"]
    head = (
        f"Transform: {_count(len(result.models), 'model')} published, "
        f"{passed} of {_count(len(result.tests), 'test')} passed"
    )
    head += f", {_count(len(warned), 'warning')}" if warned else ""
    lines = [f"warning: {test.name} found {_count(test.failures, 'row')}" for test in warned]
    return _listed(head + ".", [*lines, *result.warnings])


def _listed(head: str, lines: list[str]) -> str:
    shown = [f"  {line}" for line in lines[:_SHOWN_AT_MOST]]
    if len(lines) > _SHOWN_AT_MOST:
        shown.append(f"  and {len(lines) - _SHOWN_AT_MOST} more")
    return "\n".join([head, *shown])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
