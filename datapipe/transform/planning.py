"""What a run would do, and how a run that failed is resumed; nothing is done here."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from datapipe.errors import UsageError
from datapipe.transform import project, state
from datapipe.transform.opening import opened
from datapipe.transform.options import Options
from datapipe.transform.state import Plan

NOTHING_TO_RESUME = "The last run succeeded: there is nothing to resume."


def plan(connection: psycopg.Connection, options: Options) -> Plan:
    """What a run with these options would build, reuse and test, and why."""
    found = opened(connection, options)
    planned = state.planned(connection, found.manifest, found.renderer, found.selection, options)
    return replace(planned, warnings=found.warnings)


def nothing() -> Plan:
    """The plan where there is nothing to resume."""
    return Plan((), (), (), (), warnings=(NOTHING_TO_RESUME,))


def resumed(connection: psycopg.Connection, options: Options) -> Options | None:
    """``options`` as the last run of the project was given them; None where it succeeded.

    Raises UsageError where they ask for something else than that run did.
    """
    if options.select or options.exclude or options.variables or options.full_refresh:
        raise UsageError(
            "--resume goes on with what the last run was asked for. Leave out --select, --exclude, "
            "--selector, --vars and --full-refresh, or --resume."
        )
    last = state.last_run(connection, project.load(options.project_dir, options.variables).name)
    if last is None or last.succeeded:
        return None
    return replace(
        options,
        select=last.select,
        exclude=last.exclude,
        variables=last.variables,
        full_refresh=last.full_refresh,
        target_schema=last.target_schema,
        **{**last.options, "per_model": options.per_model or last.options.get("per_model", False)},
    )
