"""Functions that users have made: SQL calls them without showing what is in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.build import aside
from datapipe.transform.database import functions
from datapipe.transform.database.catalog import Name
from datapipe.transform.state import tokens, words
from datapipe.transform.state.tokens import FUNCTION_KIND, Token, Tokens

# What a function is made of; PostgreSQL's own are left out. Of those that came with an extension
# only the hash is wanted, as what they call is theirs.
_FUNCTIONS = """
SELECT n.nspname, p.proname, p.provolatile::text, l.lanname,
       to_hex(hashtextextended(concat(p.proargtypes, '/', p.prorettype, '/', p.provolatile, '/',
           p.proconfig, '/', p.prosrc, '/', p.probin, '/', body.text, '/', a.aggtransfn, '/',
           a.aggfinalfn, '/', a.agginitval), 0)),
       CASE WHEN e.objid IS NULL AND l.lanname IN ('sql', 'plpgsql')
            THEN concat(p.prosrc, ' ', body.text)
            WHEN a.aggfnoid IS NOT NULL THEN concat(a.aggtransfn, ' ', a.aggfinalfn) END
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
LEFT JOIN pg_depend e
    ON e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.prosqlbody IS NOT NULL THEN pg_get_functiondef(p.oid) END AS text
) body
WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  AND obj_description(p.pronamespace, 'pg_namespace') IS DISTINCT FROM %s
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
"""
_OPERATORS = """
SELECT EXISTS (SELECT FROM pg_operator o WHERE o.oid >= 16384 AND NOT EXISTS (
           SELECT FROM pg_depend e WHERE e.classid = 'pg_operator'::regclass AND e.objid = o.oid
           AND e.deptype = 'e'))
    OR EXISTS (SELECT FROM pg_cast c WHERE c.oid >= 16384 AND c.castfunc <> 0 AND NOT EXISTS (
           SELECT FROM pg_depend e WHERE e.classid = 'pg_cast'::regclass AND e.objid = c.oid
           AND e.deptype = 'e'))
"""


def look(connection: psycopg.Connection, names: Iterable[Name]) -> Tokens:
    """The functions of these names as they stand, by name and types of arguments."""
    found = functions.states(connection, names)
    return {each.local: Token(FUNCTION_KIND, each.state) for each in found}


@dataclass
class _Function:
    """All functions of one name."""

    hashes: list[str]
    bodies: list[str]
    is_volatile: bool = False


class Functions:
    """The users' functions in a database, by name, without those aside.

    ``own`` are the names of the project's: of these, a function in SQL is taken to do what its body
    says. Any other function must be declared IMMUTABLE to count as steady.
    """

    def __init__(self, connection: psycopg.Connection, own: Iterable[Name] = ()) -> None:
        self._own = frozenset(own)
        self._all: dict[str, _Function] = {}
        rows = connection.execute(_FUNCTIONS, [aside.MARK])
        for schema, name, volatile, language, hash_, body in rows:
            function = self._all.setdefault(name, _Function([], []))
            function.hashes.append(hash_)
            is_plain = language == "sql" and (schema, name) in self._own
            function.is_volatile |= volatile != "i" and not is_plain
            if body:
                function.bodies.append(body)
        row = connection.execute(_OPERATORS).fetchone() if self._all else None
        # An operator or a cast does not show the name of its function.
        self._hidden = frozenset(self._all) if row and row[0] else frozenset()

    def again(self, connection: psycopg.Connection) -> Functions:
        """The same, looked up anew."""
        return Functions(connection, self._own)

    def state(self, name: str) -> str:
        """What the functions called ``name`` consist of; empty if there are none."""
        function = self._all.get(name)
        return "+".join(sorted(function.hashes)) if function else ""

    def reached(self, names: Iterable[str]) -> tuple[Mapping[str, str], str]:
        """The functions that SQL with these names may call, and why it is unsteady because of them.

        Functions that those call in turn are among them.
        """
        if not self._all:
            return {}, ""
        found: dict[str, str] = {}
        unsteady = ""
        edge = [name for name in (*names, *self._hidden) if name in self._all]
        while edge:
            name = edge.pop()
            if name in found:
                continue
            function = self._all[name]
            found[name] = self.state(name)
            if function.is_volatile and not unsteady:
                unsteady = f"calls {name}(), which is not declared IMMUTABLE"
            for body in function.bodies:
                said = words.read(body)
                unsteady = unsteady or (said.unsteady and f"calls {name}(), which {said.unsteady}")
                edge += [called for called in said.called if called in self._all]
        return found, unsteady


@frozen
class Calls:
    """The names that SQL may call; ``unsteady`` is why it may give something else tomorrow."""

    names: frozenset[str]
    unsteady: str


NO_CALLS = Calls(frozenset(), "")


def calls(connection: psycopg.Connection, texts: Iterable[str], views: Collection[str]) -> Calls:
    """What ``texts`` call, and the views of others that they read."""
    reason = ""
    names: set[str] = set()
    for text in texts:
        said = words.read(text)
        reason = reason or said.unsteady
        names |= said.called
    found = tokens.definitions(connection, views)
    for key, (_, text) in found.items():
        said = words.read(text)
        reason = reason or (said.unsteady and f"reads a view, {key}, which {said.unsteady}")
        names |= said.called
    return Calls(frozenset(names), reason)
