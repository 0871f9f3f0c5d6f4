"""What a project holds, and its SQL without a line of Jinja; nothing is built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.build import growth
from datapipe.transform.compile import Compiler
from datapipe.transform.database.relation import Relation
from datapipe.transform.graph.select import Node, Selection
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.opening import opened
from datapipe.transform.options import Options


@frozen
class CompiledNode:
    """The SQL of a model or a data test as psql runs it; ``file`` is where dbt would put it."""

    name: str
    resource_type: str
    file: PurePosixPath
    sql: str


def listed(
    connection: psycopg.Connection | None, options: Options
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The nodes that are selected, by their ids, and what to warn of."""
    found = opened(connection, options)
    nodes = sorted(found.selection.nodes, key=lambda node: node.unique_id)
    return tuple(nodes), found.warnings


def compiled(
    connection: psycopg.Connection, options: Options
) -> tuple[tuple[CompiledNode, ...], tuple[str, ...]]:
    """The SQL of what is selected, over what is published, and what to warn of."""
    found = opened(connection, options)
    read, models = found.manifest, list(found.manifest.models.values())
    growing = growth.starting(connection, models, full_refresh=options.full_refresh)
    compiler = Compiler(
        read,
        found.renderer,
        _published,
        increments=growing.keys(),
        options=options,
        own={"selected_resources": found.selection.resources},
    )
    with found.renderer.using(connection):
        nodes = tuple(_compiled(read, found.selection, compiler))
    return nodes, found.warnings


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
    """The path to which dbt would write the SQL of ``node``; a package's begins with its name."""
    own = node.package == read.project.name
    return PurePosixPath(node.file) if own else PurePosixPath(node.package, node.file)


def _node(node: Model | DataTest, kind: str, file: PurePosixPath, sql: str) -> CompiledNode:
    return CompiledNode(node.name, kind, file, sql.strip() + "\n;\n")


def _published(model: Model) -> Relation:
    return model.relation
