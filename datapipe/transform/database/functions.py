"""What PostgreSQL knows of functions: their definitions, what hangs on them, what was granted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database.catalog import Grant, Name, arrays_of, granted
from datapipe.transform.database.relation import quoted


@frozen
class FunctionState:
    """A function as it stands; ``definition`` is empty for an aggregate.

    ``types`` are those of its arguments, as SQL; ``call`` is all that CREATE OR REPLACE cannot
    change. ``grants`` is None where nobody ever changed them.
    """

    oid: int
    schema: str
    name: str
    types: str
    call: tuple[Any, ...]
    defaults: int
    owner: str
    comment: str | None
    grants: tuple[Grant, ...] | None
    definition: str
    state: str

    @property
    def local(self) -> str:
        """The name with the types of the arguments, for statements of our own."""
        return f"{quoted(self.schema)}.{quoted(self.name)}({self.types})"

    @property
    def standing(self) -> Name:
        return self.schema, self.name

    def takes(self, other: FunctionState) -> bool:
        """Whether CREATE OR REPLACE can turn it into ``other``, so that what hangs on it stays."""
        *shape, names = self.call
        *other_shape, other_names = other.call
        return (
            shape == other_shape
            and (not names or names == other_names)
            and self.defaults <= other.defaults
        )


# ``state`` is a hash of all that makes it what it is, but for where it stands and who may use it.
_STATES = f"""
SELECT p.oid::bigint, n.nspname, p.proname, oidvectortypes(p.proargtypes),
       ARRAY[p.prokind::text, p.proargtypes::text, p.prorettype::text, p.proretset::text,
             p.proallargtypes::text, p.proargmodes::text, p.proargnames::text],
       p.pronargdefaults, pg_get_userbyid(p.proowner), obj_description(p.oid, 'pg_proc'),
       p.proacl IS NOT NULL, {granted("p.proacl")},
       CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE '' END,
       to_hex(hashtextextended(concat(n.nspname, '.', p.proname, p.proargtypes, '/',
           CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END, '/', a), 0))
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
"""
_BY_NAME = """
WHERE n.nspname = ANY(%s)
  AND (n.nspname, p.proname) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
ORDER BY p.oid
"""


def states(connection: psycopg.Connection, names: Iterable[Name]) -> list[FunctionState]:
    """The functions of these names that exist; several may have the same name."""
    pairs = list(dict.fromkeys(names))
    if not pairs:
        return []
    schemas, of = arrays_of(pairs)
    rows = connection.execute(_STATES + _BY_NAME, [sorted({*schemas}), schemas, of])
    return [_state(row) for row in rows]


def by_oid(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, FunctionState]:
    """The functions of these oids that exist."""
    rows = connection.execute(_STATES + " WHERE p.oid = ANY(%s::oid[])", [list(oids)])
    return {row[0]: _state(row) for row in rows}


def naming(connection: psycopg.Connection, schemas: Iterable[str]) -> list[str]:
    """The definitions of functions elsewhere whose bodies, as texts, name one of ``schemas``."""
    rows = connection.execute(
        """
        SELECT pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prokind IN ('f', 'p') AND n.nspname <> ALL(%(schemas)s)
          AND pg_has_role(p.proowner, 'USAGE')
          AND EXISTS (SELECT FROM unnest(%(schemas)s) AS named (schema)
                      WHERE strpos(p.prosrc, named.schema) > 0)
        ORDER BY p.oid
        """,
        {"schemas": list(schemas)},
    )
    return [text for (text,) in rows]


def row_types(connection: psycopg.Connection, names: Mapping[Name, Name]) -> dict[str, str]:
    """Oids of the row types, and of arrays of them, of one table by those of another.

    ``names`` has for each table the other one, whose types are the keys of the result.
    """
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname, t.oid::text, t.typarray::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_type t ON t.oid = c.reltype
        WHERE (n.nspname, c.relname) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        """,
        arrays_of([*names, *names.values()]),
    )
    types = {(schema, name): both for schema, name, *both in rows}
    return {
        from_: to
        for key, value in names.items()
        if key in types and value in types
        for from_, to in zip(types[value], types[key], strict=True)
    }


def _state(row: tuple[Any, ...]) -> FunctionState:
    oid, schema, name, types, call, defaults, owner, comment, changed, acl, text, state = row
    return FunctionState(
        oid=oid,
        schema=schema,
        name=name,
        types=types,
        call=tuple(call),
        defaults=defaults,
        owner=owner,
        comment=comment,
        grants=tuple(Grant(*entry) for entry in acl or []) if changed else None,
        definition=text,
        state=state,
    )
