"""Builds models aside, in the order of the graph."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from datapipe.errors import ProjectError
from datapipe.transform.build import seed
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.compile.locate import project_error, with_near_name
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.statements import execute


@dataclass(frozen=True)
class Built:
    """A model as it stands aside; ``increment`` are the statements that publish an increment."""

    model: Model
    aside: Relation
    rows: int | None
    seconds: float
    increment: tuple[str, ...] | None = None


def place(table: Relation, model: Model) -> str:
    """SQL that puts the empty ``table`` where it belongs; on one server there is nothing to do."""
    del table, model
    return ""


def build(connection: psycopg.Connection, model: Model, compiler: Compiler) -> Built:
    """Build ``model`` where ``compiler`` places it, and commit."""
    started = time.perf_counter()
    aside = compiler.place(model)
    if model.is_seed:
        loaded = seed.load(connection, model, aside)
        _finish(connection, model, aside)
        return Built(model, aside, loaded, time.perf_counter() - started)
    compiled = compiler.model(model)
    statements = Statements()
    if model.materialized == "view":
        statements.add(f"CREATE VIEW {aside.local} AS (\n", compiled)
    else:
        statements.add(f"{_create(model)} {aside.local} AS (\n", compiled, ") WITH NO DATA")
        placed = place(aside, model)
        if placed:
            statements.add(placed)
        statements.add(f"INSERT INTO {aside.local} (\n", compiled)
        for index in indexes(model):
            statements.add(f"CREATE {index.format(aside.local)}")
        statements.add(f"ANALYZE {aside.local}")
    rows = statements.execute(connection, compiled, compiler)
    return Built(model, aside, rows, time.perf_counter() - started)


def _create(model: Model) -> str:
    return "CREATE UNLOGGED TABLE" if model.config.get("unlogged") else "CREATE TABLE"


def _finish(connection: psycopg.Connection, model: Model, table: Relation) -> None:
    """What a table that was filled without a query needs, too."""
    statements = [f"CREATE {index.format(table.local)}" for index in indexes(model)]
    try:
        execute(connection, "; ".join([*statements, f"ANALYZE {table.local}"]))
    except psycopg.errors.UniqueViolation as error:
        raise _not_unique(error, model) from error


def fill(connection: psycopg.Connection, model: Model, table: Relation, query: str) -> None:
    """Create ``table`` with the rows of a query of our own."""
    execute(connection, f"{_create(model)} {table.local} AS ({query}) WITH NO DATA")
    placed = place(table, model)
    if placed:
        execute(connection, placed)
    execute(connection, f"INSERT INTO {table.local} {query}")
    _finish(connection, model, table)


class Statements:
    """Statements that are sent together: one round trip, one transaction."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._length = 0
        self._compiled_at: list[int] = []

    def add(self, before: str, compiled: Compiled | None = None, after: str = ")") -> None:
        text = before
        if compiled is not None:
            self._compiled_at.append(self._length + len(before))
            text += f"{compiled.sql}\n{after}"
        self._texts.append(text + ";\n")
        self._length += len(text) + 2

    def execute(
        self, connection: psycopg.Connection, compiled: Compiled, compiler: Compiler
    ) -> int | None:
        """The number of rows inserted."""
        try:
            cursor = execute(connection, "".join(self._texts))
        except psycopg.Error as error:
            if error.sqlstate == "23505" and not error.diag.statement_position:
                assert isinstance(compiled.node, Model)  # noqa: S101 - tests create no index
                raise _not_unique(error, compiled.node) from error
            told = project_error(error, compiled, self._compiled_at, compiler)
            raise with_near_name(told, error, connection, compiled) from error
        rows = None
        while True:
            if (cursor.statusmessage or "").startswith("INSERT"):
                rows = cursor.rowcount
            if not cursor.nextset():
                return rows


def indexes(model: Model) -> list[str]:
    """The indexes of ``model`` as SQL without a name, with ``{}`` where its table goes."""
    found = []
    given = model.config.get("indexes") or []
    if not isinstance(given, list):
        given = [given]
    for index in given:
        columns = index.get("columns") if isinstance(index, Mapping) else None
        if not isinstance(columns, list) or not columns:
            raise _bad_index(model, index)
        unique = "UNIQUE " if index.get("unique") else ""
        written = ", ".join(map(str, columns)).replace("{", "{{").replace("}", "}}")
        found.append(f"{unique}INDEX ON {{}} USING {index.get('type', 'btree')} ({written})")
    return found


def _bad_index(model: Model, index: Any) -> ProjectError:
    return ProjectError(
        f"An index is a mapping such as {{'columns': ['symbol'], 'unique': true}}, not {index!r}.",
        path=model.path,
        line=line_of(model, "indexes"),
        model=model.name,
    )


def _not_unique(error: psycopg.Error, model: Model) -> ProjectError:
    return ProjectError(
        f"The model {model.name} has rows that its unique index forbids: "
        f"{error.diag.message_detail or error.diag.message_primary} "
        "Nothing was published. Mend the model or the index under config().",
        path=model.path,
        line=line_of(model, "indexes"),
        model=model.name,
    )


def line_of(model: Model, word: str) -> int | None:
    """The first line of the model's file that has ``word``."""
    lines = enumerate(model.raw_code.splitlines(), 1)
    return next((number for number, text in lines if word in text), None)
