"""Finds the relations of a run that SQL names as text, and not by ``ref``.

With dbt, such a name stands for what the run has built by then. Here that stands aside until it is
published, so the name is replaced by that of the relation aside, if there is one already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database import definitions
from datapipe.transform.database.catalog import Name, arrays_of
from datapipe.transform.database.relation import quoted


@frozen
class Mention:
    """A relation of the run's schemas that stands in some SQL from ``start`` to ``end``.

    ``written`` is the name it has there; ``published`` and ``aside`` are the two that it can have.
    """

    start: int
    end: int
    written: Name
    published: Name
    aside: Name

    def local(self, there: Container[Name]) -> str:
        """The name to put there; empty if that is ``written``. ``there`` is what stands aside."""
        now = self.aside if self.aside in there else self.published
        return "" if now == self.written else ".".join(map(quoted, now))


class Mentions:
    """Finds relations by text; ``asides`` maps published schemas to those that are built in."""

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

    def find(self, sql: str, known: Collection[Name] = ()) -> list[Mention]:
        """The relations of the run's schemas that ``sql`` names, without the ``known`` ones."""
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

    def replaced(
        self,
        connection: psycopg.Connection,
        statement: str,
        is_aside: Callable[[Name], bool] = lambda published: True,
    ) -> str:
        """``statement`` with the names aside in place of published names, for what stands aside.

        Names that are written as they are aside are left alone, as the statement may make such a
        relation. ``is_aside`` tells which published names to look up.
        """
        mentions = [
            each
            for each in self.find(statement)
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
    """Those of the names aside under which something stands."""
    names = {each.aside for each in mentions}
    if not names:
        return set()
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname FROM unnest(%s::text[], %s::text[]) AS named (schema, name)
        JOIN pg_namespace n ON n.nspname = named.schema
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = named.name
        WHERE c.relkind IN ('r', 'p', 'v', 'm')
        """,
        arrays_of(names),
    )
    return {(row[0], row[1]) for row in rows}
