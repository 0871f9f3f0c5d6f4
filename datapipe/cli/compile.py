"""datapipe compile"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datapipe.cli import console, options


def compile(  # noqa: A001 - dbt's word
    select: options.Select = None,
    exclude: options.Exclude = None,
    selector: options.Selector = None,
    indirect_selection: options.IndirectSelection = None,
    output: Annotated[
        Path | None, typer.Option(help="A folder to write a file each to. Default: stdout.")
    ] = None,
    full_refresh: options.FullRefresh = False,
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    source: options.Source = None,
    variables: options.Variables = None,
) -> None:
    """Write the SQL of models and tests as psql runs it.

    What it reads is what is published.
    """
    from datapipe.pipeline import Pipeline  # late, for the sake of --help
    from datapipe.transform import Options

    pipeline = Pipeline(console.settings(project_dir, target_schema))
    asked = Options(
        select=options.selected(select, selector),
        exclude=exclude or (),
        indirect=indirect_selection,
        variables=console.variables(variables),
        full_refresh=full_refresh,
    )
    nodes, warnings = pipeline.compiled(asked, source=source)
    for warning in warnings:
        console.tell(warning)
    for node in nodes:
        if output is None:
            console.say(f"-- {node.resource_type} {node.name} ({node.file})\n{node.sql}")
        else:
            console.write(output / node.file, node.sql)
    if output is not None:
        console.tell(f"Wrote {len(nodes)} files to {output}.")
