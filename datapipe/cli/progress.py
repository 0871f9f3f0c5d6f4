"""How the commands show that the work goes on: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datapipe.asking import Listener
from datapipe.cli import console
from datapipe.cli.summary import node_line, summary
from datapipe.pipeline import Pipeline

if TYPE_CHECKING:
    from datapipe.settings import Settings


@contextmanager
def shown(
    settings: Settings, *, quiet: bool, steps: bool = False, verbose: bool = False
) -> Iterator[Pipeline]:
    """A pipeline whose progress is shown.

    With ``steps``, what each step did is told as soon as it has ended; with ``verbose``, how each
    model and test ended.
    """
    if quiet:
        yield Pipeline(settings)
        return
    with _bars() as (advance, speak):
        yield Pipeline(
            settings,
            Listener(
                extracted=lambda *progress: advance("Extract", *progress),
                loaded=lambda *progress: advance("Load", *progress),
                transformed=lambda *progress: advance("Transform", *progress),
                node=lambda *ended: speak(node_line(*ended)) if verbose else None,
                message=speak,
                finished=lambda result: speak(summary(result)) if steps else None,
            ),
        )


@contextmanager
def _bars() -> Iterator[tuple[Callable[..., None], Callable[[str], None]]]:
    """What moves the bar of a step, and what speaks above the bars."""
    if not sys.stderr.isatty():
        yield (lambda *progress: None), console.tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    terminal = Console(stderr=True)
    name, what = (
        TextColumn("{task.description:<9}"),
        TextColumn("{task.fields[what]}", markup=False),
    )
    with Progress(
        name, BarColumn(), MofNCompleteColumn(), what, console=terminal, transient=True
    ) as bars:
        tasks = {}

        def advance(step: str, done: int, total: int, what: str = "") -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, what="")
            bars.update(tasks[step], completed=done, total=total, what=what)

        def speak(message: str) -> None:
            terminal.print(message, markup=False, highlight=False, soft_wrap=True)

        yield advance, speak
