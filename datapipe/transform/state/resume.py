"""Resumes a run: finds out what it has built aside, and how much of that is still right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database.relation import quoted
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.state import records
from datapipe.transform.state.decide import Decisions, is_named
from datapipe.transform.state.records import Aside

_TABLES = {"r"}


@frozen
class Kept:
    """A table of an earlier run that lies aside; ``rows`` is how many it has."""

    schema: str
    name: str
    rows: int | None


@frozen
class Left:
    """What can be kept, and what was recorded of it, by unique id."""

    kept: Mapping[str, Kept] = field(default_factory=dict)
    states: Mapping[str, Aside] = field(default_factory=dict)


def kept(connection: psycopg.Connection, decisions: Decisions) -> Left:
    """What the last run has built just as this run would; changes nothing.

    Views are made again, as they cost nothing; what was built on them may still be right.
    """
    lying = records.lying_aside(connection)
    # What changes their rows does so again.
    changed = {key for state in decisions.recorded.values() for key in state.changed}
    changed |= {key for each in lying.values() for key in each.state.changed}
    true: dict[str, Aside] = {}
    found: dict[str, Kept] = {}
    by_relation: dict[str, str] = {}
    for model in decisions.in_order:
        if model.unique_id not in decisions.why:
            continue
        each = lying.get(model.unique_id)
        if each is None or model.unique_id in changed:
            continue
        if not _is_true(model, each, decisions, true, by_relation):
            continue
        true[model.unique_id] = each
        by_relation[f"{quoted(each.schema)}.{quoted(each.name)}"] = model.unique_id
        output = each.state.output
        if output is not None and output.kind in _TABLES:
            found[model.unique_id] = Kept(each.schema, each.name, output.rows)
    return Left(found, {key: true[key] for key in found})


def _is_true(
    model: Model,
    each: Aside,
    decisions: Decisions,
    true: Mapping[str, Aside],
    by_relation: Mapping[str, str],
) -> bool:
    state, output = each.state, each.state.output
    now = decisions.seen.tokens.get(f"{quoted(each.schema)}.{quoted(each.name)}")
    if model.is_function:
        now = output  # what matters is what it would be made of
    if output is None or now is None or state.unsteady or not now.is_the_same_as(output):
        return False
    if now.is_unlogged and now.epoch != output.epoch:
        return False  # it is emptied by a crash of the server
    if not is_named(state, model):
        return False
    for function in decisions.functions_of(model.unique_id):
        if function.unique_id in decisions.why and function.unique_id not in true:
            return False
    for key, oid in each.built_on.items():
        earlier = true.get(by_relation.get(key, ""))
        if earlier is None or earlier.oid != oid:
            return False
    return not decisions.reason_to_repeat(model, state)
