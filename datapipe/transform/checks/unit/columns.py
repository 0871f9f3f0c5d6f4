"""The columns of what a unit test replaces: those of the table, or else inferred ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import psycopg

from datapipe.errors import DatapipeError
from datapipe.frozen import frozen
from datapipe.transform.build import seed_file
from datapipe.transform.checks.unit import literals
from datapipe.transform.checks.unit.alone import Alone, with_ctes
from datapipe.transform.compile import Compiler
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.contract_columns import contract_columns
from datapipe.transform.manifest.nodes import Model, Source

Node = Model | Source


@frozen
class Column:
    """A column as PostgreSQL has it; ``type`` is None where nothing tells it."""

    name: str
    type: str | None


@frozen
class Known:
    """The columns of a node; not ``whole`` if only YAML tells them, which may leave some out."""

    columns: tuple[Column, ...]
    whole: bool = True


# Stands for a type that is not known: it can be cast to any, and hardly a column is of it.
_ANY = "name"
_MISSING = re.compile(r'column (?:"([^"]+)"|(?:\w+\.)?(\w+)) does not exist')

# What dbt adds to the rows of a snapshot.
_SNAPSHOT = (
    Column("dbt_scd_id", "text"),
    Column("dbt_updated_at", "timestamp without time zone"),
    Column("dbt_valid_from", "timestamp without time zone"),
    Column("dbt_valid_to", "timestamp without time zone"),
)


class Columns:
    """What PostgreSQL and the project know of columns; each node is asked about only once."""

    def __init__(self, connection: psycopg.Connection, compiler: Compiler) -> None:
        self._connection = connection
        self._compiler = compiler
        self._types: dict[tuple[int, int], str] = {}
        self._inferred: dict[str, Known] = {}

    def known(self, node: Node) -> Iterator[Known]:
        """The columns of ``node``, as each source tells them, the most certain first."""
        if isinstance(node, Source):  # a seed that fills it may be still to come
            node = self._compiler.manifest.seed_of(node) or node
        for relation in self._places(node):
            found = self._of_table(relation)
            if found:
                yield Known(found)
        inferred = self._infer(node)
        if inferred.columns:
            yield inferred

    def of_query(self, sql: str) -> tuple[Column, ...]:
        """The columns that a query gives; it is planned and not run."""
        cursor = execute(self._connection, f"SELECT * FROM (\n{sql}\n) described LIMIT 0")
        return self.described(cursor)

    def described(self, cursor: psycopg.Cursor[Any]) -> tuple[Column, ...]:
        """The columns of the result that ``cursor`` has."""
        result = cursor.pgresult
        assert result is not None  # noqa: S101 - a query was executed
        names = [column.name for column in cursor.description or ()]
        types = [(result.ftype(number), result.fmod(number)) for number in range(len(names))]
        new = list(dict.fromkeys(type_ for type_ in types if type_ not in self._types))
        if new:
            rows = self._connection.execute(
                "SELECT format_type(type, modifier) "
                "FROM unnest(%s::oid[], %s::int[]) WITH ORDINALITY AS t (type, modifier, n) "
                "ORDER BY n",
                [[type_ for type_, _ in new], [modifier for _, modifier in new]],
            )
            self._types.update(zip(new, (str(row[0]) for row in rows), strict=True))
        return tuple(
            Column(name, self._types[type_]) for name, type_ in zip(names, types, strict=True)
        )

    def _places(self, node: Node) -> list[tuple[str, str]]:
        """Where the node's table may be: where the run builds it, or where it is published."""
        if isinstance(node, Source):
            return [node.relation.published]
        if node.materialized == "ephemeral":
            return []
        return list(dict.fromkeys([self._compiler.place(node).standing, node.relation.published]))

    def _of_table(self, place: tuple[str, str]) -> tuple[Column, ...]:
        rows = self._connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [".".join(map(quoted, place))],
        )
        return tuple(Column(str(row[0]), str(row[1])) for row in rows)

    def _infer(self, node: Node) -> Known:
        if node.unique_id not in self._inferred:
            self._inferred[node.unique_id] = Known(())  # a circle finds nothing
            declared = tuple(
                Column(each.name, each.data_type) for each in contract_columns(node).values()
            )
            found = Known(declared, whole=_is_contract(node))
            if isinstance(node, Model) and not found.whole:
                selected = self._of_model(node)
                found = Known(selected) if selected else found
            self._inferred[node.unique_id] = found
        return self._inferred[node.unique_id]

    def _of_model(self, model: Model) -> tuple[Column, ...]:
        """The columns of the model's own SQL, over its inputs without rows.

        If not all columns of an input are known, those that the SQL asks for are added.
        """
        if model.is_seed:
            return self._of_seed(model)
        added: list[str] = []
        while True:
            alone = Alone(self._compiler, model, partial(self._standing_for, added))
            try:
                found = self.of_query(with_ctes(alone.ctes, alone.compiled().sql))
                break
            except (psycopg.Error, DatapipeError) as error:
                if self._connection.broken:
                    raise
                name = _MISSING.search(str(error))
                if name is None or (name[1] or name[2]) in added:
                    return ()
                added.append(name[1] or name[2])
        declared = {each.name: each.data_type for each in contract_columns(model).values()}
        columns = tuple(
            Column(each.name, declared.get(each.name)) if each.type == _ANY else each
            for each in found
        )
        return (*columns, *_SNAPSHOT) if model.resource_type == "snapshot" else columns

    def _of_seed(self, model: Model) -> tuple[Column, ...]:
        try:
            table = seed_file.read(model)
        except DatapipeError:
            return ()
        folded = model.config.get("quote_columns") is False
        return tuple(
            Column(name.lower() if folded else name, type_) for name, type_ in table.columns
        )

    def _standing_for(self, added: Sequence[str], node: Node) -> Relation | str:
        """The node's table, or a query without rows that has its columns, as far as known."""
        for schema, name in self._places(node):
            if self._of_table((schema, name)):
                return Relation("", schema, name)
        known = next(self.known(node), Known((), whole=False))
        columns = {each.name: each.type or _ANY for each in known.columns}
        if not known.whole:
            columns = dict.fromkeys(added, _ANY) | columns
        return literals.query([], list(columns.items()))


def _is_contract(node: Node) -> bool:
    return bool((node.config.get("contract") or {}).get("enforced"))


def matched(columns: Sequence[Column], names: Iterable[str]) -> dict[str, str]:
    """The column that each of ``names`` means; the name may differ from it in case only."""
    exact = {column.name for column in columns}
    folded = {column.name.lower(): column.name for column in columns}
    return {
        name: name if name in exact else folded[name.lower()]
        for name in names
        if name in exact or name.lower() in folded
    }
