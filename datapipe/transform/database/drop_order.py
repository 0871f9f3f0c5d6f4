"""The order in which the contents of schemas can be dropped without CASCADE."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter

import psycopg

from datapipe.transform.database.catalog import KINDS
from datapipe.transform.database.dependents import OWNERS
from datapipe.transform.database.relation import quoted

_RELATIONS = """
SELECT 'r', c.oid::bigint, c.relkind::text, n.nspname, c.relname, NULL
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('v', 'm', 'r', 'p')
  AND NOT c.relispartition  -- these go with their table
UNION ALL
SELECT 'f', p.oid::bigint, 'f', n.nspname, p.proname, oidvectortypes(p.proargtypes)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY(%(schemas)s)
ORDER BY 2
"""

# What hangs on what: views on what they read, tables and functions on functions, and functions on
# the relations whose rows they take or give, or which their bodies read.
_HANGING = f"""
SELECT DISTINCT CASE WHEN d.classid = 'pg_proc'::regclass THEN 'f' ELSE 'r' END,
       coalesce(r.ev_class, a.adrelid, k.conrelid, i.indrelid, t.tgrelid, d.objid)::bigint,
       CASE WHEN d.refclassid = 'pg_proc'::regclass THEN 'f' ELSE 'r' END,
       coalesce(y.typrelid, d.refobjid)::bigint
FROM pg_depend d
LEFT JOIN pg_type e ON d.refclassid = 'pg_type'::regclass AND e.oid = d.refobjid
LEFT JOIN pg_type y ON y.oid = CASE WHEN e.typelem <> 0 AND e.typtype = 'b'
                                    THEN e.typelem ELSE e.oid END
{OWNERS}WHERE d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
  AND coalesce(y.typrelid, d.refobjid) = ANY(%(oids)s::oid[])
"""
# The same where there are no functions: this query can use an index.
_READS = """
SELECT DISTINCT 'r', r.ev_class::bigint, 'r', d.refobjid::bigint
FROM pg_depend d
JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY(%(oids)s::oid[])
"""
_FOREIGN_KEYS = """
SELECT conrelid::bigint, confrelid::bigint FROM pg_constraint
WHERE contype = 'f' AND conrelid = ANY(%(oids)s::oid[]) AND confrelid = ANY(%(oids)s::oid[])
"""


def drop_order(connection: psycopg.Connection, schemas: Iterable[str]) -> list[tuple[str, str]]:
    """The kind and the quoted name of all that is in these schemas, each before what it needs."""
    rows = connection.execute(_RELATIONS, {"schemas": list(schemas)}).fetchall()
    known = {
        (of, oid): (
            ("ROUTINE", f"{quoted(schema)}.{quoted(name)}({types})")
            if of == "f"
            else (KINDS[kind], f"{quoted(schema)}.{quoted(name)}")
        )
        for of, oid, kind, schema, name, types in rows
    }
    sorter: TopologicalSorter[tuple[str, int]] = TopologicalSorter()
    oids = {"oids": [oid for _, oid in known]}
    for key in known:
        sorter.add(key)
    has_functions = any(of == "f" for of, _ in known)
    for of, oid, on, needed in connection.execute(_HANGING if has_functions else _READS, oids):
        if (of, oid) != (on, needed) and (of, oid) in known and (on, needed) in known:
            sorter.add((of, oid), (on, needed))
    for table, other in connection.execute(_FOREIGN_KEYS, oids):
        if table != other:
            sorter.add(("r", table), ("r", other))
    return [known[key] for key in reversed(list(sorter.static_order()))]
