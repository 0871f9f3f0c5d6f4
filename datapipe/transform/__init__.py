"""The transform room: a dbt project's models, built aside, tested, and published all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datapipe.transform.options import Listener, Options
from datapipe.transform.results import (
    ModelResult,
    NodeResult,
    Progress,
    TestResult,
    Transformed,
)
from datapipe.warehouse import Warehouse

if TYPE_CHECKING:
    import psycopg

    from datapipe.transform.checks.freshness import SourceFreshness
    from datapipe.transform.graph.select import Indirect, Node
    from datapipe.transform.listing import CompiledNode
    from datapipe.transform.state import Plan
    from datapipe.transform.verification import Verified

__all__ = [
    "ModelResult",
    "NodeResult",
    "Progress",
    "TestResult",
    "Transformed",
    "compiled_nodes",
    "documented",
    "flush",
    "listed_nodes",
    "plan",
    "run",
    "source_freshness",
    "verify",
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
    threads: int = 1,
    fail_fast: bool = False,
    per_model: bool = False,
    rebuild: bool = False,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_result: Callable[[NodeResult, int, int], None] = lambda result, done, total: None,
    on_message: Callable[[str], None] = lambda message: None,
) -> Transformed:
    """Build every model of the project in ``project_dir``, test what was built, and publish it.

    All of it becomes visible in one transaction at the end, or none of it; with ``per_model`` each
    model at once, as in dbt. Safe to repeat: what a failed run left aside is dropped. One run at a
    time; the caller holds the lock. With the variable ``as_of`` the past is built, and reports go
    on reading the present.

    ``select`` and ``exclude`` are dbt's; what is not selected is read where it was published, and
    stays as it is. ``full_refresh`` computes incremental models from the start. ``threads`` is how
    many models are built at the same time, each over a connection of its own. Whatever can be
    built and tested is, also where something else failed, unless ``fail_fast``.

    What did not change is not done again, unless ``rebuild``. ``resume`` goes on where the last run
    failed, with what that was asked for.

    Raises ProjectError for a mistake in the project, RunFailedError where models failed,
    TestsFailedError, and PublishError where publishing would break something that datapipe did
    not create.
    """
    from datapipe.transform.session import Session, resumed

    options = Options(
        include=select,
        exclude=exclude,
        variables=variables or {},
        target_schema=target_schema,
        full_refresh=full_refresh,
        threads=threads,
        fail_fast=fail_fast,
        per_model=per_model,
        rebuild=rebuild,
        resume=resume,
        wait_seconds=wait_seconds,
    )
    listener = Listener(on_progress, on_result, on_message)
    with warehouse.connect(autocommit=True) as connection:
        if resume:
            again = resumed(connection, project_dir, options)
            if again is None:
                return Transformed((), ("The last run succeeded: there is nothing to resume.",))
            options = again
        return Session(warehouse, connection, project_dir, run_id, options, listener).run()


def flush(connection: psycopg.Connection) -> None:
    """Let PostgreSQL count what ``connection``, in autocommit, has written; for who runs next.

    Without it a run that follows at once has to compare tables by reading them.
    """
    from datapipe.transform import state

    state.flush(connection)


def plan(
    warehouse: Warehouse,
    project_dir: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    full_refresh: bool = False,
    rebuild: bool = False,
) -> Plan:
    """What ``run`` would build, reuse and test, and why; changes nothing."""
    from datapipe.transform import planning

    options = Options(
        include=select,
        exclude=exclude,
        variables=variables or {},
        target_schema=target_schema,
        full_refresh=full_refresh,
        rebuild=rebuild,
    )
    with warehouse.connect(autocommit=True) as connection:
        return planning.plan(connection, project_dir, options)


def verify(
    warehouse: Warehouse,
    project_dir: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[tuple[Verified, ...], tuple[str, ...]]:
    """Build each incremental model in full and by increments, and compare; and warnings.

    Leaves nothing behind. Raises VerifyFailedError where the two differ.
    """
    from datapipe.transform import verification

    with warehouse.connect(autocommit=True) as connection:
        return verification.verify(
            connection,
            project_dir,
            variables=variables or {},
            target_schema=target_schema,
            include=select,
            exclude=exclude,
        )


def listed_nodes(
    project_dir: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    indirect: Indirect = "eager",
    warehouse: Warehouse | None = None,
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The models, seeds, sources, tests and so on that are selected, and warnings.

    ``warehouse`` is asked of earlier runs where the selection has ``state:`` or ``result:``.
    """
    from datapipe.transform import listing
    from datapipe.transform.graph.select import asks_state

    asked = warehouse.connect_if_there() if warehouse and asks_state(select, exclude) else None
    with asked or nullcontext() as connection:
        return listing.listed(
            project_dir,
            variables=variables or {},
            target_schema=target_schema,
            include=select,
            exclude=exclude,
            indirect=indirect,
            connection=connection,
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
    indirect: Indirect = "eager",
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
            indirect=indirect,
        )


def documented(
    warehouse: Warehouse,
    project_dir: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
) -> tuple[str, tuple[str, ...]]:
    """The documentation of the project as one HTML page, and warnings; changes nothing."""
    from datapipe.transform import docs

    with warehouse.connect_if_there() as connection:
        return docs.page(
            connection,
            project_dir,
            variables=variables or {},
            target_schema=target_schema,
        )


def source_freshness(
    warehouse: Warehouse,
    project_dir: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[tuple[SourceFreshness, ...], tuple[str, ...]]:
    """How old the sources are that say how old they may be, and warnings; changes nothing."""
    from datapipe.transform.checks import freshness

    with warehouse.connect(autocommit=True) as connection:
        return freshness.check(
            connection,
            project_dir,
            variables=variables or {},
            target_schema=target_schema,
            include=select,
            exclude=exclude,
        )
