"""Finds out what a transaction has read, by the locks that it holds, and what it has made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal
from datapipe.transform.state import tokens
from datapipe.transform.state.tokens import Token

# The oids of what this transaction has read. PostgreSQL's own relations have lower ones.
_OIDS = """
    ARRAY(
        SELECT relation FROM pg_locks
        WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessShareLock'
          AND relation >= 16384
    )
"""

# Each relation that this transaction has read, views and what they read alike, and the one that it
# has ``made``, with their tokens. It is asked of every model, so it has no joins: planning those
# would take longer than all the rest.
_READ = f"""
SELECT (SELECT nspname FROM pg_namespace n WHERE n.oid = c.relnamespace), c.relname,
       c.oid::bigint, c.relkind::text,
       concat(c.oid, '/', CASE WHEN c.relkind IN ('r', 'm') THEN c.relfilenode END, '//',
              c.relpersistence),
       c.oid = to_regclass({{made}})::oid
FROM pg_class c
WHERE c.oid = ANY({_OIDS.strip()} || to_regclass({{made}})::oid)
  AND c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S')
"""

# The function of that name that this transaction has made.
_FUNCTION = """
SELECT NULL, oidvectortypes(p.proargtypes), p.oid::bigint, 'F', p.oid::text, true
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = {} AND p.proname = {} AND p.xmin = pg_current_xact_id()::xid
"""

# The same where nothing was made, and what the views among them read.
QUESTIONS = (_READ.format(made="NULL"), tokens.BELOW.format(oids=_OIDS))

Read = list[tuple[str, int]]


@frozen
class Done:
    """What a build has read, by quoted names and oids, and the oid and token of what it has made.

    If that is a function, ``types`` are those of its arguments.
    """

    read: Read
    oid: int
    token: Token | None
    types: str = ""


def question(name: Name, *, is_function: bool = False) -> str:
    """SQL that asks what this transaction has read, and for the token of what it made: ``name``."""
    if is_function:
        return _READ.format(made="NULL") + "UNION ALL" + _FUNCTION.format(*map(literal, name))
    return _READ.format(made=literal(".".join(map(quoted, name))))


def done(answer: Sequence[tuple[Any, ...]]) -> Done:
    """Read the answer to the ``question``."""
    found: Read = []
    oid, token, types = 0, None, ""
    for schema, name, of, kind, shape, is_made in answer:
        if is_made:
            oid, token = of, Token(kind=kind, shape=shape)
            types = name if schema is None else ""
        elif not schema.startswith("pg_"):
            found.append((f"{quoted(schema)}.{quoted(name)}", of))
    return Done(found, oid, token, types)


def name_of(key: str) -> str:
    """The name of a relation out of its quoted full name."""
    return key.partition('"."')[2][:-1].replace('""', '"')
