"""Points what moves at published tables that do not move.

A materialized view goes on reading what it was made from. If that is swapped, it moves as well. But
an increment changes rows of the published table, and so does filling a table in place: what was
read aside instead of these stays aside. So, before anything is locked, whatever reads that is made
again upon the published table, which shows this transaction the new rows. The same goes for what a
hook has made of it elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import psycopg

from datapipe.transform.build.built import Built
from datapipe.transform.build.site import forbidden
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import KINDS, Name, RelationState
from datapipe.transform.database.dependents import dependents, hanging_on_functions, reads
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import analyzed, execute
from datapipe.transform.publish.functions import Functions
from datapipe.transform.publish.plan import Plan, name_of


def rebase(
    connection: psycopg.Connection, plan: Plan, built: Sequence[Built], functions: Functions
) -> list[Name]:
    """Make again all that reads what does not move; gives what is still to be filled.

    A materialized view that calls a function which stays is filled only when that has been
    replaced. The names are the published ones, in the order in which to fill them.
    """
    stays = {plan.aside(each).oid: each for each in (*plan.in_place, *plan.increments)}
    moves = {plan.aside(each).oid for each in plan.moved if plan.aside(each).kind != "r"}
    called = [fate for fate in functions.fates if fate.how == "rebased"]
    if not stays and not (moves and called):
        return []
    asides = {plan.aside(each).oid: each for each in built if each.aside.standing in plan.states}
    states = {oid: plan.aside(each) for oid, each in asides.items()}
    elsewhere = _made_elsewhere(connection, stays, states)
    moves |= elsewhere.keys()
    states |= elsewhere
    edges = reads(connection, states)
    functions_called = [fate.new.oid for fate in called]
    callers = {each.relation for each in hanging_on_functions(connection, functions_called)} & moves
    direct = callers | {oid for oid, read in edges.items() if oid in moves and read & stays.keys()}
    if not direct:
        return []
    again = _with_readers({oid for oid in direct if states[oid].kind == "m"}, edges)
    texts = definitions.of_views(connection, [*direct, *again])
    names = {
        each.aside.standing: definitions.plain_name(name_of(each.model))
        for each in (*stays.values(), *(fate.built for fate in called))
    }
    renamed = {oid: definitions.renamed(text, names) for oid, text in texts.items()}
    for oid, state in states.items():
        if oid in direct - again:
            execute(connection, f"CREATE OR REPLACE VIEW {state.local} AS {renamed[oid]}")
    waits = {oid for oid in again - elsewhere.keys() if callers and states[oid].kind == "m"}
    made_again = [state for oid, state in states.items() if oid in again]
    _make_again(connection, made_again, renamed, waits)
    return [name_of(each.model) for oid, each in asides.items() if oid in waits]


def _with_readers(oids: set[int], edges: Mapping[int, Collection[int]]) -> set[int]:
    """``oids``, and all that reads one of them: it stands in the way of dropping that."""
    found = set(oids)
    while more := {oid for oid, read in edges.items() if not found.isdisjoint(read)} - found:
        found |= more
    return found


def _make_again(
    connection: psycopg.Connection,
    states: Sequence[RelationState],
    texts: Mapping[int, str],
    waits: Collection[int],
) -> None:
    """Drop views and create them as their ``texts`` say; those in ``waits`` are not filled."""
    indexes = {
        state.oid: definitions.indexes_on(connection, state.oid, state.local) for state in states
    }
    for state in reversed(states):
        execute(connection, f"DROP {KINDS[state.kind]} {state.local}")
    for state in states:
        is_filled = state.oid not in waits
        ending = "" if is_filled else " WITH NO DATA"
        created = f"CREATE {KINDS[state.kind]} {state.local} AS {texts[state.oid]}{ending}"
        counted = [analyzed(state.local)] if is_filled else []
        execute(connection, "; ".join([created, *indexes[state.oid], *counted]))
        new = catalog.states(connection, [(state.schema, state.name)])[state.schema, state.name]
        given = catalog.restored(state, new, new.owner, hooked=True)
        if given:
            execute(connection, "; ".join(given))


def _made_elsewhere(
    connection: psycopg.Connection, stays: Collection[int], known: Collection[int]
) -> dict[int, RelationState]:
    """Views that hooks have made of what does not move, except those that are ``known``."""
    names = {each.of for each in dependents(connection, stays) if each.of and not each.constraint}
    found = catalog.states(connection, names).values()
    return {state.oid: state for state in found if state.oid not in known}


_KEYS = """
SELECT k.conrelid::bigint, k.conname FROM pg_constraint k
WHERE k.contype = 'f' AND k.conrelid = ANY(%s::oid[]) AND k.confrelid = ANY(%s::oid[])
"""


def rekey(connection: psycopg.Connection, plan: Plan) -> None:
    """Let foreign keys of what moves refer to what stays, and add those that waited for it."""
    for each in plan.moved:
        if each.keys:
            _alter(connection, each, ", ".join(each.keys))
    if not plan.in_place:
        return
    names = {
        each.aside.standing: definitions.plain_name(name_of(each.model)) for each in plan.in_place
    }
    moved = {plan.aside(each).oid: each for each in plan.moved}
    stays = [plan.aside(each).oid for each in plan.in_place]
    for oid, key in connection.execute(_KEYS, [list(moved), stays]).fetchall():
        made = definitions.foreign_key(connection, moved[oid].aside.standing, key)
        again = f"ADD CONSTRAINT {quoted(key)} {definitions.renamed(made, names)}"
        _alter(connection, moved[oid], f"DROP CONSTRAINT {quoted(key)}, {again}")


def _alter(connection: psycopg.Connection, each: Built, actions: str) -> None:
    try:
        execute(connection, f"ALTER TABLE {each.aside.local} {actions}")
    except psycopg.errors.IntegrityError as error:
        raise forbidden(error, each.model) from error
