"""The transform room: a dbt project's models, built aside, tested, and published all at once.

A run goes through the rooms in this order. ``opening`` reads the project: its own file
(``project``), its templates (``jinja``), and all that is in it (``manifest``); ``graph`` selects.
``state`` tells what need not be done again. ``execution`` builds and tests the rest over several
connections: ``compile`` makes SQL of a template, ``build`` sends it, ``checks`` holds the result
against the tests. ``publish`` makes all of it visible in one transaction. ``session`` leads through
that.

Some words have one meaning throughout. What a run builds stands *aside*, in schemas of its own that
are called after the published ones, until it is *published*. A relation has two names, therefore:
where it is *standing* now, and where it is published. A model *grows* if only its new rows are
computed, as of incremental models and snapshots. What *hangs* on a relation needs it, as a view
does. To *tell* is to say in a message.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from datapipe.transform.database.session_settings import AS_IN_DBT
from datapipe.transform.database.statements import flush
from datapipe.transform.options import Listener, Options
from datapipe.transform.results import (
    ModelResult,
    NodeResult,
    Progress,
    TestResult,
    Transformed,
)
from datapipe.transform.snippet import showing
from datapipe.warehouse import Warehouse

if TYPE_CHECKING:
    from datapipe.transform.freshness import SourceFreshness
    from datapipe.transform.graph.select import Node
    from datapipe.transform.listing import CompiledNode
    from datapipe.transform.state import Plan
    from datapipe.transform.verification import Verified

__all__ = [
    "Listener",
    "ModelResult",
    "NodeResult",
    "Options",
    "Progress",
    "TestResult",
    "Transformed",
    "compiled",
    "documented",
    "flush",
    "listed",
    "plan",
    "run",
    "source_freshness",
    "verify",
]


@showing()
def run(
    warehouse: Warehouse, options: Options, *, run_id: int, listener: Listener | None = None
) -> Transformed:
    """Build every model of a project that is selected, test what was built, and publish it.

    All of it becomes visible in one transaction at the end, or none of it; with ``per_model`` each
    model at once, as in dbt. Safe to repeat: what a failed run left aside is dropped. One run at a
    time; the caller holds the lock. With the variable ``as_of`` the past is built, and reports go
    on reading the present.

    What is not selected is read where it was published, and stays as it is. Whatever can be built
    and tested is, also where something else failed, unless ``fail_fast``. What did not change is
    not done again, unless ``rebuild``. ``resume`` goes on where the last run failed, with what that
    was asked for.

    Raises ProjectError for a mistake in the project, RunFailedError where models failed,
    TestsFailedError, and PublishError where publishing would break something that datapipe did
    not create.
    """
    from datapipe.transform import planning
    from datapipe.transform.session import Session

    with warehouse.connect(autocommit=True, session=AS_IN_DBT) as connection:
        if options.resume:
            again = planning.resumed(connection, options)
            if again is None:
                return Transformed((), (planning.NOTHING_TO_RESUME,))
            options = again
        return Session(warehouse, connection, run_id, options, listener or Listener()).run()


@showing()
def plan(warehouse: Warehouse, options: Options) -> Plan:
    """What ``run`` would build, reuse and test, and why; changes nothing."""
    from datapipe.transform import planning

    with warehouse.connect(autocommit=True, session=AS_IN_DBT) as connection:
        if options.resume:
            again = planning.resumed(connection, options)
            if again is None:
                return planning.nothing()
            options = again
        return planning.plan(connection, options)


@showing()
def verify(warehouse: Warehouse, options: Options) -> tuple[tuple[Verified, ...], tuple[str, ...]]:
    """Build each incremental model in full and by increments, and compare; and warnings.

    Leaves nothing behind. Raises VerifyFailedError where the two differ.
    """
    from datapipe.transform import verification

    with warehouse.connect(autocommit=True, session=AS_IN_DBT) as connection:
        return verification.verify(connection, options)


@showing()
def listed(
    options: Options, warehouse: Callable[[], Warehouse]
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The models, seeds, sources, tests and so on that are selected, and warnings.

    The ``warehouse`` is only asked for where ``state:``, ``result:`` or ``source_status:`` select
    by earlier runs.
    """
    from datapipe.transform import listing, opening

    asks = opening.asks_of_earlier(options)
    with warehouse().connect_if_there(session=AS_IN_DBT) if asks else nullcontext() as connection:
        return listing.listed(connection, options)


@showing()
def compiled(
    warehouse: Warehouse, options: Options
) -> tuple[tuple[CompiledNode, ...], tuple[str, ...]]:
    """The SQL of the models and tests that are selected, and warnings; changes nothing.

    A ``ref`` stands for what is published, so the SQL runs wherever the warehouse is.
    """
    from datapipe.transform import listing

    with warehouse.connect(autocommit=True, session=AS_IN_DBT) as connection:
        return listing.compiled(connection, options)


@showing()
def documented(warehouse: Warehouse, options: Options) -> tuple[str, tuple[str, ...]]:
    """The documentation of the project as one HTML page, and warnings; changes nothing."""
    from datapipe.transform import docs

    with warehouse.connect_if_there(session=AS_IN_DBT) as connection:
        return docs.page(connection, options)


@showing()
def source_freshness(
    warehouse: Warehouse, options: Options
) -> tuple[tuple[SourceFreshness, ...], tuple[str, ...]]:
    """How old the sources are that say how old they may be, and warnings.

    What is found is written down, for ``source_status:`` in selections.
    """
    from datapipe.transform import freshness
    from datapipe.transform.state import sources
    from datapipe.warehouse import migrate

    with warehouse.connect(autocommit=True, session=AS_IN_DBT) as connection:
        project, found, warnings = freshness.check(connection, options)
        if not sources.may_write(connection):
            unwritten = (
                "This role may not write what was found, so source_status: will not know of it."
            )
            return found, (*warnings, unwritten)
        migrate.upgrade(warehouse, connection)
        seen = {each.unique_id: (each.status, each.max_loaded_at) for each in found}
        sources.write(connection, project, seen)
        return found, warnings
