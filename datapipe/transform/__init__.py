"""The transform room: a dbt project's models, built aside, tested, and published all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from datapipe.errors import DatapipeError, TestsFailedError
from datapipe.transform.results import BuiltModel, Progress, TestResult, Transformed
from datapipe.warehouse import Warehouse

if TYPE_CHECKING:
    from datapipe.transform.graph.select import Node
    from datapipe.transform.listing import CompiledNode

__all__ = [
    "BuiltModel",
    "Progress",
    "TestResult",
    "Transformed",
    "compiled_nodes",
    "listed_nodes",
    "run",
]


def run(
    warehouse: Warehouse,
    project_dir: Path,
    *,
    run_id: int,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    wait_seconds: float = 300,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    full_refresh: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_message: Callable[[str], None] = lambda message: None,
) -> Transformed:
    """Build every model of the project in ``project_dir``, test what was built, and publish it.

    All of it becomes visible in one transaction at the end, or none of it. Safe to repeat: what a
    killed run left behind is dropped. One run at a time; the caller holds the lock. With the
    variable ``as_of`` the past is built, and reports go on reading the present.

    ``select`` and ``exclude`` are dbt's; what is not selected is read where it was published, and
    stays as it is. ``full_refresh`` computes incremental models from the start.

    Raises ProjectError for a mistake in the project, TestsFailedError, and PublishError where
    publishing would break something that datapipe did not create.
    """
    from datapipe.transform.session import Session

    with warehouse.connect(autocommit=True) as connection:
        session = Session(
            connection,
            project_dir,
            run_id=run_id,
            variables=variables or {},
            target_schema=target_schema,
            wait_seconds=wait_seconds,
            include=select,
            exclude=exclude,
            full_refresh=full_refresh,
            on_progress=on_progress,
            on_message=on_message,
        )
        try:
            transformed = session.run()
        except TestsFailedError:
            raise  # what was built stays aside, for the user to look at
        except BaseException:
            with suppress(psycopg.Error, DatapipeError):
                session.clean()
            raise
    return transformed


def listed_nodes(
    project_dir: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The models, seeds, sources and tests that are selected, and warnings; asks no database."""
    from datapipe.transform import listing

    return listing.listed(
        project_dir,
        variables=variables or {},
        target_schema=target_schema,
        include=select,
        exclude=exclude,
    )


def compiled_nodes(
    warehouse: Warehouse,
    project_dir: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    full_refresh: bool = False,
) -> tuple[tuple[CompiledNode, ...], tuple[str, ...]]:
    """The SQL of the models and tests that are selected, and warnings; changes nothing.

    A ``ref`` stands for what is published, so the SQL runs wherever the warehouse is.
    """
    from datapipe.transform import listing

    with warehouse.connect(autocommit=True) as connection:
        return listing.compiled(
            connection,
            project_dir,
            variables=variables or {},
            target_schema=target_schema,
            include=select,
            exclude=exclude,
            full_refresh=full_refresh,
        )
