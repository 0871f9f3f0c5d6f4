"""Snapshots of which the project writes a part itself; dbt's macros write the rest.

They work on a copy of the published table, as nobody can tell beforehand what they do to it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg

from datapipe.transform.build import copies
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import place_of_increment
from datapipe.transform.build.incremental import state_of
from datapipe.transform.build.reshape import alterations, columns_to_come
from datapipe.transform.build.site import Site
from datapipe.transform.build.snapshot_strategy import made_by_macro, not_taken
from datapipe.transform.build.table import create, finish
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import analyzed, execute

_CHANGE = "dbt_change_type"
_KEY = "dbt_unique_key"


def build(site: Site) -> Built:
    """Take the snapshot aside: all rows, or a copy of the published table with what has changed."""
    started = time.perf_counter()
    strategy = made_by_macro(site, exists=site.published is not None)
    if site.published is None:
        rows = _create(site, site.aside, "build_snapshot_table", strategy)
        finish(site, site.aside)
    else:
        if not site.copied:
            copies.copy(site, site.published)
        staging = place_of_increment(site.model)
        rows = _create(site, staging, "snapshot_staging_table", strategy, site.aside)
        try:
            _merge(site, staging)
        except psycopg.Error as error:
            cure = "Mend unique_key, or the project's own macros that write this."
            raise not_taken(site, error, cure) from error
    return Built(site.model, site.aside, rows, time.perf_counter() - started)


def _create(
    site: Site, table: Relation, macro: str, strategy: Mapping[str, Any], *more: Relation
) -> int | None:
    """Create ``table`` from the query that ``macro`` writes round the snapshot's own."""
    compiled = site.compiled
    query = str(_called(site, macro, strategy, compiled.sql, *more))
    before, found, after = query.partition(compiled.sql)
    statements = site.statements()
    made = f"{create(site)} {table.local} AS (\n{before}"
    statements.add(made, compiled if found else None, f"{after}\n)")
    return statements.execute(site.connection, compiled, site.compiler)


def _merge(site: Site, staging: Relation) -> None:
    """Bring what was staged into the copy, and add the columns that it lacks."""
    old, staged = state_of(site.connection, site.aside), state_of(site.connection, staging)
    beside = {_CHANGE, _KEY} | {f"{_KEY}_{number}" for number in range(1, len(staged.columns))}
    new = replace(staged, columns=tuple(c for c in staged.columns if c.name not in beside))
    for statement in alterations(old, columns_to_come(old, new), old.local):
        execute(site.connection, statement)
    names = [quoted(column.name) for column in new.columns]
    merge = str(_called(site, "snapshot_merge_sql", site.aside, staging, names))
    execute(site.connection, merge)
    execute(site.connection, analyzed(old.local))
    _called(site, "post_snapshot", staging)


def _called(site: Site, macro: str, *values: Any) -> Any:
    node = site.compiler.seen(site.model, site.compiled)
    own = {"sql": site.compiled.sql, "compiled_code": site.compiled.sql, "model": node}
    return site.compiler.call(site.model, macro, values, this=site.aside, own=own)
