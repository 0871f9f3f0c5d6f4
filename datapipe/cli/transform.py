"""datapipe transform"""

from __future__ import annotations

from datapipe.cli import console, options
from datapipe.cli.summary import summary


def transform(
    select: options.Select = None,
    exclude: options.Exclude = None,
    selector: options.Selector = None,
    indirect_selection: options.IndirectSelection = None,
    full_refresh: options.FullRefresh = False,
    store_failures: options.StoreFailures = False,
    event_time_start: options.EventTimeStart = None,
    event_time_end: options.EventTimeEnd = None,
    rebuild: options.Rebuild = False,
    resume: options.Resume = False,
    threads: options.Threads = 2,
    fail_fast: options.FailFast = False,
    publish: options.Publish = "all",
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    source: options.Source = None,
    variables: options.Variables = None,
    plan: options.PlanOnly = False,
    output: options.PlanOutput = "text",
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Build, test and publish the SQL models: all or none.

    Of those that are selected, where some are.
    """
    from datapipe.cli.progress import shown  # late, for the sake of --help
    from datapipe.transform import Options

    settings = console.settings(project_dir, target_schema)
    asked = Options(
        select=options.selected(select, selector),
        exclude=exclude or (),
        indirect=indirect_selection,
        variables=console.variables(variables),
        full_refresh=full_refresh,
        store_failures=store_failures,
        event_time_start=event_time_start,
        event_time_end=event_time_end,
        threads=threads,
        fail_fast=fail_fast,
        per_model=publish == "per-model",
        rebuild=rebuild,
        resume=resume,
    )
    if plan:
        from datapipe.cli.transform_plan import rendered
        from datapipe.pipeline import Pipeline

        planned = Pipeline(settings).plan_transform(asked, source=source)
        for warning in planned.warnings:
            console.tell(warning)
        console.say(rendered(planned, form=output))
        return
    with shown(settings, quiet=quiet, verbose=verbose) as pipeline:
        transformed = pipeline.transform(asked, source=source)
    if not quiet:
        console.tell(summary(transformed))
