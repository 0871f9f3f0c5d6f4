"""How the commands speak: results to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datapipe.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from datapipe.extract import Extracted
    from datapipe.load import Loaded
    from datapipe.pipeline import Pipeline
    from datapipe.settings import Settings
    from datapipe.transform import Transformed

_SHOWN_AT_MOST = 10


def tell(message: str) -> None:
    """Say something that is not a result."""
    print(message, file=sys.stderr)  # noqa: T201 - the one place that speaks


def say(message: str) -> None:
    """Say a result."""
    print(message)  # noqa: T201 - the one place that speaks


def settings(project_dir: Path | None = None) -> Settings:
    """The settings, with what the command line says."""
    from datapipe.settings import Settings  # late, for the sake of --help

    return Settings.load(
        {"DATAPIPE_PROJECT_DIR": None if project_dir is None else str(project_dir)}
    )


def items(text: str | None) -> tuple[str, ...]:
    """The parts of a comma-separated option."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def variables(text: str | None) -> dict[str, object]:
    """The variables that ``--vars`` gives."""
    if not text:
        return {}
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--vars is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise UsageError("--vars takes a mapping, such as '{as_of: 2026-05-15}'.")
    return found


@contextmanager
def pipeline(settings: Settings, *, quiet: bool = False, steps: bool = False) -> Iterator[Pipeline]:
    """A pipeline that shows a progress bar on a terminal, and nothing in a pipe.

    With ``steps``, each step's result is told as soon as the step has ended.
    """
    from datapipe.pipeline import Listener, Pipeline

    def finished(result: Extracted | Loaded | Transformed) -> None:
        if steps and not quiet:
            tell(summary(result))

    if quiet or not sys.stderr.isatty():
        waiting = (lambda message: None) if quiet else tell
        yield Pipeline(settings, Listener(waiting=waiting, finished=finished))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn())
    what = TextColumn("{task.fields[what]}", markup=False)
    with Progress(*columns, what, console=Console(stderr=True), transient=True) as progress:
        tasks = {}

        def advance(step: str, done: int, total: int, what: str = "") -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, what="")
            progress.update(tasks[step], completed=done, total=total, what=what)

        yield Pipeline(
            settings,
            Listener(
                extracted=lambda *args: advance("Extract", *args),
                loaded=lambda *args: advance("Load", *args),
                transformed=lambda *args: advance("Transform", *args),
                waiting=tell,
                finished=finished,
            ),
        )


def summary(result: Extracted | Loaded | Transformed) -> str:
    """What a step did, in a line, and its failures in a line each."""
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
    lines = [f"{failure.request}: {failure.error}" for failure in result.failures]
    lines += [f"{request}: nothing there" for request in result.empty]
    return _listed("Extract: " + ", ".join(parts) + ".", lines)


def _loaded(result: Loaded) -> str:
    head = f"Load: {_count(result.documents, 'document')} read"
    for name, merged in sorted(result.tables.items()):
        if merged.new or merged.restated:
            head += f", raw.{name} {merged.new:,} new"
            head += f" and {merged.restated:,} restated" if merged.restated else ""
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
    return _listed(
        head + ".", [f"warning: {test.name} found {test.failures} rows" for test in warned]
    )


def _listed(head: str, lines: list[str]) -> str:
    shown = [f"  {line}" for line in lines[:_SHOWN_AT_MOST]]
    if len(lines) > _SHOWN_AT_MOST:
        shown.append(f"  and {len(lines) - _SHOWN_AT_MOST} more")
    return "\n".join([head, *shown])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
