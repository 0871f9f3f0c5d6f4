"""datapipe load"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datapipe.cli import console, options
from datapipe.cli.summary import summary


def load(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV files of prices. Default: the answers not loaded yet."),
    ] = None,
    source: options.Source = None,
    quiet: options.Quiet = False,
) -> None:
    """Load answers or CSV files into the typed tables."""
    from datapipe.cli.progress import shown  # late, for the sake of --help

    with shown(console.settings(), quiet=quiet) as pipeline:
        loaded = pipeline.load(files or (), source=source)
    error = loaded.error()
    if error or not quiet:
        console.tell(summary(loaded))
    if error:
        raise error
