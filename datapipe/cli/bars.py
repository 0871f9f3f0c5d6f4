"""A bar for each step of the work, on a terminal."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from datapipe.cli import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_AFTER_SECONDS = 0.4


class Bars:
    """Draws the bars, and tells messages above them; in a pipe there are only the messages.

    The bars come when the work has taken a while. What is done before that would only flicker, and
    would wait a quarter longer for the library that draws.
    """

    def __init__(self) -> None:
        self._reached: dict[str, tuple[int, int, str]] = {}
        self._tasks: dict[str, TaskID] = {}
        self._drawn: Progress | None = None
        self._is_over = False
        self._lock = threading.RLock()  # the bars are begun in a thread of their own
        self._timer = threading.Timer(_AFTER_SECONDS, self._begin)
        self._timer.daemon = True

    def __enter__(self) -> Bars:
        if sys.stderr.isatty():
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_over = True
            if self._drawn is not None:
                self._drawn.stop()

    def advance(self, step: str, done: int, total: int, what: str = "") -> None:
        """Show how far ``step`` has come, and what it is at."""
        with self._lock:
            self._reached[step] = done, total, what
            if self._drawn is not None:
                self._draw(self._drawn, step)

    def tell(self, message: str) -> None:
        """Say something that is not a result."""
        with self._lock:
            if self._drawn is None:
                console.tell(message)
            else:
                self._drawn.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        with self._lock:
            if self._is_over:
                return
            self._drawn = Progress(
                TextColumn("{task.description:<9}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[what]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            for step in self._reached:
                self._draw(self._drawn, step)
            self._drawn.start()

    def _draw(self, bars: Progress, step: str) -> None:
        done, total, what = self._reached[step]
        if step not in self._tasks:
            self._tasks[step] = bars.add_task(step, what="")
        bars.update(self._tasks[step], completed=done, total=total, what=what)
