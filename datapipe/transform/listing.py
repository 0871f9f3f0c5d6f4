"""What a project holds, and its SQL without a line of Jinja; nothing is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import psycopg

from datapipe.transform import manifest, project
from datapipe.transform.build import incremental
from datapipe.transform.compile import Compiler
from datapipe.transform.database.relation import Relation
from datapipe.transform.graph.select import Indirect, Node, Selection, asks_state, select
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import DataTest, Model
from datapipe.transform.state.facts import facts


@dataclass(frozen=True)
class CompiledNode:
    """The SQL of a model or a data test as psql runs it; ``file`` is where dbt would put it."""

    name: str
    resource_type: str
    file: PurePosixPath
    sql: str


def listed(
    project_dir: Path,
    *,
    variables: Mapping[str, Any],
    target_schema: str,
    include: Sequence[str],
    exclude: Sequence[str],
    indirect: Indirect = "eager",
    connection: psycopg.Connection | None = None,
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The nodes that are selected, by their ids, and what to warn of."""
    _, renderer, selection = _selected(
        project_dir, connection, variables, target_schema, include, exclude, indirect
    )
    nodes = sorted(selection.nodes, key=lambda node: node.unique_id)
    return tuple(nodes), (*renderer.warnings, *selection.warnings)


def compiled(
    connection: psycopg.Connection,
    project_dir: Path,
    *,
    variables: Mapping[str, Any],
    target_schema: str,
    include: Sequence[str],
    exclude: Sequence[str],
    full_refresh: bool,
    indirect: Indirect = "eager",
) -> tuple[tuple[CompiledNode, ...], tuple[str, ...]]:
    """The SQL of what is selected, over what is published, and what to warn of."""
    read, renderer, selection = _selected(
        project_dir, connection, variables, target_schema, include, exclude, indirect
    )
    growing = incremental.starting(
        connection, list(read.models.values()), full_refresh=full_refresh
    )
    compiler = Compiler(
        read, renderer, _published, increments=growing.keys(), full_refresh=full_refresh
    )
    with renderer.using(connection):
        found = tuple(_compiled(read, selection, compiler))
    return found, (*renderer.warnings, *selection.warnings)


def _selected(
    project_dir: Path,
    connection: psycopg.Connection | None,
    variables: Mapping[str, Any],
    target_schema: str,
    include: Sequence[str],
    exclude: Sequence[str],
    indirect: Indirect,
) -> tuple[Manifest, Renderer, Selection]:
    loaded = project.load(project_dir, variables)
    renderer = Renderer(loaded, described(connection, target_schema))
    read = manifest.read(loaded, renderer)
    known = None
    if connection is not None and asks_state(include, exclude) and _has_run(connection):
        known = facts(connection, read, renderer, target_schema)
    return read, renderer, select(read, include, exclude, facts=known, indirect=indirect)


def _has_run(connection: psycopg.Connection) -> bool:
    """Whether this database may know of an earlier run at all."""
    row = connection.execute("SELECT to_regclass('meta.transform_runs') IS NOT NULL").fetchone()
    return bool(row and row[0])


def _compiled(read: Manifest, selection: Selection, compiler: Compiler) -> Iterator[CompiledNode]:
    chosen = {node.unique_id for node in selection.nodes}
    for model in (*read.models.values(), *read.analyses):
        if model.unique_id in chosen and not model.is_seed:
            file = _file(read, model)
            if model.resource_type == "snapshot":  # several may lie in one file
                file = file / f"{model.name}.sql"
            yield _node(model, model.resource_type, file, compiler.model(model).sql)
    for test in selection.tests:
        file = _file(read, test)
        if test.macro is not None:
            file = file / f"{test.alias or test.name}.sql"
        yield _node(test, "test", file, compiler.test(test).sql)


def _file(read: Manifest, node: Model | DataTest) -> PurePosixPath:
    """Where the SQL of ``node`` is written; a package's below its name."""
    own = node.package == read.project.name
    return PurePosixPath(node.file) if own else PurePosixPath(node.package, node.file)


def _node(node: Model | DataTest, kind: str, file: PurePosixPath, sql: str) -> CompiledNode:
    return CompiledNode(node.name, kind, file, sql.strip() + "\n;\n")


def _published(model: Model) -> Relation:
    return model.relation
