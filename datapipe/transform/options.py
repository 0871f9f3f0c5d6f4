"""What a project is asked for, and who is told how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from datapipe.errors import UsageError
from datapipe.frozen import frozen
from datapipe.transform.results import NodeResult, Progress
from datapipe.warehouse.moments import in_utc

# How tests are selected with the nodes that they are of; dbt's --indirect-selection.
Indirect = Literal["eager", "cautious", "buildable", "empty"]


@frozen
class Options:
    """What a run is asked for; a ``Pipeline`` sets the last four itself."""

    # dbt's selection, and its vars.
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    indirect: Indirect | None = None  # as the project's flags say, or eager
    variables: Mapping[str, Any] = field(default_factory=dict)
    full_refresh: bool = False
    # Keep the rows that tests find, unless their settings say otherwise.
    store_failures: bool = False
    # The stretch of time of which microbatch models build their batches; UTC if it has no zone.
    event_time_start: datetime | None = None
    event_time_end: datetime | None = None
    # How many models are built at the same time, each over a connection of its own.
    threads: int = 2  # on two cores a third faster than 1, and no slower than 4
    fail_fast: bool = False
    # Publish each model as soon as it is built, and not all of them at the end.
    per_model: bool = False
    # Build also what has not changed.
    rebuild: bool = False
    # Go on with what a failed run has left.
    resume: bool = False

    project_dir: Path = Path()
    target_schema: str = "public"
    # How long publishing waits for readers.
    wait_seconds: float = 300
    # The folder that keeps what was made of the project's files from run to run.
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        if (self.event_time_start is None) != (self.event_time_end is None):
            raise UsageError("--event-time-start and --event-time-end go together: give both.")
        if self.event_time is not None and self.event_time[0] >= self.event_time[1]:
            raise UsageError("--event-time-start must be before --event-time-end.")

    @property
    def event_time(self) -> tuple[datetime, datetime] | None:
        """The stretch of time that was asked for, in UTC."""
        if self.event_time_start is None or self.event_time_end is None:
            return None
        return in_utc(self.event_time_start), in_utc(self.event_time_end)


@frozen
class Listener:
    """Who is told how a run goes on, always in the thread that began it; by default nobody."""

    progress: Callable[[Progress], None] = lambda progress: None
    result: Callable[[NodeResult, int, int], None] = lambda result, done, total: None
    message: Callable[[str], None] = lambda message: None
