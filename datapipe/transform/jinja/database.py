"""The questions that templates ask PostgreSQL; the answers are as if the run were published.

What a run builds stands aside until then. A template that asks for it by its published name gets
what stands aside, since dbt would have it there by then; the same holds for queries of the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg

from datapipe.errors import ProjectError
from datapipe.transform.database.catalog_views import CatalogViews, names_views
from datapipe.transform.database.mentions import Mentions
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute, within_ours
from datapipe.transform.jinja import said, scope
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.tables import Response, Table, converted
from datapipe.transform.jinja.templates import unmarked
from datapipe.warehouse.failures import failure

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized_view"}

_READS = r"(?is)(?:\s++|--[^\n]*+\n|/\*.*?\*/)*+(?:select|with|\()"


class QueryError(ProjectError):
    """A query of a template is wrong; ``written`` is the line of it that PostgreSQL points at.

    ``sql`` is the whole query, and ``offset`` the place in it.
    """

    def __init__(
        self, message: str, *, written: str = "", sql: str = "", offset: int | None = None
    ) -> None:
        super().__init__(message)
        self.written = written
        self.sql = sql
        self.offset = offset


class Database:
    """Asks on the connection of the current thread's rendering.

    ``asides`` maps published schemas to those that the run builds in. ``grown`` are the tables that
    stand aside as views, and are told of as tables. ``looks`` counts the questions whose answers
    may change when a relation is built.
    """

    def __init__(
        self, name: str, asides: Mapping[str, str], grown: Container[tuple[str, str]] = ()
    ) -> None:
        self.name = name
        self.asides = asides
        self._grown = grown
        self.looks = 0
        self._mentions = Mentions(asides)
        self._catalog = CatalogViews(asides)

    def execute(self, sql: str, *, fetch: bool, limit: int | None = None) -> tuple[Response, Table]:
        """Send ``sql``; raises ProjectError for what is wrong in it."""
        with self._explained(sql) as sent:
            cursor = self._last(sent)
            response = _response(cursor)
            if not fetch or cursor.description is None:
                return response, Table((), ())
            rows = cursor.fetchmany(limit) if limit else cursor.fetchall()
        return response, converted(rows, [column.name for column in cursor.description])

    def bound(self, sql: str, values: Sequence[Any]) -> str:
        """``sql`` with ``values`` written into it, where it has placeholders."""
        return psycopg.ClientCursor(self.connection()).mogrify(sql, values)

    def described(self, sql: str) -> list[tuple[str, str]]:
        """The names and the types of what a query gives."""
        with self._explained(sql) as sent:
            cursor = self._last(sent)
            result, columns = cursor.pgresult, cursor.description or ()
            assert result is not None  # noqa: S101 - a query was sent
            kinds = [(column.type_code, result.fmod(at)) for at, column in enumerate(columns)]
            types = self.connection().execute(
                "SELECT format_type(oid, mod) FROM unnest(%s::oid[], %s::int[]) AS of (oid, mod)",
                [[oid for oid, _ in kinds], [mod for _, mod in kinds]],
            )
            return [(column.name, row[0]) for column, row in zip(columns, types, strict=True)]

    def _last(self, sent: str) -> psycopg.Cursor[Any]:
        """The cursor at the result of the last statement in ``sent``."""
        cursor = execute(self.connection(), sent)
        while cursor.nextset():
            pass
        return cursor

    def _to_send(self, sql: str) -> str:
        """``sql`` as it is sent: it sees what will be published as published."""
        sent = scope.sent(self.as_published(within_ours(unmarked(sql))))
        return self.reading(sent) + sent if re.match(_READS, sent) else sent

    @contextmanager
    def _explained(self, sql: str) -> Iterator[str]:
        """What to send for ``sql``; raises ProjectError for what is wrong in it."""
        connection, sent = self.connection(), sql
        try:
            sent = self._to_send(sql)
            yield sent
        except psycopg.Error as error:
            if not said.is_fault_of_sql(error):
                raise failure(error, "a query of a template") from error
            from datapipe.transform.jinja import meant  # seldom needed

            message = said.message(error, "a query of this template")
            message += meant.near_name(error, connection, sql)
            written, offset = said.line(error, sent, sql), said.offset(error, sent, sql)
            raise QueryError(message, written=written, sql=sql, offset=offset) from error

    def connection(self) -> psycopg.Connection:
        connection = scope.connection()
        if connection is None:
            raise ProjectError(
                "This asks the database, and there is no connection here. "
                "Guard it with {% if execute %}, or run it with a warehouse."
            )
        return connection

    def relation(self, schema: str, identifier: str) -> Relation | None:
        """The relation of that name, aside if the run has built it."""
        found = {
            (row[0], row[1]): row[2]
            for row in self.connection().execute(
                """
                SELECT n.nspname, c.relname, c.relkind::text
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = ANY(%s) AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm')
                """,
                [[schema, self.asides.get(schema, schema)], identifier],
            )
        }
        aside = self.asides.get(schema)
        if aside is not None and (aside, identifier) in found:
            kind = self._kind((schema, identifier), found[aside, identifier])
            return Relation(self.name, schema, identifier, kind).at(aside)
        if (schema, identifier) not in found:
            self.looks += 1
            return None
        return Relation(self.name, schema, identifier, _KINDS[found[schema, identifier]])

    def relations(self, schema: str) -> list[Relation]:
        """All tables and views of a schema, those aside that the run has built."""
        self.looks += 1
        found: dict[tuple[str, str], Relation] = {}
        published: dict[str, str] = {aside: name for name, aside in self.asides.items()}
        for of, name, kind in self.connection().execute(
            """
            SELECT n.nspname, c.relname, c.relkind::text
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm')
              AND (lower(n.nspname) = lower(%s) OR n.nspname = ANY(%s))
            ORDER BY n.nspname = ANY(%s), c.relkind, c.relname
            """,
            [
                schema,
                [aside for name, aside in self.asides.items() if name.lower() == schema.lower()],
                list(published),
            ],
        ):
            told = self._kind((published.get(of, ""), name), kind)
            relation = Relation(self.name, str(published.get(of, of)), name, told)
            found[relation.schema, name] = relation.at(of) if of in published else relation
        return list(found.values())

    def _kind(self, name: tuple[str, str], kind: str) -> str:
        return "table" if name in self._grown else _KINDS[kind]

    def where_it_is(self, relation: Relation) -> Relation:
        """``relation`` where it can be read now: aside, if the run has built it."""
        aside = self.asides.get(relation.published[0])
        if relation.stands_in or aside is None or not relation.identifier:
            return relation
        if scope.connection() is None:
            return relation
        found = self.relation(*relation.published)
        return relation.at(aside) if found is not None and found.stands_in else relation

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a relation, in their order; none if there is no such relation."""
        found = self._columns_at(self.where_it_is(relation).standing)
        if not found and relation.stands_in:  # not built yet, but it was published before
            found = self._columns_at(relation.published)
        self.looks += not found
        return found

    def _columns_at(self, name: tuple[str, str]) -> list[Column]:
        schema, identifier = name
        rows = self.connection().execute(
            """
            SELECT column_name::text, data_type::text, character_maximum_length::int,
                   numeric_precision::int, numeric_scale::int
            FROM information_schema.columns
            WHERE table_name = %s AND (table_schema = %s OR %s = '')
            ORDER BY ordinal_position
            """,
            [identifier, schema, schema],
        )
        return [Column(*row) for row in rows]

    def has_schema(self, schema: str) -> bool:
        if schema in self.asides:  # it is made at the latest when the run is published
            return True
        rows = self.connection().execute(
            "SELECT 1 FROM pg_namespace WHERE lower(nspname) = lower(%s)", [schema]
        )
        return rows.fetchone() is not None

    def reading(self, sql: str) -> str:
        """What to send before ``sql``, so that bare names in it also find the relations of the run.

        Nothing if none of the run's schemas is on the search path, or if the query asks what is on
        it. It holds until the end of the transaction.
        """
        if not self.asides or scope.connection() is None or "current_schema" in sql.lower():
            return ""
        return self._path

    @cached_property
    def _path(self) -> str:
        if self.asides.keys().isdisjoint(self._searched):
            return ""
        found = (name for each in self._searched for name in (self.asides.get(each), each) if name)
        return f"SET LOCAL search_path = {', '.join(map(quoted, found))};\n"

    @property
    def made_in(self) -> str:
        """The schema of what a statement makes under a bare name; empty if that is not published.

        After what ``reading`` sends, it would be made aside.
        """
        first = self._searched[0] if self._searched else ""
        return first if first in self.asides else ""

    @cached_property
    def _searched(self) -> list[str]:
        """The schemas on the search path, without those that ``reading`` puts there."""
        row = self.connection().execute("SELECT current_schemas(false)::text[]").fetchone()
        asides = self.asides.values()
        return [each for each in row[0] if each not in asides] if row else []

    def as_published(self, sql: str) -> str:
        """``sql`` with the run's relations and the catalog's views as they will be published."""
        self.looks += names_views(sql)
        return self.with_catalog(self._mentions.replaced(self.connection(), sql))

    def with_catalog(self, sql: str) -> str:
        """``sql`` with the views of the catalog as they will be when the run is published."""
        return self._catalog.replaced(self.connection(), sql)

    def catalog_in(self, sql: str) -> Iterator[tuple[int, int, str]]:
        """Where ``sql`` names views of the catalog, and what is to stand there in their place."""
        return self._catalog.instead(self.connection(), sql)


def _response(cursor: psycopg.Cursor[Any]) -> Response:
    message = cursor.statusmessage or ""
    words = [word for word in message.split() if not word.isdigit()]
    return Response(message, " ".join(words), cursor.rowcount)
