"""How a relation stands: what two looks at it have to agree on for nothing to have changed.

PostgreSQL counts the rows that were ever inserted, updated and deleted in each table. The counts
cost nothing to read, and are exact once every session has handed its own in, which it does as it
goes idle, or up to ten seconds later. Where other sessions were busy a moment ago, a digest of the
table's rows decides: how many there are of each transaction. No change leaves it as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import psycopg

from datapipe.transform.database.catalog import arrays_of
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute

_TABLES = frozenset({"r", "m", "p"})
_SMALL_BYTES = 8 * 2**20  # a digest of so much takes some 15 ms
_AT_ONCE = 200  # tables read in one statement: each takes a lock

# The counts are void after a crash of the server, or where somebody has reset them.
_EPOCH = """
SELECT to_hex(hashtextextended(concat(
    (SELECT stats_reset FROM pg_stat_wal), '/',
    (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()), '/',
    current_setting('track_counts')), 0))
"""

_RELATIONS = """
SELECT n.nspname, c.relname, c.relkind::text, c.oid::bigint, c.relfilenode::bigint,
       pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_inserted(c.oid),
       pg_stat_get_tuples_updated(c.oid) + pg_stat_get_xact_tuples_updated(c.oid),
       pg_stat_get_tuples_deleted(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid),
       columns.hash, rule.version, c.relrowsecurity,
       CASE WHEN c.relhassubclass THEN ARRAY(
           SELECT inhrelid::bigint FROM pg_inherits WHERE inhparent = c.oid ORDER BY 1) END,
       CASE WHEN c.relhasindex THEN ARRAY(
           SELECT indexrelid::bigint FROM pg_index
           WHERE indrelid = c.oid AND indisvalid ORDER BY 1) END,
       c.relpersistence::text
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT to_hex(bit_xor(hashtextextended(concat(attnum, ' ', attname, ' ', atttypid, ' ',
        atttypmod, ' ', attcollation, ' ', attnotnull), 0))) AS hash
    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
) columns ON true
LEFT JOIN (
    SELECT ev_class, xmin::text AS version FROM pg_rewrite WHERE rulename = '_RETURN'
) rule ON rule.ev_class = c.oid AND c.relkind = 'v'
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
"""
_BY_NAME = " AND (n.nspname, c.relname) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"

# Who may not have handed in its counts. Whoever has just been told to do so has. Where anybody is
# let off counting, none is complete.
_BUSY = """
SELECT count(*) + (current_setting('track_counts') = 'off')::int
    + (SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text LIKE '%%track_counts%%')
FROM pg_stat_activity
WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND pid <> pg_backend_pid() AND pid <> ALL(%s)
  AND backend_type IS DISTINCT FROM 'autovacuum worker'
  AND backend_type IS DISTINCT FROM 'parallel worker'
  AND backend_type IS DISTINCT FROM 'walsender'
  AND NOT coalesce(state = 'idle' AND (
      query LIKE '%%pg_stat_force_next_flush()%%'
      OR state_change < clock_timestamp() - interval '11 seconds'), false)
"""

# Transactions, and how many rows each has left: any insert, update or delete changes that.
_DIGEST = """
SELECT concat(sum(rows), ':', to_hex(bit_xor(hashtextextended(concat(xmin, ':', rows), 0))))
FROM (SELECT xmin::text, count(*) AS rows FROM ONLY {} GROUP BY xmin) each
"""

FUNCTION_KIND = "F"  # no letter of pg_class: what is no relation
FUNCTION = 0  # stands for what a view reads through a user's function
# What the views among the ``oids`` read, and the parts of their tables.
BELOW = """
SELECT r.ev_class::bigint, d.refobjid::bigint
FROM pg_rewrite r
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
WHERE r.ev_class = ANY({oids}) AND d.refclassid = 'pg_class'::regclass
UNION
SELECT 0, 0 FROM pg_rewrite r
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
WHERE r.ev_class = ANY({oids}) AND d.refclassid = 'pg_proc'::regclass
UNION
SELECT inhparent::bigint, inhrelid::bigint FROM pg_inherits WHERE inhparent = ANY({oids})
"""


class Token(NamedTuple):
    """One look at a relation. What is empty does not apply, or was not looked at.

    ``shape`` is which relation it is and what columns it has; ``counts`` those of its rows, within
    an ``epoch``; ``rule`` the version of a view, and ``definition`` its text. It is a tuple, as one
    is made of every relation in the database.
    """

    kind: str
    shape: str
    epoch: str = ""
    counts: str = ""
    digest: str = ""
    rule: str = ""
    definition: str = ""
    indexes: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()
    guarded: bool = False

    @property
    def has_rows(self) -> bool:
        return self.kind in _TABLES

    @property
    def rows(self) -> int | None:
        """How many rows there are, where a digest tells it."""
        return int(self.digest.partition(":")[0] or 0) if self.digest else None

    @property
    def is_unlogged(self) -> bool:
        return self.shape.endswith("/u")

    def is_the_same_as(self, other: Token) -> bool:
        """Whether both are of one relation, whose rows were not written anew."""
        return self.shape.split("/")[:2] == other.shape.split("/")[:2]

    def stored(self) -> dict[str, Any]:
        """What is kept of it, without what is empty."""
        return {key: value for key, value in self._asdict().items() if value}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Token:
        """The token that ``stored`` was kept of."""
        lists = {key: tuple(stored.get(key, ())) for key in ("indexes", "parts")}
        return cls(**{**stored, **lists})


Tokens = dict[str, Token]


def is_quiet(connection: psycopg.Connection, own: Collection[int]) -> bool:
    """Whether the counts are complete: no session but ``own`` may have changed rows just now."""
    row = connection.execute(_BUSY, [list(own)]).fetchone()
    return row is not None and row[0] == 0


def is_distributed(connection: psycopg.Connection) -> bool:
    """Whether tables may have their rows on other servers, where neither counts nor digests see."""
    return connection.execute("SELECT FROM pg_extension WHERE extname = 'citus'").rowcount > 0


def look(
    connection: psycopg.Connection, names: Iterable[tuple[str, str]] | None = None
) -> tuple[Tokens, dict[int, str]]:
    """Every relation, or those of ``names``, by quoted name; and the names by oid."""
    epoch = _value(connection, _EPOCH)
    if names is None:
        rows = connection.execute(_RELATIONS).fetchall()
    else:
        rows = connection.execute(_RELATIONS + _BY_NAME, arrays_of(names)).fetchall()
    tokens: Tokens = {}
    by_oid: dict[int, str] = {}
    for row in rows:
        schema, name, kind, oid, file, inserted, updated, deleted, columns, rule = row[:10]
        guarded, parts, indexes, persistence = row[10:]
        key = f"{quoted(schema)}.{quoted(name)}"
        has_rows = kind in _TABLES
        tokens[key] = Token(
            kind=kind,
            shape=f"{oid}/{file if has_rows else ''}/{columns}/{persistence}",
            epoch=epoch if has_rows else "",
            counts=f"{inserted}/{updated}/{deleted}" if has_rows else "",
            rule=rule or "",
            indexes=tuple(indexes or ()),
            parts=tuple(parts or ()),
            guarded=guarded,
        )
        by_oid[oid] = key
    return tokens, by_oid


def with_parts(keys: Iterable[str], tokens: Tokens, by_oid: Mapping[int, str]) -> set[str]:
    """``keys`` and, of those that are partitioned or inherited from, the parts."""
    found: set[str] = set()
    edge = list(keys)
    while edge:
        key = edge.pop()
        if key in found:
            continue
        found.add(key)
        token = tokens.get(key)
        edge += [by_oid[oid] for oid in token.parts if oid in by_oid] if token else []
    return found


def below(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, set[int]]:
    """The relations that each of the views among ``oids`` reads, and the parts of tables.

    Where a view calls a function of a user's, ``FUNCTION`` is among the keys.
    """
    given = {"oids": list(oids)}
    return lower(connection.execute(BELOW.format(oids="%(oids)s::oid[]"), given).fetchall())


def lower(answer: Iterable[tuple[Any, ...]]) -> dict[int, set[int]]:
    """What was found below each relation, by the answer to ``BELOW``."""
    found: dict[int, set[int]] = {}
    for upper, below_it in answer:
        found.setdefault(upper, set()).add(below_it)
    return found


def definitions(
    connection: psycopg.Connection, keys: Collection[str]
) -> dict[str, tuple[str, str]]:
    """The versions and the texts of views."""
    if not keys:
        return {}
    rows = connection.execute(
        """
        SELECT key, r.xmin::text, pg_get_viewdef(c.oid)
        FROM unnest(%s::text[]) AS key
        JOIN pg_class c ON c.oid = to_regclass(key) AND c.relkind = 'v'
        JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename = '_RETURN'
        """,
        [list(keys)],
    )
    return {key: (version, text) for key, version, text in rows}


def small(connection: psycopg.Connection, keys: Collection[str]) -> list[str]:
    """Those tables of ``keys`` of which a digest takes no time to speak of."""
    if not keys:
        return []
    rows = connection.execute(
        """
        SELECT key FROM unnest(%s::text[]) AS key JOIN pg_class c ON c.oid = to_regclass(key)
        WHERE c.relkind IN ('r', 'm') AND c.relpages::bigint * 8192 <= %s
          AND pg_relation_size(c.oid) <= %s
        """,
        [list(keys), _SMALL_BYTES, _SMALL_BYTES],
    )
    return [row[0] for row in rows]


def digests(connection: psycopg.Connection, keys: Iterable[str]) -> dict[str, str]:
    """A digest of the rows of each of these tables; it reads all of them."""
    wanted = list(keys)
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        cursor = execute(connection, ";".join(map(_DIGEST.format, some)))
        for key in some:
            row = cursor.fetchone()
            found[key] = row[0] if row else ""
            cursor.nextset()
    return found


def digested(tokens: Tokens, found: Mapping[str, str]) -> None:
    """Add digests to ``tokens``."""
    for key, digest in found.items():
        tokens[key] = tokens[key]._replace(digest=digest)


def _value(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""
