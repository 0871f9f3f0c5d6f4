"""The transform room: a dbt project's models, built aside, tested, and published all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, TestsFailedError
from datapipe.transform.results import BuiltModel, Progress, TestResult, Transformed
from datapipe.warehouse import Warehouse

__all__ = ["BuiltModel", "Progress", "TestResult", "Transformed", "run"]


def run(
    warehouse: Warehouse,
    project_dir: Path,
    *,
    run_id: int,
    variables: Mapping[str, Any] | None = None,
    target_schema: str = "public",
    wait_seconds: float = 300,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_message: Callable[[str], None] = lambda message: None,
) -> Transformed:
    """Build every model of the project in ``project_dir``, test what was built, and publish it.

    All of it becomes visible in one transaction at the end, or none of it. Safe to repeat: what a
    killed run left behind is dropped. One run at a time; the caller holds the lock. With the
    variable ``as_of`` the past is built, and reports go on reading the present.

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
