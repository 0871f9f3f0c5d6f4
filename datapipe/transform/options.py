"""How a run is to go, and who is told how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datapipe.transform.results import NodeResult, Progress


@dataclass(frozen=True)
class Options:
    """``include`` and ``exclude`` are dbt's selection, ``variables`` its vars.

    ``per_model`` publishes each model as soon as it is built, and not all of them at the end.
    ``rebuild`` builds also what did not change; ``resume`` goes on with what a failed run left.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    target_schema: str = "public"
    full_refresh: bool = False
    threads: int = 1
    fail_fast: bool = False
    per_model: bool = False
    rebuild: bool = False
    resume: bool = False
    wait_seconds: float = 300


@dataclass(frozen=True)
class Listener:
    """Who is told how a run goes on, always in the thread that began it; by default nobody."""

    progress: Callable[[Progress], None] = lambda progress: None
    result: Callable[[NodeResult, int, int], None] = lambda result, done, total: None
    message: Callable[[str], None] = lambda message: None
