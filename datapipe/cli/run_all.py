"""datapipe run-all"""

from __future__ import annotations

from datapipe.asking import Ask
from datapipe.cli import console, options
from datapipe.cli.asking import asking


@asking
def run_all(
    ask: Ask,
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    variables: options.Variables = None,
    quiet: options.Quiet = False,
) -> None:
    """Extract, load, transform and test in one run."""
    from datapipe.cli.progress import shown  # late, for the sake of --help
    from datapipe.transform import Options

    settings = console.settings(project_dir, target_schema)
    with shown(settings, quiet=quiet, steps=True) as pipeline:
        ran = pipeline.run_all(ask, Options(variables=console.variables(variables)))
    error = ran.extracted.error() or ran.loaded.error()
    if error:
        raise error
    if not quiet:
        kind = "Synthetic prices are" if ran.warehouse.synthetic else "Prices are"
        console.say(f"{kind} published in {ran.warehouse.name}. See them: datapipe report")
