"""Foreign keys of the project's tables to tables that are swapped: dropped, and made again."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from datapipe.errors import PublishError
from datapipe.frozen import frozen
from datapipe.transform.database import definitions
from datapipe.transform.database.dependents import Dependent
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.publish.plan import Plan
from datapipe.warehouse.failures import class_of


@frozen
class Key:
    """A foreign key, and the statements that drop it and make it again; that may be up to others.

    ``cascades`` does what the key says of rows whose referred rows are gone.
    """

    key: Dependent
    dropped: str
    added: str
    cascades: str = ""


_REFERRING = """
SELECT k.confdeltype::text, format('%%I.%%I', n.nspname, c.relname),
       format('%%I.%%I', rn.nspname, r.relname),
       array_agg(quote_ident(own.attname) ORDER BY at.n),
       array_agg(quote_ident(referred.attname) ORDER BY at.n)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
CROSS JOIN unnest(k.conkey, k.confkey) WITH ORDINALITY AS at (own, referred, n)
JOIN pg_attribute own ON own.attrelid = c.oid AND own.attnum = at.own
JOIN pg_attribute referred ON referred.attrelid = r.oid AND referred.attnum = at.referred
WHERE k.confdeltype IN ('c', 'n', 'd') AND r.oid = %s AND n.nspname = %s AND c.relname = %s
  AND k.conname = %s
GROUP BY k.oid, n.nspname, c.relname, rn.nspname, r.relname
"""


def of(connection: psycopg.Connection, plan: Plan) -> list[Key]:
    """The keys that are in the way of ``plan``."""
    found = []
    # Rows that went from the copy of a table that grows would have gone from the table.
    grown = {old.oid for each, old in plan.swapped if each.grown}
    for key in (*plan.rekeyed, *plan.unkeyed):
        assert key.of is not None  # noqa: S101 - a foreign key has a table
        table = ".".join(map(quoted, key.of))
        name = quoted(key.constraint)
        added = cascades = ""
        if key in plan.rekeyed:
            made = definitions.foreign_key(connection, key.of, key.constraint)
            added = f"ALTER TABLE {plan.names.get(key.of, table)} ADD CONSTRAINT {name} {made}"
            if key.on in grown and key.of not in plan.names:
                cascades = _cascades(connection, key)
        found.append(Key(key, f"ALTER TABLE {table} DROP CONSTRAINT {name}", added, cascades))
    return found


def _cascades(connection: psycopg.Connection, key: Dependent) -> str:
    """The statement that does what ON DELETE says for rows whose referred rows are gone."""
    row = connection.execute(_REFERRING, [key.on, *(key.of or ()), key.constraint]).fetchone()
    if row is None:
        return ""
    action, table, other, own, referred = row
    missing = " AND ".join(
        f"other.{theirs} = this.{ours}" for ours, theirs in zip(own, referred, strict=True)
    )
    given = " AND ".join(f"this.{column} IS NOT NULL" for column in own)
    where = f"WHERE {given} AND NOT EXISTS (SELECT FROM {other} AS other WHERE {missing})"
    if action == "c":
        return f"DELETE FROM {table} AS this {where}"
    to = "NULL" if action == "n" else "DEFAULT"
    return f"UPDATE {table} AS this SET {', '.join(f'{column} = {to}' for column in own)} {where}"


def give_back(connection: psycopg.Connection, keys: Sequence[Key]) -> None:
    """Make the keys again, to the new tables; raises PublishError where rows do not fit."""
    for each in keys:
        try:
            execute(connection, "; ".join(filter(None, (each.cascades, each.added))))
        except psycopg.Error as error:
            if class_of(error) not in {"23", "42"}:
                raise
            raise PublishError(
                f"The {each.key.what} would break: "
                f"{error.diag.message_detail or error.diag.message_primary}. Nothing was published."
            ) from error
