"""What hangs on relations: the views, functions and foreign keys that others made on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import Name, RelationState


@frozen
class Dependent:
    """Something that hangs on the relation ``on``, and uses ``columns`` of it."""

    on: int
    what: str
    columns: tuple[str, ...]
    # A view that can be pointed at another relation, and its definition.
    view: RelationState | None = None
    definition: str = ""
    # The relation that it is or belongs to: a view, or the table of a foreign key.
    of: Name | None = None
    # The name of that foreign key.
    constraint: str = ""
    # The oid of a function that takes or gives rows of the relation, or reads it in its body.
    function: int = 0
    # It is a part of the relation and goes with it, as a trigger or a default does.
    part: bool = False
    # It is a rule that somebody has made, not the query of a view.
    rule: bool = False


# An object hangs on a relation, or on the row type that every relation brings with it. Left out is
# what belongs to the relation itself: its indexes, partitions and row type, and its own rule if it
# is a view. Other rules are no part of the view that they stand on, as they outlive its query. A
# table that inherits would leave its parents. Subqueries take the place of joins, as the time for
# planning doubles with each join.
_DEPENDENTS = """
WITH ours AS (
    SELECT c.oid AS relation, 'pg_class'::regclass::oid AS class, c.oid AS object
    FROM pg_class c WHERE c.oid = ANY(%(oids)s::oid[])
    UNION ALL
    SELECT c.oid, 'pg_type'::regclass::oid, unnest(ARRAY[t.oid, t.typarray])
    FROM pg_class c JOIN pg_type t ON t.oid = c.reltype
    WHERE c.oid = ANY(%(oids)s::oid[])
)
SELECT o.relation::bigint,
       min(CASE WHEN r.rulename = '_RETURN'
                THEN CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END
                     || vn.nspname || '.' || v.relname
                ELSE pg_describe_object(d.classid, d.objid, 0) END),
       array_remove(array_agg(DISTINCT a.attname::text), NULL),
       max(CASE WHEN r.rulename = '_RETURN' AND v.relkind = 'v' AND o.class = 'pg_class'::regclass
                THEN v.oid END::bigint),
       bool_or(o.class = 'pg_type'::regclass),
       max(CASE WHEN k.contype = 'f' AND k.confrelid = o.relation THEN k.conname END),
       max(vn.nspname), max(v.relname),
       max(CASE WHEN d.classid = 'pg_proc'::regclass THEN d.objid ELSE 0 END::bigint),
       bool_and(d.deptype = 'a') OR bool_or(o.relation = CASE d.classid
           WHEN 'pg_policy'::regclass THEN (SELECT polrelid FROM pg_policy WHERE oid = d.objid)
           WHEN 'pg_trigger'::regclass THEN (SELECT tgrelid FROM pg_trigger WHERE oid = d.objid)
           WHEN 'pg_attrdef'::regclass THEN (SELECT adrelid FROM pg_attrdef WHERE oid = d.objid)
       END) IS TRUE,
       bool_or(r.rulename <> '_RETURN') IS TRUE
FROM ours o
JOIN pg_depend d ON d.refclassid = o.class AND d.refobjid = o.object AND d.deptype IN ('n', 'a')
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_class v ON v.oid = coalesce(r.ev_class, CASE WHEN k.contype = 'f' THEN k.conrelid END)
LEFT JOIN pg_namespace vn ON vn.oid = v.relnamespace
LEFT JOIN pg_attribute a
    ON a.attrelid = o.relation AND o.class = 'pg_class'::regclass AND a.attnum = d.refobjsubid
   AND a.attnum > 0
WHERE NOT coalesce(r.ev_class = o.relation AND r.rulename = '_RETURN', false)
  AND NOT coalesce(k.contype = 'n', false)
  AND NOT coalesce(k.conrelid = o.relation, false)
  AND NOT (d.classid = 'pg_class'::regclass AND (
      EXISTS (SELECT FROM pg_index WHERE indexrelid = d.objid AND indrelid = o.relation)
      OR EXISTS (SELECT FROM pg_class WHERE oid = d.objid AND relispartition)))
GROUP BY o.relation, d.classid, d.objid
UNION ALL
SELECT i.inhrelid::bigint, 'parent table ' || n.nspname || '.' || p.relname, '{}', NULL, false,
       NULL, n.nspname, p.relname, 0, true, false
FROM pg_inherits i
JOIN pg_class p ON p.oid = i.inhparent AND p.relkind IN ('r', 'p')
JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE i.inhrelid = ANY(%(oids)s::oid[])
ORDER BY 1, 2
"""

# For an entry ``d`` of pg_depend, what belongs to a relation: a rule, a default, a constraint, an
# index or a trigger.
OWNERS = """\
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
"""

# What hangs on functions: a relation, or another function.
_ON_FUNCTIONS = f"""
SELECT DISTINCT d.refobjid::bigint,
       CASE WHEN r.rulename = '_RETURN'
            THEN CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END
                 || vn.nspname || '.' || v.relname
            ELSE pg_describe_object(d.classid, d.objid, 0) END,
       coalesce(r.ev_class, a.adrelid, k.conrelid, i.indrelid, t.tgrelid, 0)::bigint,
       CASE WHEN d.classid = 'pg_proc'::regclass THEN d.objid ELSE 0 END::bigint,
       coalesce(r.rulename = '_RETURN' AND v.relkind = 'v', false)
FROM pg_depend d
{OWNERS}LEFT JOIN pg_class v ON v.oid = r.ev_class
LEFT JOIN pg_namespace vn ON vn.oid = v.relnamespace
WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = ANY(%s::oid[])
ORDER BY 1, 2
"""

_READS = """
SELECT DISTINCT r.ev_class::bigint, d.refobjid::bigint
FROM pg_depend d
JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY(%(oids)s::oid[])
  AND r.ev_class = ANY(%(oids)s::oid[]) AND r.ev_class <> d.refobjid
"""


def dependents(connection: psycopg.Connection, oids: Iterable[int]) -> list[Dependent]:
    """What hangs directly on these relations; the definitions of views have every name in full."""
    wanted = list(oids)
    if not wanted:
        return []
    rows = connection.execute(_DEPENDENTS, {"oids": wanted}).fetchall()
    views = views_of(connection, [row[3] for row in rows if row[3] is not None and not row[4]])
    found = []
    for on, what, columns, view, _, key, schema, name, function, part, rule in rows:
        of = (schema, name) if name is not None else None
        state, definition = views.get(view, (None, ""))
        if state is not None and state.is_ours_to_change:
            found.append(Dependent(on, what, tuple(columns), state, definition, of))
        else:
            hanging = Dependent(on, what, tuple(columns), of=of, constraint=key or "")
            found.append(replace(hanging, function=function, part=part, rule=rule))
    return found


@frozen
class Hanging:
    """Something that hangs on the function ``on``.

    ``relation`` is the view that it is, or the relation that it belongs to; ``function`` is the
    function that it is. They are 0 where it is neither.
    """

    on: int
    what: str
    relation: int
    function: int
    is_view: bool


def hanging_on_functions(connection: psycopg.Connection, oids: Iterable[int]) -> list[Hanging]:
    """What hangs directly on these functions."""
    return [Hanging(*row) for row in connection.execute(_ON_FUNCTIONS, [list(oids)])]


def reads(connection: psycopg.Connection, oids: Collection[int]) -> dict[int, set[int]]:
    """For each of these relations that is a view, those of them that it reads."""
    found: dict[int, set[int]] = {}
    for reader, read in connection.execute(_READS, {"oids": list(oids)}):
        found.setdefault(reader, set()).add(read)
    return found


def views_of(
    connection: psycopg.Connection, oids: list[int]
) -> dict[int, tuple[RelationState, str]]:
    """The views of these oids, with their queries; every name in those is in full."""
    if not oids:
        return {}
    texts = definitions.of_views(connection, oids)
    return {oid: (state, texts[oid]) for oid, state in catalog.by_oid(connection, oids).items()}
