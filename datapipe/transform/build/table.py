"""Builds views and tables aside."""

from __future__ import annotations

import time

import psycopg

from datapipe.transform.build import contract, foreign_keys, overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.site import Site, indexes, not_unique, place
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.statements import analyzed, execute


def build_view(site: Site) -> Built:
    """Create the view; one that a header, a hook or a macro changes is published as it is."""
    started = time.perf_counter()
    own = overrides.makes_view(site)
    if own:
        statements = overrides.created(site, "get_create_view_as_sql")
    else:
        if site.model.has_contract:
            contract.check(site)
            contract.tell_not_enforced(site)
        statements = site.statements()
        statements.add(f"CREATE VIEW {site.aside.local} AS (\n", site.compiled)
    site.send(statements)
    seconds = time.perf_counter() - started
    moves = own or site.model.keeps_its_words
    return Built(site.model, site.aside, None, seconds, moves=moves)


def build_table(site: Site) -> Built:
    """Create the table, place it, fill it, then create its indexes."""
    started = time.perf_counter()
    model, aside, compiled = site.model, site.aside, site.compiled
    statements = site.statements()
    placed = place(aside, model)
    if overrides.makes_table(site):
        statements = overrides.created(site, "get_create_table_as_sql", False)
    elif site.model.has_contract:
        declared = contract.check(site)
        columns = contract.columns_and_constraints(site, declared)
        names = ", ".join(contract.written(column) for column in declared)
        statements.add(f"{create(site)} {aside.local} (\n{columns}\n)")
        if placed:
            statements.add(placed)
        filled = f"INSERT INTO {aside.local} ({names}) SELECT {names} FROM (\n"
        statements.add(filled, compiled, ") AS model_subq")
        keys = foreign_keys.declared(site, declared)
        if keys:
            statements.add(f"ALTER TABLE {aside.local} {', '.join(keys)}")
    else:
        statements.add_table(f"{create(site)} {aside.local}", aside.local, compiled, placed)
    makes_indexes = overrides.makes_indexes(site)
    for index in () if makes_indexes else indexes(model):
        statements.add(f"CREATE {index.format(aside.local)}")
    statements.add(analyzed(aside.local))
    rows = site.send(statements)
    if makes_indexes:
        site.compiler.call(model, "create_indexes", [aside], this=aside)
    return Built(model, aside, rows, time.perf_counter() - started)


def create(site: Site) -> str:
    """The first words of the statement that creates the model's table."""
    return "CREATE UNLOGGED TABLE" if site.model.config.get("unlogged") else "CREATE TABLE"


def finish(site: Site, table: Relation) -> None:
    """Give a table that was filled without the model's query what else it needs."""
    own = overrides.makes_indexes(site)
    listed = [] if own else indexes(site.model)
    statements = [f"CREATE {index.format(table.local)}" for index in listed]
    if own:
        site.compiler.call(site.model, "create_indexes", [table], this=table)
    try:
        execute(site.connection, "; ".join([*statements, analyzed(table.local)]))
    except psycopg.errors.UniqueViolation as error:
        raise not_unique(error, site.model, site.compiler.manifest.project) from error


def fill(site: Site, table: Relation, query: str) -> None:
    """Create ``table`` from a query of our own."""
    connection = site.connection
    execute(connection, f"{create(site)} {table.local} AS ({query}) WITH NO DATA")
    placed = place(table, site.model)
    if placed:
        execute(connection, placed)
    execute(connection, f"INSERT INTO {table.local} {query}")
    finish(site, table)
