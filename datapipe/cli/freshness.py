"""datapipe freshness"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from datapipe.cli import console, options
from datapipe.cli.text import aligned
from datapipe.errors import ProjectError, TestsFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datapipe.transform.freshness import SourceFreshness

_UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
)


def freshness(
    select: options.Select = None,
    exclude: options.Exclude = None,
    output: Annotated[Literal["text", "json"], typer.Option(help="How to write it.")] = "text",
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    source: options.Source = None,
    variables: options.Variables = None,
) -> None:
    """Tell how fresh the sources of the SQL project are.

    Against warn_after and error_after in their YAML; status 5 if one is too old.

    What is found is written down, so that `datapipe transform --select
    source_status:fresher+` builds only what reads a source with newer rows than the
    time before.
    """
    from datapipe.pipeline import Pipeline  # late, for the sake of --help
    from datapipe.transform import Options

    pipeline = Pipeline(console.settings(project_dir, target_schema))
    asked = Options(
        select=select or (), exclude=exclude or (), variables=console.variables(variables)
    )
    found, warnings = pipeline.source_freshness(asked, source=source)
    for warning in warnings:
        console.tell(warning)
    if output == "json":
        console.say(json.dumps([_data(each) for each in found], indent=1))
    elif found:
        _show(found)
    else:
        console.tell("No source that is selected says when it is too old (freshness:).")
    _raise(found)


def _raise(found: Sequence[SourceFreshness]) -> None:
    broken = [each for each in found if each.status == "runtime error"]
    if broken:
        raise ProjectError("\n".join(each.message for each in broken))
    old = [each for each in found if each.status == "error"]
    if old:
        which = ", ".join(f"{each.name} ({_age(each)})" for each in old)
        raise TestsFailedError(
            f"{len(old)} of {len(found)} sources are too old: {which}. Load what is new, or allow "
            "more under freshness.",
            failed=[each.name for each in old],
        )


def _data(each: SourceFreshness) -> dict[str, object]:
    age = each.age
    return {
        "unique_id": each.unique_id,
        "source": each.name,
        "status": each.status,
        "max_loaded_at": each.max_loaded_at and each.max_loaded_at.isoformat(),
        "snapshotted_at": each.snapshotted_at and each.snapshotted_at.isoformat(),
        "age_seconds": None if age is None else age.total_seconds(),
        "warn_after_seconds": each.warn_after and each.warn_after.total_seconds(),
        "error_after_seconds": each.error_after and each.error_after.total_seconds(),
        "message": each.message,
    }


def _show(found: Sequence[SourceFreshness]) -> None:
    lines = [["source", "status", "loaded until", "age", "warn after", "error after"]]
    for each in found:
        until = f"{each.max_loaded_at:%Y-%m-%d %H:%M} UTC" if each.max_loaded_at else ""
        age = "" if each.status == "runtime error" else _age(each)
        limits = [
            "" if limit is None else _span(limit) for limit in (each.warn_after, each.error_after)
        ]
        lines.append([each.name, each.status, until, age, *limits])
    console.say("\n".join(aligned(lines)))


def _age(each: SourceFreshness) -> str:
    return "no rows" if each.age is None else _span(each.age)


def _span(span: timedelta) -> str:
    """A span in the largest unit of which it has one, to a tenth."""
    for name, unit in _UNITS:
        if span >= unit:
            count = round(span / unit, 1)
            return f"{count:g} {name}{'' if count == 1 else 's'}"
    return "under a minute" if span >= timedelta(0) else "in the future"
