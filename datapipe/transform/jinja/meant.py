"""The name that may have been meant by one that PostgreSQL does not know."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

import psycopg

# Functions that are part of the grammar, so that the catalog does not list them.
_OF_THE_GRAMMAR = (
    *("cast", "coalesce", "extract", "greatest", "grouping", "least", "nullif", "overlay"),
    *("position", "substring", "trim"),
)
_OF_TEMPLATES = frozenset({"config", "env_var", "function", "ref", "source", "var"})
# How the names of schemas end that only runs use.
_OF_RUNS = ("__build", "__increment", "__old")
_TYPES = (
    *("bigint", "boolean", "bytea", "character varying", "date", "double precision", "integer"),
    *("interval", "json", "jsonb", "numeric", "real", "smallint", "text", "time", "timestamp"),
    *("timestamptz", "uuid", "varchar"),
)
# What other databases call these types.
_OF_OTHERS = {
    **dict.fromkeys(("string", "clob", "nvarchar", "nvarchar2", "varchar2"), "text"),
    **dict.fromkeys(("datetime", "datetime2", "timestamp_ntz"), "timestamp"),
    **dict.fromkeys(("timestamp_ltz", "timestamp_tz", "datetimeoffset"), "timestamptz"),
    **dict.fromkeys(("float64", "double", "binary_double"), "double precision"),
    **dict.fromkeys(("int64", "long"), "bigint"),
    **dict.fromkeys(("tinyint", "byteint"), "smallint"),
    **dict.fromkeys(("number", "bignumeric"), "numeric"),
    **dict.fromkeys(("variant", "object"), "jsonb"),
    **dict.fromkeys(("blob", "binary", "varbinary"), "bytea"),
}
# What the functions of other databases are called here, or are written as.
_FUNCTIONS_OF_OTHERS = {
    **dict.fromkeys(("ifnull", "isnull", "nvl", "zeroifnull"), "coalesce(a, b)"),
    **dict.fromkeys(("iff", "if", "decode", "nvl2"), "CASE WHEN ... THEN ... ELSE ... END"),
    **dict.fromkeys(("dateadd", "date_add", "timestampadd"), "a + interval '1 day'"),
    **dict.fromkeys(
        ("datediff", "date_diff", "timestampdiff"), "a - b, for dates a number of days"
    ),
    **dict.fromkeys(("getdate", "sysdate", "current_datetime"), "now()"),
    **dict.fromkeys(("listagg", "group_concat"), "string_agg(a, ', ')"),
    **dict.fromkeys(("charindex", "instr", "locate"), "strpos(text, part)"),
    **dict.fromkeys(("safe_cast", "try_cast", "convert"), "cast(a as type)"),
    **dict.fromkeys(("safe_divide", "div0"), "a / nullif(b, 0)"),
    "len": "length(a)",
    "countif": "count(*) FILTER (WHERE ...)",
    "median": "percentile_cont(0.5) WITHIN GROUP (ORDER BY a)",
    "parse_date": "to_date(text, format)",
    "date_format": "to_char(a, format)",
    "last_day": "date_trunc('month', a) + interval '1 month - 1 day'",
    "regexp_contains": "text ~ pattern",
    "ucase": "upper(a)",
    "lcase": "lower(a)",
    "rand": "random()",
}
_CTE = re.compile(
    r'(?:\bwith\s+(?:recursive\s+)?|,\s*)"?(\w+)"?\s*(?:\([^()]*\)\s*)?as\s+'
    r"(?:not\s+)?(?:materialized\s+)?\(",
    re.IGNORECASE,
)
_ALIAS = re.compile(r'\b(?:from|join)\s+[\w".]+\s+(?:as\s+)?"?(\w+)"?', re.IGNORECASE)
_KEYWORDS = frozenset({
    "on", "using", "where", "group", "order", "left", "right", "inner", "full", "cross", "join",
    "union", "limit", "having", "natural", "lateral", "window", "offset", "fetch", "for", "as",
})  # fmt: skip


def near_name(error: psycopg.Error, connection: psycopg.Connection, sql: str) -> str:
    """A question that names what may have been meant, or an empty string."""
    said = error.diag.message_primary or ""
    quoted = said.partition('"')[2].partition('"')[0]
    if error.sqlstate in {"42703", "42P01", "42883"} and (odd := _unseen(quoted or said)):
        return odd
    if error.diag.message_hint and error.sqlstate != "42883":  # PostgreSQL has a better one
        return ""
    try:
        if error.sqlstate == "42703":
            asked = quoted or said.removeprefix("column ").partition(" ")[0]
            return _column(asked.rpartition(".")[2], connection, sql)
        if error.sqlstate == "42P01":
            return _relation(quoted, said, connection, sql)
        if error.sqlstate == "42883":
            asked = said.removeprefix("function ").partition("(")[0].rpartition(".")[2]
            if asked in _OF_TEMPLATES:
                return f" In a template it is called so: {{{{ {asked}(...) }}}}."
            if asked.lower() in _FUNCTIONS_OF_OTHERS:
                return f" In PostgreSQL it is {_FUNCTIONS_OF_OTHERS[asked.lower()]}."
            return _near(asked, [*_names(connection, _FUNCTIONS), *_OF_THE_GRAMMAR])
        if error.sqlstate == "42704" and said.startswith("type "):
            asked = quoted.rpartition(".")[2].lower()
            other = _OF_OTHERS.get(asked)
            return f" Did you mean {other}?" if other else _near(asked, _TYPES)
    except psycopg.Error:  # such as in a transaction that has failed
        pass
    return ""


def columns(connection: psycopg.Connection, sql: str) -> list[str]:
    """The names of all columns of the relations in ``sql``; none if that cannot be found out."""
    try:
        return _names(connection, _COLUMNS, sql)
    except psycopg.Error:
        return []


def _unseen(name: str) -> str:
    """A sentence about a character in ``name`` that is invisible, or looks like another one."""
    if any(quote in name for quote in "\u2018\u2019\u201c\u201d"):
        return " Quotes are straight in SQL: ' round text, and \" round names."
    odd = next((each for each in name if unicodedata.category(each) in {"Cf", "Zs"}), "")
    return (
        f" The name has the invisible character U+{ord(odd):04X} in it." if odd.strip(" ") else ""
    )


def _column(asked: str, connection: psycopg.Connection, sql: str) -> str:
    if f'"{asked}"' in sql:
        return f" In double quotes it is a name; text stands in single ones: '{asked}'."
    return _near(asked, _names(connection, _COLUMNS, sql))


def _relation(asked: str, said: str, connection: psycopg.Connection, sql: str) -> str:
    ctes = _CTE.findall(sql)
    if said.startswith("missing FROM-clause"):
        aliases = [each for each in _ALIAS.findall(sql) if each.lower() not in _KEYWORDS]
        return _near(asked, dict.fromkeys([*aliases, *ctes]))
    schema, _, name = asked.rpartition(".")
    if not schema:
        return _near(name, ctes) or _near(name, _names(connection, _RELATIONS))
    schemas = _names(connection, _SCHEMAS)
    if schema not in schemas and f"{schema}__build" not in schemas:  # which will become that one
        known = [each for each in schemas if not each.endswith(_OF_RUNS)]
        return f" There is no schema {schema}.{_near(schema, known)}"
    near = _near(name, _names(connection, _OF_SCHEMA, schema))
    others = [] if near else _names(connection, _SCHEMAS_OF, name)
    return near or (f" There is a {others[0]}.{name}." if others else "")


def _near(asked: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(asked, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near and near[0] != asked else ""


def _names(connection: psycopg.Connection, query: str, *values: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(query, values or None)]


_COLUMNS = """
SELECT DISTINCT a.attname
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND strpos(%s, c.relname) > 0
"""
_RELATIONS = """
SELECT DISTINCT c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'meta')
"""
_OF_SCHEMA = """
SELECT c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND regexp_replace(n.nspname, '__build$', '') = regexp_replace(%s, '__build$', '')
"""
_SCHEMAS_OF = """
SELECT n.nspname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND c.relname = %s
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'meta')
  AND n.nspname !~ '__(build|increment|old)$'
ORDER BY 1
"""
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'"
# Without the functions behind operators, types and aggregates, which nobody calls by name.
_FUNCTIONS = """
SELECT DISTINCT p.proname
FROM pg_proc p
WHERE p.prokind IN ('f', 'a', 'w')
  AND p.prorettype <> ALL (ARRAY['internal', 'trigger', 'cstring']::regtype[])
  AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid)
  AND NOT 'internal'::regtype = ANY (p.proargtypes)
"""
