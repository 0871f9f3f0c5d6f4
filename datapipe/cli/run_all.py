"""datapipe run-all"""

from __future__ import annotations

from datapipe.cli import console, options


def run_all(
    symbols: options.Symbols = None,
    symbols_file: options.SymbolsFile = None,
    endpoints: options.Endpoints = None,
    source: options.ExtractSource = "alpha_vantage",
    outputsize: options.OutputSize = "compact",
    interval: options.Interval = "5min",
    month: options.Month = None,
    adjusted: options.Adjusted = None,
    extended_hours: options.ExtendedHours = None,
    state: options.State = None,
    horizon: options.Horizon = None,
    refresh: options.Refresh = False,
    project_dir: options.ProjectDir = None,
    target_schema: options.TargetSchema = None,
    variables: options.Variables = None,
    quiet: options.Quiet = False,
) -> None:
    """Extract, load, transform and test in one run."""
    from datapipe.cli.progress import shown  # late, for the sake of --help
    from datapipe.transform import Options

    ask = options.asked(
        symbols=symbols,
        symbols_file=symbols_file,
        endpoints=endpoints,
        source=source,
        outputsize=outputsize,
        interval=interval,
        month=month,
        refresh=refresh,
        adjusted=adjusted,
        extended_hours=extended_hours,
        state=state,
        horizon=horizon,
    )
    settings = console.settings(project_dir, target_schema)
    with shown(settings, quiet=quiet, steps=True) as pipeline:
        ran = pipeline.run_all(ask, Options(variables=console.variables(variables)))
    error = ran.extracted.error() or ran.loaded.error()
    if error:
        raise error
    if not quiet:
        kind = "Synthetic prices are" if ran.warehouse.synthetic else "Prices are"
        console.say(f"{kind} published in {ran.warehouse.name}. See them: datapipe report")
