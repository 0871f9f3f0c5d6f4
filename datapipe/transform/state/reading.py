"""What a transaction has read, by its locks; and what it left aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal
from datapipe.transform.state import tokens
from datapipe.transform.state.tokens import Token

# What the transaction of this session has read. PostgreSQL's own relations have lower oids.
_OIDS = """
    ARRAY(
        SELECT relation FROM pg_locks
        WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessShareLock'
          AND relation >= 16384
    )
"""

# Every relation that the transaction of this session has read, views and what lies below them, and
# one more if there is one of that name; as how each stands. It is asked of every model, and
# planning joins would take longer than all the rest.
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

# The same without one more, and what lies below what views have read.
QUESTIONS = (_READ.format(made="NULL"), tokens.BELOW.format(oids=_OIDS))

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


def question(name: Name, *, is_function: bool = False) -> str:
    """What this transaction has read, and how that stands which it has made, as SQL."""
    if is_function:
        return _READ.format(made="NULL") + "UNION ALL" + _FUNCTION.format(*map(literal, name))
    return _READ.format(made=literal(".".join(map(quoted, name))))


def done(answer: Sequence[tuple[Any, ...]]) -> Done:
    """What the answer to the question says."""
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
