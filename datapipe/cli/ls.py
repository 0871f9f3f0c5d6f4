"""datapipe ls"""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from datapipe.cli import console, options


def ls(
    select: options.Select = None,
    exclude: options.Exclude = None,
    output: Annotated[
        Literal["selector", "name", "path", "json"], typer.Option(help="How to write each.")
    ] = "selector",
    project_dir: options.ProjectDir = None,
    variables: options.Variables = None,
) -> None:
    """List what is in the SQL project.

    Models, seeds, sources and tests, as dbt lists them.
    """
    from datapipe import transform  # late, for the sake of --help
    from datapipe.pipeline import Pipeline

    pipeline = Pipeline(console.settings(project_dir=project_dir))
    nodes, warnings = transform.listed_nodes(
        pipeline.project_dir(),
        variables=console.variables(variables),
        select=select or (),
        exclude=exclude or (),
    )
    for warning in warnings:
        console.tell(warning)
    for node in nodes:
        name = node.fqn[-1] if node.resource_type != "source" else ".".join(node.fqn[-2:])
        if output == "json":
            described = {
                "name": node.name,
                "resource_type": node.resource_type,
                "package_name": node.package,
                "original_file_path": node.file,
                "unique_id": node.unique_id,
                "tags": node.tags,
                "config": dict(node.config),
            }
            console.say(json.dumps(described, default=str))
        elif output == "path":
            console.say(node.file)
        elif output == "name":
            console.say(name)
        else:
            kind = "source:" if node.resource_type == "source" else ""
            parts = (node.fqn[0], *node.fqn[-2:]) if kind else node.fqn
            console.say(kind + ".".join(parts))
