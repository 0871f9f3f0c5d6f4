"""datapipe load"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datapipe.cli import console, options
from datapipe.cli.summary import summary
from datapipe.errors import UsageError


def load(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV files of prices. Default: the answers not loaded yet."),
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Make the typed tables anew from all stored answers."),
    ] = False,
    source: options.Source = None,
    quiet: options.Quiet = False,
) -> None:
    """Load answers or CSV files into the typed tables."""
    from datapipe.cli.progress import shown  # late, for the sake of --help

    if rebuild and files:
        raise UsageError("--rebuild takes no files: it makes the tables from what is stored.")
    with shown(console.settings(), quiet=quiet) as pipeline:
        if rebuild:
            loaded = pipeline.rebuild(source=source)
        else:
            loaded = pipeline.load(files or (), source=source)
    error = loaded.error()
    if error or not quiet:
        console.tell(summary(loaded))
    if error:
        raise error
