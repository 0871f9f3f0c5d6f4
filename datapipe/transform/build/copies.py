"""Copies a whole published table aside, for statements that must have a table before them.

Hooks that change rows of ``this``, and strategies that a macro writes, are meant for the table
itself. They get a copy, as nobody may see what they do before it is published. The copy has the
indexes, keys, defaults, triggers and policies of the table, under the same names.
"""

from __future__ import annotations

import psycopg

from datapipe.transform.build import foreign_keys
from datapipe.transform.build.site import Site, place
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import analyzed, execute


def copy(site: Site, old: RelationState) -> None:
    """Make a table at the model's place aside that is like ``old``."""
    connection, table = site.connection, site.aside.local
    like = "INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS"
    kind = "CREATE UNLOGGED TABLE" if site.model.config.get("unlogged") else "CREATE TABLE"
    by, parts = _partitioned(site, old)
    execute(connection, f"{kind} {table} (LIKE {old.local} {like}){by}")
    for part in parts:
        execute(connection, part)
    placed = place(site.aside, site.model)
    if placed:
        execute(connection, placed)
    columns = ", ".join(quoted(name) for name in catalog.stored(connection, old.oid))
    checks = definitions.constraints(connection, [old.oid]).get(old.oid, {})
    keys = [
        (f"ADD CONSTRAINT {quoted(name)} ", site.compiler.with_names_aside(made), made)
        for made, name in checks.items()
        if made.startswith("FOREIGN KEY")
    ]
    rows = f"SELECT {columns} FROM {old.local}"
    statements = [
        f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE {rows}",
        *definitions.indexes_on(connection, old.oid, table),
        *(
            f"ALTER TABLE {table} ADD CONSTRAINT {quoted(name)} {made}"
            for made, name in checks.items()
            if made.startswith("CHECK")
        ),
        *(f"ALTER TABLE {table} {key}" for key in foreign_keys.settled(site, keys)),
        analyzed(table),
        *definitions.guards(connection, old.oid, table),
    ]
    execute(connection, "; ".join(statements))
    site.copied = True


def show(site: Site, old: RelationState) -> None:
    """Make a view of ``old`` at the model's place aside, for a statement that only reads."""
    execute(
        site.connection,
        f"CREATE VIEW {site.aside.local} AS SELECT * FROM {old.local}",
    )


def refreshable(site: Site, old: RelationState) -> None:
    """Make a materialized view at the model's place aside that is like ``old``.

    It reads what the run has built. If that lacks what ``old`` reads, a view shows ``old`` instead.
    """
    connection, view = site.connection, site.aside.local
    query = site.compiler.with_names_aside(definitions.of_views(connection, [old.oid])[old.oid])
    inputs = [site.compiler.manifest.models[key] for key in site.model.refs]
    asides = {each.relation.published: site.compiler.place(each).local for each in inputs}
    query = definitions.renamed(query, asides)  # functions, too
    made = [f"CREATE MATERIALIZED VIEW {view} AS {query}"]
    made += definitions.indexes_on(connection, old.oid, view)
    try:
        with connection.transaction():
            execute(connection, "; ".join(made))
    except psycopg.Error:
        show(site, old)


_PARTS = """
SELECT pg_get_partkeydef(p.oid), c.relname, pg_get_expr(c.relpartbound, c.oid)
FROM pg_class p LEFT JOIN pg_inherits i ON i.inhparent = p.oid
LEFT JOIN pg_class c ON c.oid = i.inhrelid
WHERE p.oid = %s ORDER BY c.relname
"""


def _partitioned(site: Site, old: RelationState) -> tuple[str, list[str]]:
    """What makes the copy of ``old`` a partitioned table, and what makes the partitions."""
    if old.kind != "p":
        return "", []
    schema = site.aside.standing[0]
    rows = site.connection.execute(_PARTS, [old.oid]).fetchall()
    parts = [
        f"CREATE TABLE {quoted(schema)}.{quoted(name)} PARTITION OF {site.aside.local} {bound}"
        for _, name, bound in rows
        if name is not None
    ]
    return f" PARTITION BY {rows[0][0]}", parts
