"""A whole table copied aside, for statements of the user's that must have a table before them.

Hooks that change rows of ``this`` and strategies that a macro writes are made for the table itself.
They get a copy, as nobody may see what they do before it is published. The copy has the indexes,
keys and defaults of the table, by their names.
"""

from __future__ import annotations

import psycopg

from datapipe.transform.build import foreign_keys
from datapipe.transform.build.site import Site, place
from datapipe.transform.database import definitions
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import analyzed, execute


def copy(site: Site, old: RelationState) -> None:
    """Make at the model's place aside a table that is as ``old`` is."""
    connection, table = site.connection, site.aside.local
    like = "INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS"
    kind = "CREATE UNLOGGED TABLE" if site.model.config.get("unlogged") else "CREATE TABLE"
    execute(connection, f"{kind} {table} (LIKE {old.local} {like})")
    placed = place(site.aside, site.model)
    if placed:
        execute(connection, placed)
    columns = ", ".join(quoted(name) for name in _stored(connection, old.oid))
    checks = definitions.constraints(connection, [old.oid]).get(old.oid, {})
    keys = [
        (f"ADD CONSTRAINT {quoted(name)} ", site.compiler.standing(made), made)
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
    ]
    execute(connection, "; ".join(statements))
    site.copied = True


def show(site: Site, old: RelationState) -> None:
    """Let the model's place aside show what ``old`` has, for a statement that only reads it."""
    execute(
        site.connection,
        f"CREATE VIEW {site.aside.local} AS SELECT * FROM {old.local}",
    )


def _stored(connection: psycopg.Connection, oid: int) -> list[str]:
    """The columns that are not generated."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0 "
        "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        [oid],
    )
    return [row[0] for row in rows]
