"""datapipe run-all"""

from __future__ import annotations

from datapipe import symbols as tickers
from datapipe.cli import console, options


def run_all(
    symbols: options.Symbols = None,
    endpoints: options.Endpoints = None,
    source: options.ExtractSource = "alpha_vantage",
    outputsize: options.OutputSize = "compact",
    interval: options.Interval = "5min",
    project_dir: options.ProjectDir = None,
    variables: options.Variables = None,
    quiet: options.Quiet = False,
) -> None:
    """Extract, load, transform and test in one run."""
    from datapipe.cli.progress import shown  # late, for the sake of --help

    settings = console.settings(project_dir)
    with shown(settings, quiet=quiet, steps=True) as pipeline:
        ran = pipeline.run_all(
            tickers.split(symbols or ""),
            console.items(endpoints),
            source=source,
            options={"outputsize": outputsize, "interval": interval},
            variables=console.variables(variables),
        )
    error = ran.extracted.error() or ran.loaded.error()
    if error:
        raise error
    if not quiet:
        kind = "Synthetic prices are" if ran.warehouse.synthetic else "Prices are"
        console.say(f"{kind} published in {ran.warehouse.name}. See them: datapipe report")
