"""Points what moves at published tables that do not move.

A materialized view goes on reading what it was made from. If that is swapped, it moves as well. But
an increment changes rows of the published table, and so does filling a table in place: what was
read aside instead of these stays aside. So, before anything is locked, whatever reads that is made
again upon the published table, which shows this transaction the new rows. The same goes for what a
hook has made of it elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
    built = [each for each in built if each.aside.standing in plan.states]
    asides = [plan.aside(each) for each in built]
    states = {state.oid: state for state in asides}
    elsewhere = _made_elsewhere(connection, stays, states)
    moves |= elsewhere.keys()
    states |= elsewhere
    edges = reads(connection, states)
    direct = {reader for reader, read in edges.items() if reader in moves and read & stays.keys()}
    oids = [fate.new.oid for fate in called]
    callers = {each.relation for each in hanging_on_functions(connection, oids)} & moves
    direct |= callers
    if not direct:
        return []
    names = {
        each.aside.standing: definitions.plain_name(name_of(each.model))
        for each in (*stays.values(), *(fate.built for fate in called))
    }
    again = {oid for oid in direct if states[oid].kind == "m"}
    while True:  # what reads a materialized view stands in the way of dropping it
        more = {reader for reader, read in edges.items() if read & again} - again
        if not more:
            break
        again |= more
    empty = " WITH NO DATA" if callers else ""
    order = [*asides, *elsewhere.values()]
    texts = definitions.of_views(connection, [*direct, *again])
    for state in order:
        if state.oid in direct - again:
            text = definitions.renamed(texts[state.oid], names)
            execute(connection, f"CREATE OR REPLACE VIEW {state.local} AS {text}")
    made_again = [state for state in order if state.oid in again]
    after = {
        state.oid: definitions.indexes_on(connection, state.oid, state.local)
        for state in made_again
    }
    for state in reversed(made_again):
        execute(connection, f"DROP {KINDS[state.kind]} {state.local}")
    for state in made_again:
        text = definitions.renamed(texts[state.oid], names)
        filled = empty if state.kind == "m" and state.oid not in elsewhere else ""
        execute(connection, f"CREATE {KINDS[state.kind]} {state.local} AS {text}{filled}")
        statements = [*after[state.oid], *([] if filled else [analyzed(state.local)])]
        execute(connection, "; ".join(statements) or "SELECT")
        new = catalog.states(connection, [(state.schema, state.name)])[state.schema, state.name]
        given = catalog.restored(state, new, new.owner, hooked=True)
        if given:
            execute(connection, "; ".join(given))
    unfilled = {(each.schema, each.name) for each in made_again if each.kind == "m"}
    return [name_of(each.model) for each in built if empty and each.aside.standing in unfilled]


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
