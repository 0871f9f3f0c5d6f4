"""Walks through a parsed query, to find what each of its columns is computed from.

sqlglot parses, and says what each part of a query reads from. Which column is whose is found out
here, so that much can be said even if not all columns are known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify_columns import quote_identifiers
from sqlglot.optimizer.scope import Scope, build_scope, walk_in_scope

from datapipe.frozen import frozen

DIALECT = "postgres"
OTHERS = "*"
"""Among the columns of a relation: there may be more, of names that nobody knows."""

Read = tuple[str, str]
"""A column that is read, as node and name."""

Known = Callable[[exp.Table], tuple[str | None, Sequence[str]]]
"""Gives the node that a table is, if it is one, and its columns, if they are known."""

# They decide which rows there are, not what is in a column.
_OF_ROWS = ("where", "group", "having", "order", "limit", "offset", "locks")
_NAMELESS = "?column?"  # as PostgreSQL has it


@frozen
class Found:
    """What a column is computed from, and how; without expressions it is passed on unchanged."""

    columns: tuple[Read, ...] = ()
    expressions: tuple[str, ...] = ()


_NOTHING = Found()


def walked(sql: str, known: Known) -> list[tuple[str, Found]]:
    """The columns that ``sql`` gives, in order."""
    query = parse_one(sql, dialect=DIALECT)
    for node in query.walk(prune=_selected):
        if isinstance(node, exp.Query):
            for clause in _OF_ROWS:
                node.set(clause, None)
        elif isinstance(node, exp.Join):
            node.set("on", None)
    root = build_scope(normalize_identifiers(query, dialect=DIALECT))
    if root is None or not isinstance(query, exp.Query):
        raise SqlglotError("It is no SELECT.")
    walk = _Walk(root, known)
    return [(each.name, walk.column(query, each.name)) for each in walk.given(query)]


@dataclass(frozen=True, eq=False)
class _Source:
    """Something that a query reads from, as ``name``; ``aliases`` rename its first columns."""

    name: str
    scope: Scope
    of: exp.Table | Scope
    columns: Sequence[str]
    aliases: Sequence[str]


@frozen
class _Given:
    """A column of a query: a value, or, where a star gives it, that of ``sources``."""

    name: str
    value: exp.Expr | None
    sources: Sequence[_Source] = ()


class _Walk:
    """Remembers what it has found out about each part of the query."""

    def __init__(self, root: Scope, known: Known) -> None:
        self._known = known
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._sources: dict[int, list[_Source]] = {}
        self._given: dict[int, list[_Given]] = {}
        self._by_name: dict[int, dict[str, list[_Given]]] = {}
        self._found: dict[tuple[int, str | int], Found] = {}

    def given(self, query: exp.Expr) -> list[_Given]:
        """The columns of ``query``, in order."""
        if id(query) not in self._given:
            self._given[id(query)] = list(self._gives(query))
        return self._given[id(query)]

    def column(self, query: exp.Expr, name: str | int) -> Found:
        """What is known of the column of ``query`` with this name or number."""
        key = (id(query), name)
        if key not in self._found:
            self._found[key] = _NOTHING  # for a recursive query, which comes by here again
            self._found[key] = self._find(query, name)
        return self._found[key]

    def _gives(self, query: exp.Expr) -> Iterator[_Given]:
        if (inner := _inner(query)) is not None:
            yield from self.given(inner)
        elif isinstance(query, exp.Select):
            for value in query.selects:
                if value.is_star:
                    yield from self._starred(query, value)
                else:
                    yield _Given(self._called(value), value.unalias())
        else:  # VALUES, or a function in FROM
            value = query.this if isinstance(query, exp.Lateral) else query
            for name in query.alias_column_names or (OTHERS,):
                yield _Given(name, value)

    def _starred(self, query: exp.Select, star: exp.Expr) -> Iterator[_Given]:
        sources = self._reads(self._scopes[id(query)])
        if isinstance(star, exp.Column):
            sources = [each for each in sources if each.name == star.table]
        every = [(name, source) for source in sources for name in source.columns]
        together = _joined(query, [name for name, _ in every])
        if isinstance(star, exp.Star):
            for name in together:
                yield _Given(name, None, [source for of, source in every if of == name])
        for name, source in every:
            if name not in together or isinstance(star, exp.Column):
                yield _Given(name, None, [source])

    def _called(self, value: exp.Expr) -> str:
        """The name that PostgreSQL gives the column."""
        if value.alias:
            return value.alias
        while isinstance(value, exp.Paren | exp.Cast | exp.Window | exp.Filter | exp.WithinGroup):
            value = value.this
        if isinstance(value, exp.Column | exp.Dot):
            return value.name
        if isinstance(value, exp.Subquery) and (given := self.given(value)):
            return given[0].name
        if isinstance(value, exp.Func) and not isinstance(value, exp.Binary):
            word = re.match(r"\w+", value.sql(dialect=DIALECT))
            return word[0].lower() if word else _NAMELESS
        return _NAMELESS

    def _find(self, query: exp.Expr, name: str | int) -> Found:
        if isinstance(query, exp.SetOperation):
            place = self._place(query, name)
            return _merged(self.column(side, place) for side in _sides(query))
        if (inner := _inner(query)) is not None:
            return self.column(inner, name)
        if isinstance(name, int):
            given = self.given(query)[: name + 1]
            if name < len(given) and OTHERS not in (each.name for each in given):
                return self._what(query, given[name], given[name].name)
            name = OTHERS
        return _merged(self._what(query, each, name) for each in self._meant(query, name))

    def _place(self, query: exp.Expr, name: str | int) -> str | int:
        """The number of the column in each side of a UNION; its name, if that cannot be told."""
        if isinstance(name, int):
            return name
        names = [each.name for each in self.given(query)]
        place = names.index(name) if name in names else -1
        return name if place < 0 or OTHERS in names[: place + 1] else place

    def _meant(self, query: exp.Expr, name: str) -> list[_Given]:
        """The columns of this name; if there are none, the one source that may have others."""
        if id(query) not in self._by_name:
            self._by_name[id(query)] = {}
            for each in self.given(query):
                self._by_name[id(query)].setdefault(each.name, []).append(each)
        by_name = self._by_name[id(query)]
        if name == OTHERS:
            return by_name.get(OTHERS, [])
        if name in by_name:
            return by_name[name][:1]
        # What it reads may have it, too, when that is built anew.
        others = by_name.get(OTHERS) or self.given(query)
        sources = {id(source): source for each in others for source in each.sources}
        return [_Given(name, None, list(sources.values()))] if len(sources) == 1 else []

    def _what(self, query: exp.Expr, given: _Given, name: str) -> Found:
        if given.value is not None:
            return self._value(query, given.value)
        return _merged(self._of(source, name) for source in given.sources)

    def _of(self, source: _Source, name: str) -> Found:
        if isinstance(source.of, Scope):
            place = source.aliases.index(name) if name in source.aliases else name
            return self.column(source.of.expression, place)
        if isinstance(source.of.this, exp.Func):
            return self._value(source.scope.expression, source.of.this, source)
        node, columns = self._known(source.of)
        if name in source.aliases:
            name = columns[source.aliases.index(name)] if columns else OTHERS
        return Found(((node, name),)) if node else _NOTHING

    def _value(self, query: exp.Expr, value: exp.Expr, beside: _Source | None = None) -> Found:
        """What ``value`` is computed from; a function in FROM reads what stands ``beside`` it."""
        scope = self._scopes.get(id(query))
        if scope is None:
            return _NOTHING
        read: list[Found] = []
        for node in walk_in_scope(value):
            if isinstance(node, exp.Column):
                read.append(self._read(scope, node, beside))
            elif isinstance(node, exp.Select | exp.SetOperation):
                read += [self.column(node, each.name) for each in self.given(node)]
            elif isinstance(node, exp.Window) and node.alias:
                for window in query.args.get("windows") or ():
                    if window.name == node.alias:
                        read += [self._read(scope, each) for each in window.find_all(exp.Column)]
        found = _merged(read)
        if isinstance(value, exp.Column):
            return found
        quote_identifiers(value, dialect=DIALECT, identify=False)
        return Found(found.columns, (value.sql(dialect=DIALECT, comments=False),))

    def _read(self, scope: Scope, column: exp.Column, beside: _Source | None = None) -> Found:
        around: Scope | None = scope
        sources: Sequence[_Source] = ()
        name = column.name
        while around is not None and not sources:
            there = [each for each in self._reads(around) if each is not beside]
            sources, name = _meant_by(column, there)
            around = around.parent  # a query in a query reads what is around it
        if not sources and len(self._reads(scope)) == 1:
            sources = self._reads(scope)  # which may have it when it is built anew
        if len(sources) > 1 and not all(name in each.columns for each in sources):
            return _NOTHING
        if name == OTHERS:
            return Found(
                _merged(self._of(of, each) for of in sources for each in of.columns).columns
            )
        if len(sources) == 1 and sources[0].name:
            column.set("table", exp.to_identifier(sources[0].name))
        return _merged(self._of(source, name) for source in sources)

    def _reads(self, scope: Scope) -> list[_Source]:
        if id(scope) not in self._sources:
            reads: Mapping[str, tuple[exp.Expr | None, exp.Table | Scope]] = scope.selected_sources
            if not isinstance(scope.expression, exp.Select):  # a function reads what is before it
                reads = {name: (None, of) for name, of in scope.sources.items()}
            self._sources[id(scope)] = [
                self._source(name, scope, node, of) for name, (node, of) in reads.items()
            ]
        return self._sources[id(scope)]

    def _source(
        self, name: str, scope: Scope, node: exp.Expr | None, of: exp.Table | Scope
    ) -> _Source:
        aliases: Sequence[str] = node.alias_column_names if node else ()
        columns: Sequence[str]
        if isinstance(of, Scope):
            aliases = aliases or of.outer_columns
            columns = [each.name for each in self.given(of.expression)]
        elif isinstance(of.this, exp.Func):
            columns = [OTHERS]
        else:
            columns = self._known(of)[1] or [OTHERS]
        return _Source(name, scope, of, [*aliases, *columns[len(aliases) :]], aliases)


def _selected(node: exp.Expr) -> bool:
    """Whether ``node`` is an item of a select list, which is shown as it is written."""
    return node.arg_key == "expressions" and isinstance(node.parent, exp.Select)


def _joined(query: exp.Select, names: Sequence[str]) -> list[str]:
    """The columns that ``*`` gives only once, though several joined tables have them."""
    joins = query.args.get("joins") or ()
    joined = [each.name for join in joins for each in join.args.get("using") or ()]
    if any(join.method == "NATURAL" for join in joins):
        joined += [name for name, count in Counter(names).items() if count > 1 and name != OTHERS]
    return list(dict.fromkeys(joined))


def _meant_by(column: exp.Column, sources: Sequence[_Source]) -> tuple[list[_Source], str]:
    """The sources that ``column`` may belong to, and its name there; OTHERS for a whole row."""
    name = column.name
    if column.table:
        return [each for each in sources if each.name == column.table], name
    if having := [each for each in sources if name in each.columns]:
        return having, name  # several after USING
    if row := [each for each in sources if each.name == name]:
        return row, OTHERS
    return [each for each in sources if OTHERS in each.columns], name


def _inner(query: exp.Expr) -> exp.Expr | None:
    """The query that has the columns of ``query``, if that is not a SELECT itself."""
    inner: exp.Expr | None = None
    if isinstance(query, exp.SetOperation):
        inner = _sides(query)[0]
    elif isinstance(query, exp.Subquery | exp.Lateral) and isinstance(query.this, exp.Query):
        inner = query.this.unnest()
    return inner


def _sides(query: exp.Expr) -> list[exp.Expr]:
    """The queries that a UNION puts together, in order: there may be hundreds."""
    sides: list[exp.Expr] = []
    while isinstance(query, exp.SetOperation):
        sides.append(query.expression.unnest())
        query = query.this.unnest()
    return [query, *reversed(sides)]


def _merged(found: Iterable[Found]) -> Found:
    every = list(found)
    if len(every) == 1:
        return every[0]
    return Found(
        tuple(dict.fromkeys(read for each in every for read in each.columns)),
        tuple(dict.fromkeys(text for each in every for text in each.expressions)),
    )
