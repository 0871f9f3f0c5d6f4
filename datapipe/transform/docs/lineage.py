"""Where each column of a model comes from, read out of its compiled SQL with sqlglot."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field

from sqlglot import exp
from sqlglot.errors import SqlglotError

from datapipe.frozen import frozen
from datapipe.transform.database.relation import Relation
from datapipe.transform.docs.walk import OTHERS, Found, Read, walked

_LONGEST_EXPRESSION = 300

Columns = Mapping[str, str]
"""Names to PostgreSQL types; an unknown type is an empty string."""


@frozen
class Query:
    """The SQL that makes a relation; each ``ref`` in it is the published relation."""

    node: str
    relation: Relation
    sql: str


@frozen
class Origin:
    """The columns that a column is computed from, each as node and name, and how.

    ``expression`` is empty if the column is passed on unchanged.
    """

    columns: tuple[Read, ...]
    expression: str = ""


@frozen
class Lineage:
    """For each node its columns with their origins; ``unknown`` names the other nodes, and why."""

    columns: Mapping[str, Mapping[str, Origin]]
    unknown: Mapping[str, str] = field(default_factory=dict)


def traced(
    queries: Sequence[Query], relations: Mapping[str, Relation], known: Mapping[str, Columns]
) -> Lineage:
    """The lineage of ``queries``, given in the order in which they are built.

    ``relations`` are those of all nodes; ``known`` are the columns of some, with OTHERS among them
    if there may be more. What was never built has the columns of its query.
    """
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it says what it cannot resolve
    nodes = {(relation.schema, relation.identifier): node for node, relation in relations.items()}
    bare = Counter(relation.identifier for relation in relations.values())
    nodes |= {("", name): node for (_, name), node in nodes.items() if bare[name] == 1}
    columns: dict[str, Sequence[str]] = {node: tuple(names) for node, names in known.items()}
    found: dict[str, dict[str, Origin]] = {}
    unknown: dict[str, str] = {}

    def reads(table: exp.Table) -> tuple[str | None, Sequence[str]]:
        node = nodes.get((table.db, table.name))
        return node, columns.get(node, ()) if node else ()

    for query in queries:
        try:
            given = walked(query.sql, reads)
        except (SqlglotError, RecursionError, ValueError) as error:
            unknown[query.node] = str(error).splitlines()[0]
            continue
        names = _named([name for name, _ in given], columns.get(query.node, ()))
        found[query.node] = {
            name: _origin(each) for name, (_, each) in zip(names, given, strict=True)
        }
        # What was built may lack what has been written since.
        there = columns.get(query.node, ())
        new = (name for name in found[query.node] if name != OTHERS or not there)
        columns[query.node] = tuple(dict.fromkeys([*there, *new]))
    return Lineage(found, unknown)


def _named(names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """``names`` as PostgreSQL has them: it cuts long ones, and names some functions its own way."""
    if len(names) != len(known):
        return names
    unused = set(known).difference(names)
    return [
        there if name not in known and there in unused else name
        for name, there in zip(names, known, strict=True)
    ]


def _origin(found: Found) -> Origin:
    return Origin(
        tuple(sorted(found.columns)), ", or ".join(found.expressions)[:_LONGEST_EXPRESSION]
    )
