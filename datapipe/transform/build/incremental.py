"""Incremental models: only what is new is computed, and it is published with all the rest.

The new rows go into a table aside, the increment. What everybody else in the run reads, tests and
models alike, is a view aside that shows the published rows with the increment applied, so all of
them see the table as it will be. Publishing then changes the published table itself by deleting and
inserting (or merging) the same rows within the one transaction: readers see the old rows until it
commits, nothing waits for them, and a failed test leaves no trace. The work follows what is new,
not what is stored.

Where ``on_schema_change`` changes the columns, the whole table is written anew aside out of that
same view, and swapped like any other table. A strategy that a macro of the user's writes is given
a copy of the table to work on, which is swapped, too; so is a table whose contract has constraints,
as a copy keeps them.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.build import contract, copies, overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import place_of_increment, strategy_of
from datapipe.transform.build.increment import Increment, listed
from datapipe.transform.build.reshape import alterations
from datapipe.transform.build.site import Site
from datapipe.transform.build.table import fill
from datapipe.transform.compile.columns import place_of_column
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.statements import analyzed, execute
from datapipe.transform.jinja.context import near
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import place_of_setting
from datapipe.warehouse.failures import class_of, failure


def build(site: Site, published: RelationState) -> Built:
    """Compute the increment of the model aside, and show there what the table will be."""
    started = time.perf_counter()
    if site.model.has_contract:
        contract.check(site)
    strategy = strategy_of(site.model)
    strategy = "merge" if strategy == "microbatch" else strategy
    own = overrides.strategy_of(site)
    new = place_of_increment(site.model)
    if site.model.is_batched:
        from datapipe.transform.build import microbatch  # late, as few models need it

        if own:
            if not site.copied:
                copies.copy(site, published)
            rows = microbatch.gather(site, site.aside)
            return Built(site.model, site.aside, rows, time.perf_counter() - started)
        rows = microbatch.gather(site, new)
    else:
        statements = site.statements()
        statements.add_table(f"CREATE TABLE {new.local}", new.local, site.compiled)
        statements.add(f"ANALYZE {new.local}")
        rows = statements.execute(site.connection, site.compiled, site.compiler)
    gained = Increment(site, published, state_of(site.connection, new), strategy)
    try:
        if site.copied or own or (gained.is_reshaped and site.model.has_contract):
            applied_to_copy(site, published, gained, new, own)
            return Built(site.model, site.aside, rows, time.perf_counter() - started)
        if gained.is_reshaped:
            fill(site, site.aside, gained.applied())
            return Built(site.model, site.aside, rows, time.perf_counter() - started)
        execute(site.connection, f"CREATE VIEW {site.aside.local} AS {gained.applied()}")
    except psycopg.Error as error:
        raise told(error, site.model) from error
    seconds = time.perf_counter() - started
    return Built(site.model, site.aside, rows, seconds, increment=gained.statements())


def applied_to_copy(
    site: Site, published: RelationState, gained: Increment, new: Relation, own: str | None
) -> None:
    """Bring the increment into a copy of the table aside, which hooks may have changed.

    ``own`` is the strategy of the project's own that does it, if there is one.
    """
    if not site.copied:
        copies.copy(site, published)
    table = site.aside.local
    for statement in alterations(published, gained.columns, table):
        execute(site.connection, statement)
    if own:
        statements = [gained.by_macro(own, site.aside, new)]
    else:
        aimed = {(published.schema, published.name): table}
        statements = [definitions.renamed(text, aimed) for text in gained.statements()]
    execute(site.connection, "; ".join([*statements, analyzed(table)]))


def tell_of_names(site: Site, setting: str) -> None:
    """Warn of names in ``setting`` that are no columns of the table, which was just built first.

    As with dbt that is an error only when the table grows.
    """
    there = [column.name for column in state_of(site.connection, site.aside).columns]
    known = {column.lower() for column in there}
    for name in listed(site.model.config.get(setting)):
        if re.fullmatch(r'\w+|"\w+"', name) and name.strip('"').lower() not in known:
            error = site.error(
                f"{setting} names {name}, and {site.model.name} has no such column: the next run "
                f"will fail.{near(name, there)}",
                setting,
                name,
            )
            site.warn(str(error))


def told(error: psycopg.Error, model: Model) -> DatapipeError:
    """The error for what PostgreSQL says of applying an increment, with the setting to mend."""
    said = error.diag.message_primary or str(error)
    if error.sqlstate == "21000":
        message = (
            f"The model {model.name} has several new rows for one unique_key, so they cannot be "
            "merged."
        )
    elif class_of(error) in {"21", "22", "23", "42"}:
        message = f"PostgreSQL cannot apply the new rows of {model.name}: {said}."
    else:
        return failure(error, f"applying the new rows of {model.name}")
    path, line = _place(error, model)
    return ProjectError(
        f"{message} Mend unique_key, incremental_predicates or the model.",
        path=path,
        line=line,
        model=model.name,
    )


def _place(error: psycopg.Error, model: Model) -> tuple[Path, int | None]:
    """The place of the setting, or of the column, that the message names; otherwise of the key."""
    from datapipe.transform.compile.guess import names  # late: it is for what is wrong only

    for name in names(error):
        for setting in ("unique_key", "incremental_predicates", "predicates"):
            if any(name in each.lower() for each in listed(model.config.get(setting))):
                return place_of_setting(model, setting, name)
        path, line = place_of_column(model, name)
        if line is not None:
            return path, line
    return place_of_setting(model, "unique_key")


def state_of(connection: psycopg.Connection, relation: Relation) -> RelationState:
    """What PostgreSQL knows of a relation that is there."""
    return catalog.states(connection, [relation.standing])[relation.standing]
