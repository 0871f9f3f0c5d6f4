"""What PostgreSQL knows of relations: their shape, what hangs on them, what was granted on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal

Name = tuple[str, str]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Dependent:
    """Something that was made by others and hangs on a relation of ours.

    A view has its definition in ``view``, and can be pointed at another relation of the same name;
    anything else cannot.
    """

    on: int
    what: str
    columns: tuple[str, ...]
    view: RelationState | None = None
    definition: str = ""
    is_foreign_key: bool = False


_STATES = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner),
       pg_has_role(c.relowner, 'USAGE'), coalesce(c.reloptions, '{}'),
       obj_description(c.oid, 'pg_class'), c.relacl IS NOT NULL, acl.grants,
       c.relrowsecurity, columns.columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(
        CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
        a.privilege_type, a.is_grantable)) AS grants
    FROM aclexplode(c.relacl) a
) acl ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(
        a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::bigint,
        col_description(c.oid, a.attnum), (
            SELECT json_agg(json_build_array(
                CASE WHEN x.grantee = 0 THEN 'PUBLIC'
                     ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                x.privilege_type, x.is_grantable))
            FROM aclexplode(a.attacl) x)) ORDER BY a.attnum) AS columns
    FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) columns ON true
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
"""

_BY_NAME = """
  AND n.nspname = ANY(%(schemas)s)
  AND (n.nspname, c.relname) IN (SELECT * FROM unnest(%(of)s::text[], %(names)s::text[]))
"""

# An object hangs on a relation, or on the row type that every relation brings with it. Left out are
# what belongs to the relation itself: its indexes, its own rule if it is a view, its row type.
_DEPENDENTS = """
WITH ours AS (
    SELECT c.oid AS relation, 'pg_class'::regclass AS class, c.oid AS object
    FROM pg_class c WHERE c.oid = ANY(%(oids)s::oid[])
    UNION ALL
    SELECT c.oid, 'pg_type'::regclass, t.oid
    FROM pg_class c JOIN pg_type t ON t.oid = c.reltype OR t.typelem = c.reltype
    WHERE c.oid = ANY(%(oids)s::oid[]) AND c.reltype <> 0
)
SELECT o.relation::bigint, d.classid::regclass::text, d.objid::bigint,
       min(pg_describe_object(d.classid, d.objid, 0)),
       array_remove(array_agg(DISTINCT a.attname::text), NULL),
       max(CASE WHEN r.rulename = '_RETURN' AND v.relkind = 'v' AND o.class = 'pg_class'::regclass
                THEN v.oid END::bigint),
       bool_or(o.class = 'pg_type'::regclass),
       bool_or(coalesce(k.contype = 'f' AND k.confrelid = o.relation, false)),
       max(CASE WHEN r.oid IS NOT NULL THEN pg_describe_object('pg_class'::regclass, v.oid, 0) END)
FROM ours o
JOIN pg_depend d ON d.refclassid = o.class AND d.refobjid = o.object AND d.deptype IN ('n', 'a')
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class v ON v.oid = r.ev_class
LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_attribute a
    ON a.attrelid = o.relation AND o.class = 'pg_class'::regclass AND a.attnum = d.refobjsubid
   AND a.attnum > 0
WHERE NOT coalesce(r.ev_class = o.relation AND r.rulename = '_RETURN', false)
  AND NOT coalesce(i.indrelid = o.relation, false)
  AND NOT coalesce(k.contype = 'n', false)
GROUP BY o.relation, d.classid, d.objid
ORDER BY o.relation, d.classid, d.objid
"""


def states(connection: psycopg.Connection, names: Iterable[Name]) -> dict[Name, RelationState]:
    """The relations of these names that exist."""
    pairs = list(names)
    found = connection.execute(
        _STATES + _BY_NAME,
        {
            "schemas": sorted({schema for schema, _ in pairs}),
            "of": [schema for schema, _ in pairs],
            "names": [name for _, name in pairs],
        },
    )
    return {(row[1], row[2]): _state(row) for row in found}


def dependents(connection: psycopg.Connection, oids: Iterable[int]) -> list[Dependent]:
    """What hangs directly on these relations; definitions name everything in full."""
    wanted = list(oids)
    if not wanted:
        return []
    rows = connection.execute(_DEPENDENTS, {"oids": wanted}).fetchall()
    views = _views(connection, [row[5] for row in rows if row[5] is not None and not row[6]])
    found = []
    for on, _, _, what, columns, view, _, is_foreign_key, rule_of in rows:
        state, definition = views.get(view, (None, ""))
        if state is not None and state.is_ours_to_change:
            found.append(Dependent(on, f"view {_plain(state)}", tuple(columns), state, definition))
        else:
            described = rule_of or what
            found.append(Dependent(on, described, tuple(columns), is_foreign_key=is_foreign_key))
    return found


def _views(connection: psycopg.Connection, oids: list[int]) -> dict[int, tuple[RelationState, str]]:
    if not oids:
        return {}
    rows = connection.execute(
        _STATES + " AND c.oid = ANY(%(oids)s::oid[])", {"oids": oids}
    ).fetchall()
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = ''")
        definitions: dict[int, str] = dict(
            connection.execute(
                "SELECT oid::bigint, pg_get_viewdef(oid) FROM pg_class WHERE oid = ANY(%s::oid[])",
                [oids],
            ).fetchall()
        )
    return {row[0]: (_state(row), definitions[row[0]]) for row in rows}


def indexes(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, set[str]]:
    """The indexes of each of these tables, as SQL without their names and without the table."""
    found: dict[int, set[str]] = {}
    for table, index in connection.execute(
        """
        SELECT indrelid::bigint, format('CREATE %%sINDEX %%s',
            CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END,
            substring(pg_get_indexdef(indexrelid) FROM ' ON .*? (USING .*)$'))
        FROM pg_index WHERE indrelid = ANY(%s::oid[])
        """,
        [list(oids)],
    ):
        found.setdefault(table, set()).add(index)
    return found


def default_grants(
    connection: psycopg.Connection, schemas: Iterable[str]
) -> Mapping[str, list[Grant]]:
    """What ALTER DEFAULT PRIVILEGES gives on new tables of these schemas."""
    found: dict[str, list[Grant]] = {}
    for schema, grantee, privilege, grantable in connection.execute(
        """
        SELECT n.nspname,
               CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                    ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
               a.privilege_type, a.is_grantable
        FROM pg_default_acl d
        JOIN pg_namespace n ON n.oid = d.defaclnamespace
        CROSS JOIN aclexplode(d.defaclacl) a
        WHERE d.defaclobjtype = 'r' AND n.nspname = ANY(%s)
          AND d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
        """,
        [list(schemas)],
    ):
        found.setdefault(schema, []).append(Grant(grantee, privilege, grantable))
    return found


def restored(old: RelationState, new: RelationState, current_user: str) -> list[str]:
    """Statements that give ``new``, now at the place of ``old``, its owner, grants and comments."""
    name, kind = old.local, "VIEW" if new.kind == "v" else "TABLE"
    statements = []
    if old.owner != current_user:
        statements.append(f"ALTER {kind} {name} OWNER TO {quoted(old.owner)}")
    if old.grants is not None and old.grants != new.grants:
        grantees = {grant.grantee for grant in new.grants or ()} | {quoted(old.owner)}
        statements.append(f"REVOKE ALL ON {name} FROM {', '.join(sorted(grantees))}")
        statements += [grant.on(name) for grant in old.grants]
    if old.comment is not None:
        statements.append(f"COMMENT ON {kind} {name} IS {literal(old.comment)}")
    if old.options and (old.kind == "v") == (new.kind == "v"):
        statements.append(f"ALTER {kind} {name} SET ({', '.join(old.options)})")
    kept = {column.name for column in new.columns}
    for column in old.columns:
        if column.name not in kept:
            continue
        statements += [grant.on(name, column.name) for grant in column.grants]
        if column.comment is not None:
            statements.append(
                f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.comment)}"
            )
    return statements


def _plain(state: RelationState) -> str:
    return f"{state.schema}.{state.name}"


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
