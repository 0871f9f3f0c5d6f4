"""datapipe export-responses"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datapipe import symbols as tickers
from datapipe.cli import console, options


def export_responses(
    directory: Annotated[Path, typer.Argument(help="The folder to write to.")],
    symbols: options.OnlySymbols = None,
    source: options.Source = None,
) -> None:
    """Write the stored answers to files.

    --source DIR reads them. Nothing that exists is overwritten.
    """
    from datapipe.extract import export
    from datapipe.pipeline import Pipeline

    warehouse = Pipeline(console.settings()).warehouse(source)
    warehouse.upgrade()
    with warehouse.connect(autocommit=True) as connection:
        exported = export.run(connection, directory, symbols=tickers.split(symbols or ""))
    console.say(f"Wrote {exported.written} answers to {directory.absolute()}.")
    if exported.kept:
        console.tell(f"{exported.kept} were there and are as they were.")
