"""datapipe extract"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from datapipe.asking import ALPHA_VANTAGE, Ask
from datapipe.cli import console, options
from datapipe.cli.asking import asking
from datapipe.cli.summary import summary
from datapipe.errors import UsageError


@asking
def extract(
    ask: Ask,
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

    if plan and ask.source != ALPHA_VANTAGE:
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
