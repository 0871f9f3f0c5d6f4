"""datapipe report"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from datapipe import symbols as tickers
from datapipe.cli import console, options


def report(
    name: Annotated[str, typer.Argument(help="A report of the SQL project.")] = "market",
    symbols: options.OnlySymbols = None,
    format: options.Format = "table",
    project_dir: options.ProjectDir = None,
    source: options.Source = None,
) -> None:
    """Show the market and each symbol."""
    from datapipe.pipeline import Pipeline

    settings = console.settings(project_dir)
    found = Pipeline(settings).report(name, tickers.split(symbols or ""), source=source)
    if format == "table":
        from datapipe.report import terminal

        terminal.show(found, terminal.console())
        return
    from datapipe.report import export

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale says
    if format == "json":
        export.json(found, sys.stdout)
        return
    export.csv(found, sys.stdout)
    if risky := export.formulas(found):
        console.tell(
            f"A spreadsheet would run {len(risky)} of the texts as formulas, such as {risky[0]!r}."
        )
