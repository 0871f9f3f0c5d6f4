"""Options that several commands share."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

OnlySymbols = Annotated[str | None, typer.Option(help="Of these symbols only: AAPL,MSFT.")]
Source = Annotated[
    str | None,
    typer.Option(
        metavar="alpha_vantage|sample",
        help="The real warehouse or the one with sample prices. Default: the real one, unless only "
        "the sample holds anything and the project, if one is run, is datapipe's.",
    ),
]
Format = Annotated[Literal["table", "csv", "json"], typer.Option(help="How to write it.")]
ProjectDir = Annotated[
    Path | None,
    typer.Option(
        help="The folder of your SQL project. Default: sql_models here, then the shipped one."
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option("--select", "-s", help="Only these, as dbt selects: tag:nightly +fact_prices."),
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="Not these, as dbt selects.")]
FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Compute incremental models from the start.")
]
StoreFailures = Annotated[
    bool,
    typer.Option(
        "--store-failures",
        help="Keep the rows that tests find, unless their settings say otherwise.",
    ),
]
EventTimeStart = Annotated[
    datetime | None,
    typer.Option(help="Of microbatch models: build the batches from here on, in UTC."),
]
EventTimeEnd = Annotated[
    datetime | None,
    typer.Option(help="Of microbatch models: build the batches before this, in UTC."),
]
Threads = Annotated[
    int, typer.Option("--threads", min=1, help="How many models to build at the same time.")
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", "-x", help="Stop at the first model or test that fails.")
]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Build and test also what did not change.")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where the last run failed, with what that was asked for."),
]
Publish = Annotated[
    Literal["all", "per-model"],
    typer.Option(
        help="When readers see it: the whole run at its end or not at all, or each model when it "
        "is built, as in dbt."
    ),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Say what would be built and why; do nothing.")
]
PlanOutput = Annotated[
    Literal["text", "json"], typer.Option("--output", help="How --plan is written.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="A line for each model and test as it ends.")
]
TargetSchema = Annotated[
    str | None,
    typer.Option(
        "--target-schema",
        help="What models see as target.schema. Default: DATAPIPE_TARGET_SCHEMA, then public.",
    ),
]
Selector = Annotated[
    str | None, typer.Option("--selector", help="What selectors.yml of the project names so.")
]
IndirectSelection = Annotated[
    Literal["eager", "cautious", "buildable", "empty"] | None,
    typer.Option(
        help="Which tests come with what is selected, as in dbt. Default: what flags: of the "
        "project say, or eager."
    ),
]
Variables = Annotated[
    str | None,
    typer.Option("--vars", help="Project variables as YAML: '{as_of: 2026-05-15}'."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing when all is well; for cron.")
]


def selected(select: list[str] | None, selector: str | None) -> tuple[str, ...]:
    """What ``--select`` and ``--selector`` say together."""
    return (*(select or ()), *([f"selector:{selector}"] if selector else ()))
