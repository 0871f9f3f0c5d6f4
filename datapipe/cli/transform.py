"""datapipe transform"""

from __future__ import annotations

from datapipe.cli import console, options
from datapipe.cli.summary import summary


def transform(
    select: options.Select = None,
    exclude: options.Exclude = None,
    full_refresh: options.FullRefresh = False,
    project_dir: options.ProjectDir = None,
    source: options.Source = None,
    variables: options.Variables = None,
    quiet: options.Quiet = False,
) -> None:
    """Build, test and publish the SQL models: all or none.

    Of those that are selected, where some are.
    """
    from datapipe.cli.progress import shown  # late, for the sake of --help

    settings = console.settings(project_dir=project_dir)
    with shown(settings, quiet=quiet) as pipeline:
        transformed = pipeline.transform(
            source=source,
            variables=console.variables(variables),
            select=select or (),
            exclude=exclude or (),
            full_refresh=full_refresh,
        )
    if not quiet:
        console.tell(summary(transformed))
