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
from datapipe.transform.graph.select import Node, Selection, select
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import DataTest, Model


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
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The nodes that are selected, and what to warn of."""
    _, renderer, selection = _selected(
        project_dir, None, variables, target_schema, include, exclude
    )
    return selection.nodes, (*renderer.warnings, *selection.warnings)


def compiled(
    connection: psycopg.Connection,
    project_dir: Path,
    *,
    variables: Mapping[str, Any],
    target_schema: str,
    include: Sequence[str],
    exclude: Sequence[str],
    full_refresh: bool,
) -> tuple[tuple[CompiledNode, ...], tuple[str, ...]]:
    """The SQL of what is selected, over what is published, and what to warn of."""
    read, renderer, selection = _selected(
        project_dir, connection, variables, target_schema, include, exclude
    )
    growing = incremental.starting(
        connection, list(read.models.values()), full_refresh=full_refresh
    )
    compiler = Compiler(
        read, renderer, _published, increments=growing.keys(), full_refresh=full_refresh
    )
    found = tuple(_compiled(read, selection, compiler))
    return found, (*renderer.warnings, *selection.warnings)


def _selected(
    project_dir: Path,
    connection: psycopg.Connection | None,
    variables: Mapping[str, Any],
    target_schema: str,
    include: Sequence[str],
    exclude: Sequence[str],
) -> tuple[Manifest, Renderer, Selection]:
    loaded = project.load(project_dir, variables)
    renderer = Renderer(loaded, described(connection, target_schema))
    read = manifest.read(loaded, renderer)
    return read, renderer, select(read, include, exclude)


def _compiled(read: Manifest, selection: Selection, compiler: Compiler) -> Iterator[CompiledNode]:
    for model in read.models.values():
        if model.name in selection.models and not model.is_seed:
            yield _node(model, "model", PurePosixPath(model.file), compiler.model(model).sql)
    for test in selection.tests:
        file = PurePosixPath(read.project.relative(test.path))
        if test.macro is not None:
            file = file / f"{test.name}.sql"
        yield _node(test, "test", file, compiler.test(test).sql)


def _node(node: Model | DataTest, kind: str, file: PurePosixPath, sql: str) -> CompiledNode:
    return CompiledNode(node.name, kind, file, sql.strip() + "\n;\n")


def _published(model: Model) -> Relation:
    return model.relation
