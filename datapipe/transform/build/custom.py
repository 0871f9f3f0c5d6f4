"""Runs materializations that the project defines, including those in place of dbt's own.

Their statements are the user's; ``this`` stands aside. A copy of what is published stands there
before them, as many rename, drop or change what exists. Whatever they leave aside is published as
it stands: relations, or functions that have the model's name. If they leave nothing, what they have
done was the point.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial

from datapipe.transform.build import (
    copies,
    function,
    hook_names,
    materialization,
    partitions,
    rows_of_others,
)
from datapipe.transform.build.built import Built
from datapipe.transform.build.site import Site
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import analyzed, execute
from datapipe.transform.jinja import scope
from datapipe.transform.jinja.database import QueryError
from datapipe.transform.jinja.tables import Response

_MAKES_TABLE = re.compile(r"\bcreate\s+(unlogged\s+)?table\b", re.IGNORECASE)
_OF_ROUTINE = re.compile(r"\b(function|procedure|aggregate|routine)\b", re.IGNORECASE)


def build(site: Site) -> Built:
    """Run the materialization; a copy of what is published is there for it."""
    started = time.perf_counter()
    model, name = site.model, site.model.relation.published
    old = catalog.states(site.connection, [name]).get(name)
    if old is not None and old.kind in "rp":
        copies.copy(site, old)
    elif old is not None and old.kind == "m":
        copies.refreshable(site, old)
    elif old is not None:
        copies.show(site, old)
    try:
        with scope.sending(partial(_sent, site)):
            made, response = materialization.run(site)
    except QueryError as error:
        if model.is_seed:
            raise
        from datapipe.transform.compile.locate import query_error  # seldom needed

        told = query_error(error, site.compiled, site.compiler, site.connection)
        raise told from error.__cause__
    places = {relation.standing: relation for relation in made if isinstance(relation, Relation)}
    places |= {part.standing: part for part in partitions.of(site)}
    there = catalog.states(site.connection, [*places, site.aside.standing])
    for state in there.values():
        if state.kind in {"r", "m"}:
            execute(site.connection, analyzed(state.local))
    seconds = time.perf_counter() - started
    rows = response.rows_affected if isinstance(response, Response) else None
    rows = None if rows is None or rows < 0 else rows
    built = Built(model, site.aside, rows, seconds, moves=True, response=response)
    schema = site.aside.standing[0]
    also = tuple(
        partitions.part(built, relation)
        for place, relation in places.items()
        if place[0] == schema and place != site.aside.standing and place in there
    )
    functions = tuple(replace(built, function=oid) for oid in function.made(site))
    if functions and site.aside.standing not in there:
        built, *others = functions
        return replace(built, also=(*also, *others))
    return replace(built, also=(*also, *functions))


def _sent(site: Site, statement: str) -> str:
    """What to send for a ``statement``, which may spell the published name of the model.

    A function of that name is made where the calls of other models find it.
    """
    if not _OF_ROUTINE.search(statement):
        itself = {site.model.relation.published: site.aside.local}
        statement = definitions.renamed(statement, itself)
    if _MAKES_TABLE.search(statement):
        statement = _with_parts_aside(site, statement)
    return rows_of_others.changing(site, hook_names.in_code(site, statement))


def _with_parts_aside(site: Site, statement: str) -> str:
    """``statement`` with tables whose names begin with the model's made aside, as partitions are.

    If the model's table has no partitions, such a table has nothing to do with it.
    """
    if "partition" not in statement.lower():
        own = site.aside.standing
        table = catalog.states(site.connection, [own]).get(own)
        if table is None or table.kind != "p":
            return statement
    published, schema = site.model.relation.published, quoted(site.aside.standing[0])
    models = {each.relation.published for each in site.compiler.manifest.models.values()}
    parts = {
        name: f"{schema}.{quoted(name[1])}"
        for name in definitions.named(statement, published[0]) - models
        if name[1].startswith(published[1])
    }
    return definitions.renamed(statement, parts) if parts else statement
