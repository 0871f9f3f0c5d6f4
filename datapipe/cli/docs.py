"""datapipe docs"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datapipe.cli import console, options


def docs(
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("docs.html"),
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    source: options.Source = None,
    variables: options.Variables = None,
    quiet: options.Quiet = False,
) -> None:
    """Write what there is to know of the models as one HTML file.

    Models, columns, tests with their last results, the graph, and where each column comes from.
    """
    from datapipe.pipeline import Pipeline  # late, for the sake of --help
    from datapipe.transform import Options

    pipeline = Pipeline(console.settings(project_dir, target_schema))
    html, warnings = pipeline.documented(
        Options(variables=console.variables(variables)), source=source
    )
    for warning in warnings:
        console.tell(warning)
    console.write(output, html)
    if not quiet:
        console.tell(f"Wrote {output}.")
