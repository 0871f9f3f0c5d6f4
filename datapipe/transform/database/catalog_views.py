"""Replaces the views of the catalog in SQL by queries that show what will be published.

What a run builds stands aside until then, in schemas of its own. Whoever asks the catalog finds it
in the published schema, and not what it is going to replace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import psycopg

from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal

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


def _names(schema: str) -> str:
    names = (view.split(".") for view in _VIEWS)
    return "|".join(name for of, name in names if of == schema)


# Texts and comments are found as well, so that what stands in them is not.
_MENTIONED = (
    r"(?is)'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/"
    r'|(?<![\w".])(?:"?[\w$-]+"?\.)?"?(?P<information>information_schema)"?\.'
    rf'"?(?P<view>{_names("information_schema")})"?(?![\w".])'
    rf'|(?<![\w".])(?:"?pg_catalog"?\.)?(?P<pg>{_names("pg_catalog")})(?![\w".(])'
)
_BEFORE = re.compile(r"(?:\b(?:from|join|only)|[,(])\s*$", re.IGNORECASE)
_OF_COLUMN = re.compile(r'\b(?:information_schema|pg_catalog)"?\."?\w+"?\.', re.IGNORECASE)
_ALIAS = re.compile(r'\s+(?:as\s+)?("?\w+"?)', re.IGNORECASE)
_NO_ALIAS = {
    *("where", "join", "inner", "left", "right", "full", "cross", "natural", "on", "using"),
    *("group", "order", "limit", "union", "except", "intersect", "having", "offset", "fetch"),
    *("window", "for", "tablesample"),
}


def names_views(sql: str) -> bool:
    """Whether ``sql`` names a view of the catalog."""
    return any(found["view"] or found["pg"] for found in _named(sql))


class CatalogViews:
    """Replaces them in SQL; ``asides`` maps published schemas to those that the run builds in."""

    def __init__(self, asides: Mapping[str, str]) -> None:
        self._asides = asides
        self._columns_of: dict[str, list[tuple[str, str]]] = {}

    def replaced(self, connection: psycopg.Connection, sql: str) -> str:
        """``sql`` with those queries in place of the views that it names."""
        pieces, end = [], 0
        for start, stop, view in self.instead(connection, sql):
            pieces += [sql[end:start], view]
            end = stop
        return "".join(pieces) + sql[end:]

    def instead(self, connection: psycopg.Connection, sql: str) -> Iterator[tuple[int, int, str]]:
        """Where ``sql`` names a view of the catalog, from and to, and the query to put there."""
        if not self._asides:
            return
        if _OF_COLUMN.search(sql):  # a column's full name has no place for what stands in
            return
        for found in _named(sql):
            view = found["view"] or found["pg"]
            if not view or not _BEFORE.search(sql, max(0, found.start() - 40), found.start()):
                continue
            schema = "information_schema" if found["information"] else "pg_catalog"
            alias = _ALIAS.match(sql, found.end())
            has_alias = alias and alias[1].lower() not in _NO_ALIAS
            text = self._as_it_will_be(connection, f"{schema}.{view.lower()}")
            yield *found.span(), text if has_alias else f"{text} AS {view.lower()}"

    def _as_it_will_be(self, connection: psycopg.Connection, view: str) -> str:
        schema, name = _VIEWS[view]
        pairs = ", ".join(
            f"({literal(published)}, {literal(aside)})" for published, aside in self._asides.items()
        )
        columns = ", ".join(
            f"coalesce(s.published, v.{quoted(column)}::text)::{type_} AS {quoted(column)}"
            if column == schema
            else f"v.{quoted(column)}"
            for column, type_ in self._columns(connection, view)
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

    def _columns(self, connection: psycopg.Connection, view: str) -> list[tuple[str, str]]:
        found = self._columns_of.get(view)
        if found is None:
            rows = connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                [view],
            )
            found = self._columns_of[view] = [(row[0], row[1]) for row in rows]
        return found


def _named(sql: str) -> Iterator[re.Match[str]]:
    """Where ``sql`` names views of the catalog, among its texts and comments."""
    named = sql.lower()
    return re.finditer(_MENTIONED, sql) if "_schema" in named or "pg_" in named else iter(())
