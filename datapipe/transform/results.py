"""What a run of the transform room gives back, and what it tells on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class BuiltModel:
    """One model as published; ``rows`` is None where none were counted, as with a view."""

    name: str
    schema: str
    relation: str
    materialized: str
    rows: int | None
    seconds: float


@dataclass(frozen=True)
class TestResult:
    """One data test; ``failures`` is the number of rows it found, or its ``fail_calc``."""

    __test__ = False  # the name begins like a test class

    name: str
    model: str
    status: Status
    failures: int
    seconds: float


@dataclass(frozen=True)
class Transformed:
    """A run that published: every model, every test that did not fail, and what to know."""

    models: tuple[BuiltModel, ...]
    tests: tuple[TestResult, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """One step done; ``stage`` is build, test or publish, ``done`` of ``total`` in that stage."""

    stage: Literal["build", "test", "publish"]
    name: str
    done: int
    total: int
