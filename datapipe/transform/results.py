"""What a run of the transform room gives back, and what it tells on the way."""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from datapipe.errors import DatapipeError
from datapipe.frozen import frozen

Status = Literal["success", "reused", "pass", "warn", "fail", "error", "skipped"]

# What keeps a run from being published; a reused or warning node does not.
FAILED = frozenset({"fail", "error", "skipped"})


def _now() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True)
class NodeResult:
    """How one node of a run ended; ``unique_id`` is dbt's.

    ``message`` says what went wrong. A skipped node has in ``because`` the name of the node whose
    failure is the reason.
    """

    unique_id: str
    resource_type: str
    name: str
    status: Status
    seconds: float = 0.0
    message: str = ""
    because: str = ""
    path: Path | None = None
    line: int | None = None
    ended_at: datetime = field(default_factory=_now, compare=False)

    @property
    def has_failed(self) -> bool:
        """Whether this keeps the run from being published."""
        return self.status in FAILED


@frozen(kw_only=True)
class ModelResult(NodeResult):
    """A model, seed or snapshot; ``rows`` is None where none were counted, as for a view.

    ``is_kept`` says that a run that failed had built it, and this one has resumed that.
    """

    schema: str
    relation: str
    materialized: str
    rows: int | None = None
    is_kept: bool = False


@frozen(kw_only=True)
class TestResult(NodeResult):
    """A data test or unit test of ``model``; ``failures`` is what its ``fail_calc`` came to.

    ``query`` shows the rows that should not be there; ``columns`` and ``rows`` are the first of
    them as text, where None is NULL. ``stored_in`` is the table that keeps them all. ``error`` says
    why a test could not be run.
    """

    __test__ = False  # the name begins like a test class

    model: str
    failures: int = 0
    query: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    stored_in: str = ""
    error: DatapipeError | None = None


@frozen
class Transformed:
    """A run that published: how each node ended, in the order in which they did."""

    results: tuple[NodeResult, ...]
    warnings: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[ModelResult, ...]:
        """The models, seeds and snapshots that were built and published."""
        return tuple(
            each
            for each in self.results
            if isinstance(each, ModelResult) and each.status == "success"
        )

    @property
    def tests(self) -> tuple[TestResult, ...]:
        """The data tests and unit tests, none of which failed."""
        return tuple(each for each in self.results if isinstance(each, TestResult))


@frozen
class Progress:
    """One step done; ``stage`` is build, test or publish, ``done`` of ``total`` in that stage."""

    stage: Literal["build", "test", "publish"]
    name: str
    done: int
    total: int
