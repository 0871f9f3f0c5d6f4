"""Where each column of a model comes from, read out of its compiled SQL with sqlglot."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.schema import MappingSchema

from datapipe.transform.database.relation import Relation

_EPHEMERAL = "ephemeral"  # such a model has a name only; sqlglot wants a schema as well
_LONGEST_EXPRESSION = 300

Columns = Mapping[str, str]
"""Names to PostgreSQL types; an unknown type is an empty string."""


@dataclass(frozen=True)
class Query:
    """The SQL that makes a relation, each ``ref`` in it standing for a published relation."""

    node: str
    relation: Relation
    sql: str


@dataclass(frozen=True)
class Origin:
    """The columns that one is computed from, each as node and name, and how.

    ``expression`` is empty where the column is handed on as it is.
    """

    columns: tuple[tuple[str, str], ...]
    expression: str = ""


@dataclass(frozen=True)
class Lineage:
    """For each node its columns with their origins; ``unknown`` says of which, and why."""

    columns: Mapping[str, Mapping[str, Origin]]
    unknown: Mapping[str, str] = field(default_factory=dict)


def traced(
    queries: Sequence[Query], relations: Mapping[str, Relation], known: Mapping[str, Columns]
) -> Lineage:
    """The lineage of ``queries``, which stand in the order in which they are built.

    ``relations`` are those of every node, ``known`` the columns that PostgreSQL has for some; what
    was never built has the columns that its query gives.
    """
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it says what it cannot resolve
    schema = MappingSchema(dialect="postgres")
    nodes: dict[tuple[str, str], str] = {}
    for node, relation in relations.items():
        nodes[relation.schema, relation.identifier] = node
        if node in known:
            _declare(schema, relation, known[node])
    found: dict[str, dict[str, Origin]] = {}
    unknown: dict[str, str] = {}
    for query in queries:
        try:
            columns = lineage(None, query.sql, schema, dialect="postgres")
        except (SqlglotError, RecursionError, ValueError) as error:
            unknown[query.node] = str(error).splitlines()[0]
            continue
        found[query.node] = {name: _origin(node, nodes) for name, node in columns.items()}
        if query.node not in known:
            _declare(schema, query.relation, dict.fromkeys(columns, ""))
    return Lineage(found, unknown)


def _declare(schema: MappingSchema, relation: Relation, columns: Columns) -> None:
    table = exp.table_(
        relation.identifier,
        db=relation.schema or _EPHEMERAL,
        catalog=relation.database or _EPHEMERAL,
        quoted=True,
    )
    schema.add_table(table, {f'"{name}"': "text" for name in columns}, match_depth=False)


def _origin(node: Node, nodes: Mapping[tuple[str, str], str]) -> Origin:
    expressions = dict.fromkeys(_expressions(node))
    text = ", or ".join(expressions)
    return Origin(tuple(sorted(set(_leaves(node, nodes)))), text[:_LONGEST_EXPRESSION])


def _expressions(node: Node) -> Iterator[str]:
    """How the column is computed; queries between, and a UNION, may only hand it on."""
    if isinstance(node.expression, exp.Table):
        return
    value = node.expression.unalias()
    if isinstance(value, exp.Column) and node.downstream:
        for below in node.downstream:
            yield from _expressions(below)
    else:
        yield value.sql(dialect="postgres")


def _leaves(node: Node, nodes: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    if isinstance(node.expression, exp.Table):
        of = nodes.get((node.expression.db, node.expression.name))
        if of is not None:
            yield of, exp.to_column(node.name).name
    for below in node.downstream:
        yield from _leaves(below, nodes)
