"""datapipe report"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from datapipe.cli import console, options


class Format(StrEnum):
    """How a report is written."""

    table = "table"
    csv = "csv"
    json = "json"


def report(
    name: Annotated[str, typer.Argument(help="A report of the SQL project.")] = "market",
    symbols: options.Symbols = None,
    format: Annotated[Format, typer.Option(help="How to write it.")] = Format.table,  # noqa: A002
    project_dir: options.ProjectDir = None,
    source: options.Source = None,
) -> None:
    """Show the market and each symbol: close, change, averages, range."""
    from datapipe.pipeline import Pipeline

    settings = console.settings(symbols, project_dir)
    found = Pipeline(settings).report(name, settings.symbols, source=source)
    if format is Format.table:
        from datapipe.report import terminal

        terminal.show(found, terminal.console())
        return
    from datapipe.report import export

    write = export.csv if format is Format.csv else export.json
    write(found, sys.stdout)
