"""What PostgreSQL knows of relations: their shape, and what was granted on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal

Name = tuple[str, str]

KINDS = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW"}


@frozen
class Grant:
    """A privilege that somebody has; ``grantee`` is quoted as SQL wants it."""

    grantee: str
    privilege: str
    grantable: bool

    def on(self, relation: str, column: str | None = None) -> str:
        """The statement that grants it."""
        of = f" ({quoted(column)})" if column else ""
        option = " WITH GRANT OPTION" if self.grantable else ""
        return f"GRANT {self.privilege}{of} ON {relation} TO {self.grantee}{option}"


@frozen
class ColumnState:
    """A column of a relation."""

    name: str
    type: str
    collation: int
    comment: str | None
    grants: tuple[Grant, ...]

    @property
    def shape(self) -> tuple[str, str, int]:
        return self.name, self.type, self.collation


@frozen
class RelationState:
    """A table or view as it stands; ``grants`` is None where nobody ever changed them."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: str
    is_ours_to_change: bool
    options: tuple[str, ...]
    comment: str | None
    grants: tuple[Grant, ...] | None
    guarded: bool
    columns: tuple[ColumnState, ...]

    @property
    def local(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def shape(self) -> list[tuple[str, str, int]]:
        return [column.shape for column in self.columns]


def granted(acl: str) -> str:
    """SQL for the privileges that ``acl`` grants, as a JSON list of the values of a Grant each.

    NULL where it grants none.
    """
    return f"""(
    SELECT json_agg(json_build_array(
        CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
        x.privilege_type, x.is_grantable))
    FROM aclexplode({acl}) x)"""


_STATES = f"""
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner),
       pg_has_role(c.relowner, 'USAGE'), coalesce(c.reloptions, '{{}}'),
       obj_description(c.oid, 'pg_class'), c.relacl IS NOT NULL, {granted("c.relacl")},
       c.relrowsecurity, columns.columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(
        a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::bigint,
        d.description, {granted("a.attacl")}) ORDER BY a.attnum) AS columns
    FROM pg_attribute a
    LEFT JOIN pg_description d
        ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) columns ON true
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
"""

_BY_NAME = """
  AND n.nspname = ANY(%(schemas)s)
  AND (n.nspname, c.relname) IN (SELECT * FROM unnest(%(of)s::text[], %(names)s::text[]))
"""


def arrays_of(names: Iterable[Name]) -> tuple[list[str], list[str]]:
    """The schemas of ``names`` and their identifiers, as the arrays that ``unnest`` takes."""
    pairs = list(names)
    return [schema for schema, _ in pairs], [name for _, name in pairs]


def states(connection: psycopg.Connection, names: Iterable[Name]) -> dict[Name, RelationState]:
    """The relations of these names that exist."""
    of, identifiers = arrays_of(names)
    found = connection.execute(
        _STATES + _BY_NAME, {"schemas": sorted({*of}), "of": of, "names": identifiers}
    )
    return {(row[1], row[2]): _state(row) for row in found}


def by_oid(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, RelationState]:
    """The relations of these oids that exist."""
    found = connection.execute(_STATES + " AND c.oid = ANY(%(oids)s::oid[])", {"oids": list(oids)})
    return {row[0]: _state(row) for row in found}


def default_grants(
    connection: psycopg.Connection, schemas: Collection[str], *, of: str = "r"
) -> Mapping[str, list[Grant]]:
    """What ALTER DEFAULT PRIVILEGES gives on new tables, or functions, of these schemas."""
    found: dict[str, list[Grant]] = {}
    if not schemas:
        return found
    for schema, grantee, privilege, grantable in connection.execute(
        """
        SELECT n.nspname,
               CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                    ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
               a.privilege_type, a.is_grantable
        FROM pg_default_acl d
        JOIN pg_namespace n ON n.oid = d.defaclnamespace
        CROSS JOIN aclexplode(d.defaclacl) a
        WHERE d.defaclobjtype::text = %s AND n.nspname = ANY(%s)
          AND d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
        """,
        [of, list(schemas)],
    ):
        found.setdefault(schema, []).append(Grant(grantee, privilege, grantable))
    return found


def restored(
    old: RelationState, new: RelationState, current_user: str, *, hooked: bool = False
) -> list[str]:
    """Statements that give ``new`` the owner, grants and comments of ``old``, which it replaces.

    If it is ``hooked``, what hooks have given to ``new`` itself comes on top.
    """
    name, kind = old.local, KINDS[new.kind]
    statements = []
    if old.owner != current_user:
        statements.append(f"ALTER {kind} {name} OWNER TO {quoted(old.owner)}")
    if old.grants is not None and old.grants != new.grants:
        grantees = {grant.grantee for grant in new.grants or ()} | {quoted(old.owner)}
        if not hooked:
            statements.append(f"REVOKE ALL ON {name} FROM {', '.join(sorted(grantees))}")
        statements += [grant.on(name) for grant in old.grants]
    if old.comment is not None and new.comment is None:
        statements.append(f"COMMENT ON {kind} {name} IS {literal(old.comment)}")
    own = {option.partition("=")[0] for option in new.options}
    options = [option for option in old.options if option.partition("=")[0] not in own]
    if options and old.kind == new.kind:
        statements.append(f"ALTER {kind} {name} SET ({', '.join(options)})")
    there = {column.name: column for column in new.columns}
    for column in old.columns:
        if column.name not in there:
            continue
        statements += [grant.on(name, column.name) for grant in column.grants]
        if column.comment is not None and there[column.name].comment is None:
            statements.append(
                f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.comment)}"
            )
    return statements


def _state(row: tuple[Any, ...]) -> RelationState:
    oid, schema, name, kind, owner, ours, options, comment, has_grants, grants, guarded, columns = (
        row
    )
    return RelationState(
        oid=oid,
        schema=schema,
        name=name,
        kind=kind,
        owner=owner,
        is_ours_to_change=ours,
        options=tuple(options),
        comment=comment,
        grants=_grants(grants) if has_grants else None,
        guarded=guarded,
        columns=tuple(
            ColumnState(column, type_, collation, said, _grants(acl))
            for column, type_, collation, said, acl in columns or []
        ),
    )


def _grants(acl: list[list[Any]] | None) -> tuple[Grant, ...]:
    return tuple(Grant(*entry) for entry in acl or [])


def stored(connection: psycopg.Connection, oid: int) -> list[str]:
    """The columns of the relation ``oid`` that hold values of their own: generated ones do not."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0 "
        "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        [oid],
    )
    return [row[0] for row in rows]
