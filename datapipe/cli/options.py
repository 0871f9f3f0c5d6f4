"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Symbols = Annotated[
    str | None,
    typer.Option(
        help="Ticker symbols, with commas: AAPL,MSFT. Default: those of DATAPIPE_SYMBOLS, then "
        "those that the warehouse knows.",
    ),
]
OnlySymbols = Annotated[str | None, typer.Option(help="Of these symbols only: AAPL,MSFT.")]
Endpoints = Annotated[
    str | None,
    typer.Option(help="What to ask for, with commas: daily, intraday, overview."),
]
ExtractSource = Annotated[
    str,
    typer.Option(
        metavar="alpha_vantage|sample|DIR",
        help="The API, synthetic prices that need no key, or a folder of recorded answers named "
        "FUNCTION__SYMBOL__anything.json or .csv.",
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        metavar="alpha_vantage|sample",
        help="The real warehouse or the one with sample prices. Default: the real one, unless only "
        "the sample holds anything.",
    ),
]
OutputSize = Annotated[
    Literal["compact", "full"],
    typer.Option(help="The last 100 bars, or all of them, which needs a premium key."),
]
Interval = Annotated[
    Literal["1min", "5min", "15min", "30min", "60min"], typer.Option(help="Of intraday bars.")
]
ProjectDir = Annotated[
    Path | None,
    typer.Option(
        help="The folder of your SQL project. Default: sql_models here, then the shipped one."
    ),
]
Variables = Annotated[
    str | None,
    typer.Option("--vars", help="Project variables as YAML: '{as_of: 2026-05-15}'."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing when all is well; for cron.")
]
