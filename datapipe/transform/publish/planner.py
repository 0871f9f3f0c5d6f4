"""Makes the plan of a publication from what stands now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import psycopg

from datapipe.transform.build.built import Built
from datapipe.transform.database import catalog
from datapipe.transform.database.catalog import Name, RelationState
from datapipe.transform.database.definitions import plain_name
from datapipe.transform.database.dependents import dependents, reads
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.publish.plan import Plan, name_of, refused
from datapipe.transform.publish.swaps import Swaps, fits

_LOADED = "raw"


def make(
    connection: psycopg.Connection,
    built: Sequence[Built],
    models: Iterable[Model],
    functions: Sequence[Built] = (),
    making_way: Collection[int] = (),
) -> Plan:
    """The plan for what stands now; raises PublishError for what others have made and would break.

    ``models`` are all of the project's. ``functions`` are published together with ``built``, and
    ``making_way`` are the oids of functions that will be gone then.
    """
    ours = {name_of(each.model) for each in built}
    ours |= {each.aside.standing for each in built}
    names = {each.aside.standing: plain_name(name_of(each.model)) for each in (*built, *functions)}
    plan = Plan(catalog.states(connection, ours), names)
    _leave_out_what_is_gone(connection, plan, built, ours)
    built = [each for each in built if each.aside.standing in plan.states]
    _refuse_loaded(connection, plan, built)
    read_on = _read_by_what_moves(connection, plan, built)
    moved: list[tuple[Built, RelationState]] = []
    for each in built:
        old, new = plan.states.get(name_of(each.model)), plan.aside(each)
        if each.increment is not None:
            if old is None or old.kind not in {"r", "m"}:
                raise refused(
                    each,
                    f"The table {each.model.relation.published_local} went away during the run.",
                )
            plan.increments.append(each)
            continue
        moves = new.kind != "v" or each.moves or new.oid in read_on
        if old is None:
            plan.new.append(each)
        elif not moves and old.kind == "v" and fits(old, new):
            plan.replaced.append(each)
        else:
            moved.append((each, old))
        if moves:
            plan.moved.append(each)
    project = {name_of(model) for model in models}
    hooked = {name_of(each.model) for each in built if each.model.has_hooks}
    Swaps(connection, plan, moved, ours, project, read_on, making_way, hooked).decide()
    return plan


def _leave_out_what_is_gone(
    connection: psycopg.Connection, plan: Plan, built: Sequence[Built], ours: Collection[Name]
) -> None:
    """Drop what is published of models that a hook has dropped aside.

    If something of others hangs on it, it stays.
    """
    gone = [each for each in built if each.aside.standing not in plan.states]
    olds = [plan.states[name] for each in gone if (name := name_of(each.model)) in plan.states]
    hanging = dependents(connection, [old.oid for old in olds])
    hung_on = {each.on for each in hanging if each.of not in ours}
    plan.dropped = [old for old in olds if old.oid not in hung_on]


def _refuse_loaded(connection: psycopg.Connection, plan: Plan, built: Sequence[Built]) -> None:
    """Raise PublishError where a model would replace what datapipe loads, in the schema raw."""
    there = [each for each in built if name_of(each.model) in plan.states]
    there = [each for each in there if name_of(each.model)[0] == _LOADED]
    if not there:
        return
    rows = connection.execute(
        "SELECT relation_name FROM meta.models WHERE schema_name = %s", [_LOADED]
    )
    ours = {row[0] for row in rows}
    for each in there:
        if name_of(each.model)[1] not in ours:
            raise refused(
                each,
                f"{each.model.relation.published_local} is there already, and transform did not "
                "publish it: the schema raw holds what datapipe loads. Give the model another "
                "schema or alias.",
            )


def _read_by_what_moves(
    connection: psycopg.Connection, plan: Plan, built: Sequence[Built]
) -> set[int]:
    """The oids of all that materialized views aside read, and that what moves reads.

    That has to move as well, since it is what they will go on reading.
    """
    states = {plan.aside(each).oid: each for each in built if each.aside.standing in plan.states}
    movers = {oid for oid, each in states.items() if each.moves or plan.aside(each).kind == "m"}
    if not movers:
        return set()
    edges = reads(connection, states)
    found: set[int] = set()
    while movers:
        movers = {read for mover in movers for read in edges.get(mover, ())} - found
        found |= movers
    return found
