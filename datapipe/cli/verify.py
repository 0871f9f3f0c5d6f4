"""datapipe verify"""

from __future__ import annotations

from datapipe.cli import console, options


def verify(
    select: options.Select = None,
    exclude: options.Exclude = None,
    selector: options.Selector = None,
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    source: options.Source = None,
    variables: options.Variables = None,
    quiet: options.Quiet = False,
) -> None:
    """Build incremental models both ways, and compare row for row.

    In full, and by increments onto what is published. Nothing is published, and nothing left.
    """
    from datapipe.pipeline import Pipeline  # late, for the sake of --help
    from datapipe.transform import Options

    pipeline = Pipeline(console.settings(project_dir, target_schema))
    asked = Options(
        select=options.selected(select, selector),
        exclude=exclude or (),
        variables=console.variables(variables),
    )
    results, warnings = pipeline.verify(asked, source=source)
    for warning in warnings:
        console.tell(warning)
    if quiet:
        return
    from datapipe.transform.verification import told

    for each in results:
        console.say(told(each).strip())
    if not results:
        console.tell("There is no incremental model among those that are selected.")
