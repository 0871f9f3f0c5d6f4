"""Gives what is published the owner, grants and comments that the old one had.

What the settings of its model say of them comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from datapipe.transform.build.built import Built
from datapipe.transform.compile import Compiler
from datapipe.transform.database import catalog
from datapipe.transform.database.catalog import KINDS, Grant, RelationState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.publish import grants
from datapipe.transform.publish.by_macros import ByMacros
from datapipe.transform.publish.functions import Functions
from datapipe.transform.publish.plan import Plan, columns_of, name_of

_TO_ALL = Grant("PUBLIC", "EXECUTE", grantable=False)  # PostgreSQL gives it with every function


def relations(
    connection: psycopg.Connection,
    plan: Plan,
    built: Sequence[Built],
    final: Compiler,
    user: str,
) -> None:
    """Give the published relations their owners, grants and comments; ``user`` is our own role."""
    statements: list[str] = []
    for each, old in plan.swapped:
        new = plan.aside(each)
        statements += catalog.restored(old, new, user, hooked=each.model.has_hooks)
    defaults = catalog.default_grants(connection, {name_of(each.model)[0] for each in plan.new})
    moved = {each.aside for each in plan.moved}
    for each in plan.new:
        if each.aside in moved:
            given = defaults.get(name_of(each.model)[0], [])
            statements += [grant.on(each.model.relation.published_local) for grant in given]
    published = [each for each in built if each.aside.standing in plan.states]
    by_macros = ByMacros(connection, final)
    for each in published:
        if not by_macros.makes_comments(each):
            of_hook = each.increment is None and plan.aside(each).comment is not None
            statements += _comments(each.model, plan.stands(each), of_columns_only=of_hook)
    if statements:
        execute(connection, "; ".join(statements))
    for each in published:
        given = defaults.get(name_of(each.model)[0], [])
        now = [*(plan.granted(each) or given), *(plan.aside(each).grants or ())]
        owner = plan.owner(each) or user
        if by_macros.gives_grants(each):
            by_macros.grant(each, plan, grants.others(now, owner))
        elif each.model.config.get("grants"):
            grants.give(connection, each.model, now, owner, final.manifest.project)
        if by_macros.makes_comments(each):
            by_macros.comment(each, plan)


def functions(
    connection: psycopg.Connection, of_functions: Functions, final: Compiler, user: str
) -> None:
    """Do the same for the published functions."""
    new = [fate.model.relation.published[0] for fate in of_functions.fates if not fate.old]
    defaults = catalog.default_grants(connection, new, of="f")
    statements = of_functions.restored(user, defaults)
    if statements:
        execute(connection, "; ".join(statements))
    for fate in of_functions.fates:
        if fate.model.config.get("grants"):
            old = fate.old
            now = [_TO_ALL, *((old and old.grants) or ()), *(fate.new.grants or ())]
            owner = old.owner if old else user
            project = final.manifest.project
            grants.give(connection, fate.model, now, owner, project, on=f"ROUTINE {fate.local}")


def _comments(model: Model, new: RelationState, *, of_columns_only: bool) -> list[str]:
    """Statements that write descriptions as comments, as ``persist_docs`` asks for."""
    persisted = model.config.get("persist_docs") or {}
    kind, name = KINDS[new.kind], model.relation.published_local
    statements = []
    if persisted.get("relation") and model.description and not of_columns_only:
        statements.append(f"COMMENT ON {kind} {name} IS {literal(model.description)}")
    if persisted.get("columns"):
        there = columns_of(new)
        statements += [
            f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.description)}"
            for column in model.columns.values()
            if column.description and column.name in there
        ]
    return statements
