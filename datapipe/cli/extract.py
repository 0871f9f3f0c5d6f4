"""datapipe extract"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from datapipe.cli import console, options
from datapipe.cli.summary import summary
from datapipe.errors import UsageError


def extract(
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
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be asked for and why; send nothing.")
    ] = False,
    format: Annotated[
        Literal["text", "json"], typer.Option(help="How to write the plan.")
    ] = "text",
    quiet: options.Quiet = False,
) -> None:
    """Ask the API, and keep each good answer word for word."""
    from datapipe.cli.extract_plan import rendered
    from datapipe.cli.progress import shown  # late, for the sake of --help

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
    if plan and source != "alpha_vantage":
        raise UsageError("--plan tells what the API would be asked for; no other source has one.")
    with shown(console.settings(), quiet=quiet) as pipeline:
        if plan:
            console.say(rendered(pipeline.plan(ask), form=format))
            return
        extracted = pipeline.extract(ask)
    error = extracted.error()
    if error or not quiet:
        console.tell(summary(extracted))
    if error:
        raise error
