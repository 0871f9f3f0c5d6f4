"""The definitions of views, indexes and constraints; and SQL changed to name other relations."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import pairwise

import psycopg

from datapipe.transform.database import marks
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.relation import quoted

_PIECE = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
# A comment or a string, which is passed over, or a chain of names. A text between dollars is looked
# into, since it is code, such as the body of a function; unless it is one value of several.
_TOKEN = (
    r"(?s)--[^\n]*|/\*.*?\*/|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'"
    r"|[(,=|]\s*\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$"
    rf"|{_PIECE}(?:\s*\.\s*{_PIECE})*"
)
_PASSED_OVER = ("'", "e'", "E'", "--", "/*", "(", ",", "=", "|")
_NAME = re.compile(_PIECE)
# Words that are followed by a relation, and by no column.
_BEFORE_RELATIONS = frozenset(
    {"from", "into", "join", "only", "references", "table", "update", "using"}
)
_BEFORE_COLUMNS = frozenset({"into", "references"})  # those stand in parentheses behind it
_CALLED = re.compile(r"\s*\(")
_BARE = re.compile(r"[a-z_][a-z0-9_]*")


def of_views(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, str]:
    """The queries of views and materialized views, with every name in full."""
    wanted = list(oids)
    if not wanted:
        return {}
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = ''")
        return dict(
            connection.execute(
                "SELECT oid::bigint, rtrim(pg_get_viewdef(oid), ' ;') FROM pg_class "
                "WHERE oid = ANY(%s::oid[])",
                [wanted],
            ).fetchall()
        )


def indexes(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, set[str]]:
    """The indexes of each of these tables, as SQL without their names and without the table.

    Those that belong to keys of ``on-run-end`` are left out: that makes them anew.
    """
    found: dict[int, set[str]] = {}
    for table, index in connection.execute(
        """
        SELECT indrelid::bigint, format('CREATE %%sINDEX %%s',
            CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END,
            substring(pg_get_indexdef(indexrelid) FROM ' ON .*? (USING .*)$'))
        FROM pg_index i WHERE indrelid = ANY(%s::oid[]) AND NOT EXISTS (
            SELECT FROM pg_constraint k
            WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid
              AND obj_description(k.oid, 'pg_constraint') = %s)
        """,
        [list(oids), marks.MARK],
    ):
        found.setdefault(table, set()).add(index)
    return found


def indexes_on(connection: psycopg.Connection, oid: int, table: str) -> list[str]:
    """The indexes and keys of the relation ``oid``, by name, as statements that make them anew."""
    rows = connection.execute(
        """
        SELECT c.relname, i.indisunique,
               substring(pg_get_indexdef(i.indexrelid) FROM ' ON .*? (USING .*)$'),
               k.conname, pg_get_constraintdef(k.oid)
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
         AND k.contype IN ('p', 'u', 'x')
        WHERE i.indrelid = %s
        ORDER BY c.oid
        """,
        [oid],
    )
    return [
        f"ALTER TABLE {table} ADD CONSTRAINT {quoted(constraint)} {made}"
        if constraint
        else f"CREATE {'UNIQUE ' if unique else ''}INDEX {quoted(name)} ON {table} {using}"
        for name, unique, using, constraint, made in rows
    ]


def guards(connection: psycopg.Connection, oid: int, table: str) -> list[str]:
    """The triggers and policies of the relation ``oid``, as statements that make them anew."""
    rows = connection.execute(
        """
        SELECT replace(pg_get_triggerdef(t.oid), format(' ON %%I.%%I ', n.nspname, c.relname),
                       format(' ON %%s ', %(table)s::text))
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE t.tgrelid = %(oid)s AND NOT t.tgisinternal
        UNION ALL
        SELECT format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s',
            p.polname, %(table)s::text,
            CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ')
             FROM unnest(p.polroles) AS role),
            ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
            ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
        FROM pg_policy p WHERE p.polrelid = %(oid)s
        UNION ALL
        SELECT format('ALTER TABLE %%s %%s ROW LEVEL SECURITY', %(table)s::text, o.what)
        FROM pg_class c, LATERAL (VALUES (c.relrowsecurity, 'ENABLE'),
                                         (c.relforcerowsecurity, 'FORCE')) AS o (is_so, what)
        WHERE c.oid = %(oid)s AND o.is_so
        """,
        {"oid": oid, "table": table},
    )
    return [statement for (statement,) in rows]


def constraints(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, dict[str, str]]:
    """For each of these tables, the names of its constraints by what they say; not of NOT NULL."""
    found: dict[int, dict[str, str]] = {}
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = ''")
        for table, made, name in connection.execute(
            "SELECT conrelid::bigint, pg_get_constraintdef(oid), conname FROM pg_constraint "
            "WHERE conrelid = ANY(%s::oid[]) AND contype IN ('p', 'u', 'c', 'x', 'f')",
            [list(oids)],
        ):
            found.setdefault(table, {})[made] = name
    return found


def foreign_key(connection: psycopg.Connection, table: Name, constraint: str) -> str:
    """The foreign key of that name, as ALTER TABLE takes it, with every name in full."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = ''")
        row = connection.execute(
            "SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k "
            "JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s",
            [*table, constraint],
        ).fetchone()
    assert row is not None  # noqa: S101 - it was just found
    return str(row[0])


def renamed(sql: str, names: Mapping[Name, str]) -> str:
    """``sql`` with other names for some relations, as ``names`` tells; not within strings.

    A name may have its database before it and a column behind it.
    """

    def replaced(token: re.Match[str]) -> str:
        for name, end in _names(token[0]):
            if name in names:
                return names[name] + token[0][end:]
        return token[0]

    return re.sub(_TOKEN, replaced, sql)


def mentions(sql: str, name: Name) -> bool:
    """Whether ``sql`` names the relation."""
    return any(name == found for token in re.finditer(_TOKEN, sql) for found, _ in _names(token[0]))


def named(sql: str, schema: str) -> set[Name]:
    """The names in ``sql`` that are in ``schema``, whatever they are names of."""
    found = (name for token in re.finditer(_TOKEN, sql) for name, _ in _names(token[0]))
    return {name for name in found if name[0] == schema}


def relations(sql: str, schemas: Container[str]) -> Iterator[tuple[int, int, Name]]:
    """The relations of ``schemas`` that ``sql`` names: where each name begins and ends, and it.

    Columns and functions can look the same: ``a.b`` is a column where ``a`` is an alias.
    """
    found: list[tuple[int, int, Name]] = []
    doubtful: list[tuple[int, int, Name]] = []
    aliases: set[str] = set()
    before, end = "", 0
    for token in re.finditer(_TOKEN, sql):
        text = token[0]
        if text.startswith(_PASSED_OVER):
            before, end = (before, token.end()) if text[0] in "-/" else ("", token.end())
            continue
        parts = [plain(piece[0]) for piece in _NAME.finditer(text)]
        is_relation = before in _BEFORE_RELATIONS and not sql[end : token.start()].strip(" \t\r\n(")
        if len(parts) == 1 or is_relation:
            aliases.add(parts[-1])
        for name, length in _names(text):
            if name[0] not in schemas:
                continue
            if (
                length == len(text)
                and before not in _BEFORE_COLUMNS
                and _CALLED.match(sql, token.end())
            ):
                break
            named = token.start(), token.start() + length, name
            (found if is_relation or len(parts) > 2 else doubtful).append(named)
            break
        before, end = text.lower(), token.end()
    found += [named for named in doubtful if named[2][0] not in aliases]
    yield from sorted(found)


def calls(sql: str, functions: Container[Name]) -> Iterator[tuple[int, int, Name]]:
    """The calls of ``functions`` in ``sql``: where each name begins and ends, and the name."""
    for token in re.finditer(_TOKEN, sql):
        if not _CALLED.match(sql, token.end()):
            continue
        for name, length in _names(token[0]):
            if length == len(token[0]) and name in functions:
                yield token.start(), token.end(), name


def _names(token: str) -> list[tuple[Name, int]]:
    """The relations that a chain such as ``a.b.c`` may name, and where their names end in it."""
    if token.startswith(_PASSED_OVER):
        return []
    parts = [(plain(piece[0]), piece.end()) for piece in _NAME.finditer(token)]
    return [((one, two), end) for (one, _), (two, end) in pairwise(parts[:3])]


def plain_name(name: Name) -> str:
    """The full name as PostgreSQL writes it in definitions: quoted only where it must be."""
    return ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in name)


def plain(piece: str) -> str:
    """How the catalog spells a name that stands so in SQL."""
    return piece[1:-1].replace('""', '"') if piece.startswith('"') else piece.lower()
