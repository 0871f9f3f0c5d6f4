"""The questions that templates ask PostgreSQL; it is seen as it will be when the run is published.

What a run builds stands aside until then. Whoever asks for it by the name that it will have gets
what stands aside, as dbt would have put it there already; so do queries of the catalog's views.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.standing import Standing
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.jinja import said, scope
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.tables import Response, Table, converted
from datapipe.transform.jinja.templates import unmarked
from datapipe.warehouse.failures import failure

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized_view"}

# Views of the catalog, with the columns that have the schema and the name of a relation.
_VIEWS = {
    "information_schema.tables": ("table_schema", "table_name"),
    "information_schema.views": ("table_schema", "table_name"),
    "information_schema.columns": ("table_schema", "table_name"),
    "information_schema.table_constraints": ("table_schema", "table_name"),
    "information_schema.key_column_usage": ("table_schema", "table_name"),
    "information_schema.table_privileges": ("table_schema", "table_name"),
    "information_schema.role_table_grants": ("table_schema", "table_name"),
    "information_schema.schemata": ("schema_name", ""),
    "pg_catalog.pg_tables": ("schemaname", "tablename"),
    "pg_catalog.pg_views": ("schemaname", "viewname"),
    "pg_catalog.pg_matviews": ("schemaname", "matviewname"),
    "pg_catalog.pg_indexes": ("schemaname", "tablename"),
    "pg_catalog.pg_namespace": ("nspname", ""),
    "pg_catalog.pg_class": ("", "relname"),
}
_NAMES = {schema: [] for schema in ("information_schema", "pg_catalog")}  # type: dict[str, list[str]]
for _view in _VIEWS:
    _NAMES[_view.partition(".")[0]].append(_view.partition(".")[2])
_MENTIONED = (
    r"(?is)'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/"
    r'|(?<![\w".])(?:"?[\w$-]+"?\.)?"?(?P<information>information_schema)"?\.'
    rf'"?(?P<view>{"|".join(_NAMES["information_schema"])})"?(?![\w".])'
    rf'|(?<![\w".])(?:"?pg_catalog"?\.)?(?P<pg>{"|".join(_NAMES["pg_catalog"])})(?![\w".(])'
)
_READS = r"(?is)(?:\s++|--[^\n]*+\n|/\*.*?\*/)*+(?:select|with|\()"
_BEFORE = re.compile(r"(?:\b(?:from|join|only)|[,(])\s*$", re.IGNORECASE)
_OF_COLUMN = re.compile(r'\b(?:information_schema|pg_catalog)"?\."?\w+"?\.', re.IGNORECASE)
_ALIAS = re.compile(r'\s+(?:as\s+)?("?\w+"?)', re.IGNORECASE)
_NO_ALIAS = {
    *("where", "join", "inner", "left", "right", "full", "cross", "natural", "on", "using"),
    *("group", "order", "limit", "union", "except", "intersect", "having", "offset", "fetch"),
    *("window", "for", "tablesample"),
}


class QueryError(ProjectError):
    """A query of a template is wrong; ``written`` is the line of it that PostgreSQL points at.

    ``sql`` is all of it, and ``offset`` where in that it points.
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

    ``asides`` has, for schemas that are published, those in which the run keeps what it builds.
    ``grown`` are tables of which that is a view of what is published and what is new.
    ``looks`` counts the questions to which a relation that is not there yet may be an answer.
    """

    def __init__(
        self, name: str, asides: Mapping[str, str], grown: Container[tuple[str, str]] = ()
    ) -> None:
        self.name = name
        self.asides = asides
        self._grown = grown
        self.looks = 0
        self._standing = Standing(asides)
        self._columns_of: dict[str, list[tuple[str, str]]] = {}

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
        """``sql`` with ``values`` written out in the places that it has for them."""
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
        """What the last statement of ``sent`` gives."""
        cursor = execute(self.connection(), sent)
        while cursor.nextset():
            pass
        return cursor

    def _to_send(self, sql: str) -> str:
        """``sql``, made to see what will be there after the run."""
        sent = scope.sent(self.as_published(unmarked(sql)))
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

    def standing(self, relation: Relation) -> Relation:
        """``relation`` as it stands: aside if the run has built it."""
        aside = self.asides.get(relation.published[0])
        if relation.stands_in or aside is None or not relation.identifier:
            return relation
        if scope.connection() is None:
            return relation
        found = self.relation(*relation.published)
        return relation.at(aside) if found is not None and found.stands_in else relation

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a relation, in their order; none if there is no such relation."""
        found = self._columns_at(self.standing(relation).standing)
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
        """What goes before a query, for it to find the run's relations also by their bare names.

        Nothing where none of their schemas is searched, or where the query asks which one is. It
        holds to the end of the transaction.
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
        """The schema for what a statement makes by a bare name, where ``reading`` hides it."""
        first = self._searched[0] if self._searched else ""
        return first if first in self.asides else ""

    @cached_property
    def _searched(self) -> list[str]:
        """The schemas in which bare names are looked up, but those that ``reading`` puts first."""
        row = self.connection().execute("SELECT current_schemas(false)::text[]").fetchone()
        asides = self.asides.values()
        return [each for each in row[0] if each not in asides] if row else []

    def as_published(self, sql: str) -> str:
        """``sql`` with the run's relations and the catalog as they will be when it is published."""
        self.looks += any(found["view"] or found["pg"] for found in _in_catalog(sql))
        return self.with_catalog(self._standing.read(self.connection(), sql))

    def with_catalog(self, sql: str) -> str:
        """``sql`` with the views of the catalog as they will be when the run is published."""
        pieces, end = [], 0
        for start, stop, view in self.catalog_in(sql):
            pieces += [sql[end:start], view]
            end = stop
        return "".join(pieces) + sql[end:]

    def catalog_in(self, sql: str) -> Iterator[tuple[int, int, str]]:
        """Where ``sql`` names views of the catalog, and what is to stand there in their place."""
        if not self.asides:
            return
        if _OF_COLUMN.search(sql):  # a column's full name has no place for what stands in
            return
        for found in _in_catalog(sql):
            view = found["view"] or found["pg"]
            if not view or not _BEFORE.search(sql, max(0, found.start() - 40), found.start()):
                continue
            schema = "information_schema" if found["information"] else "pg_catalog"
            alias = _ALIAS.match(sql, found.end())
            has_alias = alias and alias[1].lower() not in _NO_ALIAS
            text = self._as_it_will_be(f"{schema}.{view.lower()}")
            yield *found.span(), text if has_alias else f"{text} AS {view.lower()}"

    def _as_it_will_be(self, view: str) -> str:
        schema, name = _VIEWS[view]
        pairs = ", ".join(
            f"({literal(published)}, {literal(aside)})" for published, aside in self.asides.items()
        )
        columns = ", ".join(
            f"coalesce(s.published, v.{quoted(column)}::text)::{type_} AS {quoted(column)}"
            if column == schema
            else f"v.{quoted(column)}"
            for column, type_ in self._view_columns(view)
        )
        run = f"(VALUES {pairs}) AS s (published, aside)"
        text = f"SELECT {columns} FROM {view} v"
        if schema:
            text += f" LEFT JOIN {run} ON s.aside = v.{schema}::text"
        if name:
            of = f"v.{schema}::text" if schema else "v.relnamespace::regnamespace::text"
            text += (
                f" WHERE NOT EXISTS (SELECT FROM {run} JOIN pg_namespace n ON n.nspname = s.aside "
                f"JOIN pg_class c ON c.relnamespace = n.oid "
                f"WHERE s.published = {of} AND c.relname = v.{name}::text)"
            )
        return f"({text})"

    def _view_columns(self, view: str) -> list[tuple[str, str]]:
        found = self._columns_of.get(view)
        if found is None:
            rows = self.connection().execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                [view],
            )
            found = self._columns_of[view] = [(row[0], row[1]) for row in rows]
        return found


def _in_catalog(sql: str) -> Iterator[re.Match[str]]:
    """Where ``sql`` may name views of the catalog."""
    named = sql.lower()
    return re.finditer(_MENTIONED, sql) if "_schema" in named or "pg_" in named else iter(())


def _response(cursor: psycopg.Cursor[Any]) -> Response:
    message = cursor.statusmessage or ""
    words = [word for word in message.split() if not word.isdigit()]
    return Response(message, " ".join(words), cursor.rowcount)
