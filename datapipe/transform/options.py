"""What a project is asked for, and who is told how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datapipe.transform.results import NodeResult, Progress

# How tests are selected with the nodes that they are of; dbt's --indirect-selection.
Indirect = Literal["eager", "cautious", "buildable", "empty"]


@dataclass(frozen=True)
class Options:
    """``select``, ``exclude``, ``indirect`` and ``variables`` are dbt's selection and its vars.

    ``store_failures`` keeps the rows that tests find, unless their settings say otherwise.
    ``threads`` is how many models are built at the same time, each over a connection of its own.
    ``per_model`` publishes each model as soon as it is built, and not all of them at the end.
    ``rebuild`` builds also what did not change; ``resume`` goes on with what a failed run left.

    A ``Pipeline`` sets the rest: which project in which schema, how long publishing waits for
    readers, and the folder that keeps compiled templates from run to run.
    """

    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    indirect: Indirect | None = None  # as the project's flags say, or eager
    variables: Mapping[str, Any] = field(default_factory=dict)
    full_refresh: bool = False
    store_failures: bool = False
    threads: int = 2  # on two cores a third faster than 1, and no slower than 4
    fail_fast: bool = False
    per_model: bool = False
    rebuild: bool = False
    resume: bool = False
    project_dir: Path = Path()
    target_schema: str = "public"
    wait_seconds: float = 300
    compiled_in: Path | None = None


@dataclass(frozen=True)
class Listener:
    """Who is told how a run goes on, always in the thread that began it; by default nobody."""

    progress: Callable[[Progress], None] = lambda progress: None
    result: Callable[[NodeResult, int, int], None] = lambda result, done, total: None
    message: Callable[[str], None] = lambda message: None
