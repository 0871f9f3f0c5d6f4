"""What a transaction has read, by its locks; and what it left aside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal
from datapipe.transform.state.tokens import Token

# Every relation that the transaction of this session has read, views and what lies below them.
# PostgreSQL's own have lower oids.
_READ = """
SELECT n.nspname, c.relname, c.oid::bigint, NULL, NULL
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'AccessShareLock'
  AND l.relation >= 16384 AND c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S')
  AND n.nspname !~ '^pg_'
"""
_STANDS = """
SELECT NULL, NULL, oid::bigint, relkind::text,
       concat(oid, '/', CASE WHEN relkind IN ('r', 'm') THEN relfilenode END, '//', relpersistence)
FROM pg_class WHERE oid = to_regclass({})
"""

# The function of that name that this transaction has made.
_FUNCTION_STANDS = """
SELECT NULL, oidvectortypes(p.proargtypes), p.oid::bigint, 'F', p.oid::text
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = {} AND p.proname = {} AND p.xmin = pg_current_xact_id()::xid
"""

Read = list[tuple[str, int]]


@frozen
class Done:
    """What a build has read, by quoted name and oid, and how its relation stands aside.

    Of a function, ``types`` are those of its arguments.
    """

    read: Read
    oid: int
    token: Token | None
    types: str = ""


def read(connection: psycopg.Connection) -> Read:
    """The relations that this transaction has read so far."""
    return _named(connection.execute(_READ).fetchall())


def question(name: Name, *, is_function: bool = False) -> str:
    """What this transaction has read, and how that stands which it has built, as SQL."""
    if is_function:
        return f"{_READ}UNION ALL{_FUNCTION_STANDS.format(*map(literal, name))}"
    return f"{_READ}UNION ALL{_STANDS.format(literal('.'.join(map(quoted, name))))}"


def done(answer: Sequence[tuple[Any, ...]]) -> Done:
    """What the answer to the question says."""
    found = _named(row for row in answer if row[0] is not None)
    for schema, types, oid, kind, shape in answer:
        if schema is None:
            return Done(found, oid, Token(kind=kind, shape=shape), types or "")
    return Done(found, 0, None)


def name_of(key: str) -> str:
    """The name of a relation out of its quoted full name."""
    return key.partition('"."')[2][:-1].replace('""', '"')


def _named(rows: Iterable[tuple[Any, ...]]) -> Read:
    return [(f"{quoted(schema)}.{quoted(name)}", oid) for schema, name, oid, _, _ in rows]
