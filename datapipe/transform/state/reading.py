"""What a transaction has read, by its locks; and what it left aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.state.tokens import Token

# Every relation that the transaction of this session has read, views and what lies below them.
# PostgreSQL's own have lower oids.
_READ = """
SELECT n.nspname, c.relname, c.oid::bigint
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'AccessShareLock'
  AND l.relation >= 16384 AND c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S')
  AND n.nspname !~ '^pg_'
"""
_STANDS = """
SELECT oid::bigint, relkind::text,
       concat(oid, '/', CASE WHEN relkind IN ('r', 'm') THEN relfilenode END, '//', relpersistence)
FROM pg_class WHERE oid = to_regclass({})
"""

Read = list[tuple[str, int]]


@dataclass(frozen=True)
class Done:
    """What a build has read, by quoted name and oid, and how its relation stands aside."""

    read: Read
    oid: int
    token: Token | None


def read(connection: psycopg.Connection) -> Read:
    """The relations that this transaction has read so far."""
    return _named(connection.execute(_READ))


def done(connection: psycopg.Connection, local: str) -> Done:
    """What this transaction has read, and how ``local`` stands that it has built."""
    cursor = execute(connection, f"{_READ}; {_STANDS.format(literal(local))}")
    found = _named(cursor)
    cursor.nextset()
    row = cursor.fetchone()
    return Done(found, row[0], Token(kind=row[1], shape=row[2])) if row else Done(found, 0, None)


def name_of(key: str) -> str:
    """The name of a relation out of its quoted full name."""
    return key.partition('"."')[2][:-1].replace('""', '"')


def _named(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Read:
    return [(f"{quoted(schema)}.{quoted(name)}", oid) for schema, name, oid in cursor.fetchall()]
