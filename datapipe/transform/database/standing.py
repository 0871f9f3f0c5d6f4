"""Relations that SQL names as text, where the run has them.

A run builds aside and publishes at the end. Who writes the name that a relation is published under,
and does not get it from ``ref``, means what stands there when dbt comes to it: what this run has
built, if it has built it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database import definitions
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.relation import quoted


@frozen
class Mention:
    """A relation of the run's schemas, from ``start`` to ``end`` of some SQL.

    ``written`` is the name it has there; ``published`` and ``aside`` are those it may have.
    """

    start: int
    end: int
    written: Name
    published: Name
    aside: Name

    def local(self, there: Container[Name]) -> str:
        """Where it stands, if ``there`` is what stands aside; empty if that is what is written."""
        now = self.aside if self.aside in there else self.published
        return "" if now == self.written else ".".join(map(quoted, now))


class Standing:
    """Finds relations by text; ``asides`` has, for published schemas, those to build them in."""

    def __init__(self, asides: Mapping[str, str]) -> None:
        self._asides = asides
        self._published = {aside: schema for schema, aside in asides.items()}
        self._schemas = asides.keys() | self._published.keys()
        either = "|".join(
            re.escape(schema.replace('"', '""'))
            for schema in sorted(self._schemas, key=len, reverse=True)
        )
        self._hint = re.compile(
            rf'(?<![\w$])"?({either})"?\s*\.\s*(?:"([^"]+)"|([\w$]+))', re.IGNORECASE
        )

    def mentions(self, sql: str, known: Collection[Name] = ()) -> list[Mention]:
        """The relations of the run's schemas that ``sql`` names, but those that are ``known``."""
        if not self._asides or all(
            (found[1], found[2] or found[3]) in known for found in self._hint.finditer(sql)
        ):
            return []
        return [
            Mention(start, end, name, *self._both(name))
            for start, end, name in definitions.relations(sql, self._schemas)
            if name not in known
        ]

    def _both(self, name: Name) -> tuple[Name, Name]:
        schema, identifier = name
        published = self._published.get(schema, schema)
        return (published, identifier), (self._asides[published], identifier)

    def read(
        self,
        connection: psycopg.Connection,
        statement: str,
        is_aside: Callable[[Name], bool] = lambda published: True,
    ) -> str:
        """``statement`` with what it names as published called as it stands aside, if it does.

        What it names aside is left alone: it may be going to make it. ``is_aside`` tells by the
        published name whether that is to be looked for.
        """
        mentions = [
            each
            for each in self.mentions(statement)
            if each.written == each.published and is_aside(each.published)
        ]
        there = aside(connection, mentions)
        pieces, end = [], 0
        for each in mentions:
            if each.aside in there:
                pieces += [statement[end : each.start], each.local(there)]
                end = each.end
        return "".join(pieces) + statement[end:]


def aside(connection: psycopg.Connection, mentions: Iterable[Mention]) -> set[Name]:
    """Those names under which one of ``mentions`` stands aside."""
    names = list({each.aside for each in mentions})
    if not names:
        return set()
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname FROM unnest(%s::text[], %s::text[]) AS named (schema, name)
        JOIN pg_namespace n ON n.nspname = named.schema
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = named.name
        WHERE c.relkind IN ('r', 'p', 'v', 'm')
        """,
        [[schema for schema, _ in names], [name for _, name in names]],
    )
    return {(row[0], row[1]) for row in rows}
