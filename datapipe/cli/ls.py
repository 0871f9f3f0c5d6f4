"""datapipe ls"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from datapipe.cli import console, options
from datapipe.errors import UsageError

if TYPE_CHECKING:
    from datapipe.transform.graph.select import Node

# What dbt lists where no type is asked for.
_USUAL = ("model", "snapshot", "seed", "test", "source", "exposure", "metric", "saved_query",
          "semantic_model", "unit_test", "function")  # fmt: skip
_TYPES = (*_USUAL, "analysis", "all", "default")


def ls(
    select: options.Select = None,
    exclude: options.Exclude = None,
    selector: options.Selector = None,
    resource_type: Annotated[
        list[str] | None, typer.Option(help="Only these: model, test, seed, source ... or all.")
    ] = None,
    indirect_selection: options.IndirectSelection = None,
    output: Annotated[
        Literal["selector", "name", "path", "json"], typer.Option(help="How to write each.")
    ] = "selector",
    output_keys: Annotated[list[str] | None, typer.Option(help="Of json: only these keys.")] = None,
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    variables: options.Variables = None,
) -> None:
    """List what is in the SQL project.

    Models, seeds, snapshots, sources, tests and exposures, as dbt lists them.
    """
    from datapipe.pipeline import Pipeline  # late, for the sake of --help
    from datapipe.transform import Options

    wanted = _wanted(resource_type or ())
    asked = Options(
        select=options.selected(select, selector),
        exclude=exclude or (),
        indirect=indirect_selection,
        variables=console.variables(variables),
    )
    nodes, warnings = Pipeline(console.settings(project_dir, target_schema)).listed(asked)
    for warning in warnings:
        console.tell(warning)
    keys = [key for each in output_keys or () for key in each.split()]
    for node in nodes:
        if node.resource_type in wanted:
            console.say(_written(node, output, keys))


def _wanted(given: Sequence[str]) -> set[str]:
    wanted: set[str] = set()
    for name in (name for each in given for name in each.split()):
        if name not in _TYPES:
            raise UsageError(f"There is no resource type {name}: there are {', '.join(_TYPES)}.")
        wanted |= set({"all": _TYPES, "default": _USUAL}.get(name, (name,)))
    return wanted or set(_USUAL)


def _written(node: Node, output: str, keys: Sequence[str]) -> str:
    if output == "path":
        return node.file
    if output == "name":
        return node.search_name
    if output == "selector":
        return node.selector
    described: dict[str, Any] = {
        "name": node.name,
        "resource_type": node.resource_type,
        "package_name": node.package,
        "original_file_path": node.file,
        "unique_id": node.unique_id,
        "fqn": list(node.fqn),
        "tags": node.tags,
        "config": dict(node.config),
        "depends_on": {"nodes": list(node.depends_on)},
    }
    return json.dumps(
        {key: value for key, value in described.items() if not keys or key in keys}, default=str
    )
