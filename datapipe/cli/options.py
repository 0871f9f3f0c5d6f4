"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from datapipe import symbols as tickers
from datapipe.cli import console

if TYPE_CHECKING:
    from datapipe.pipeline import Ask

Symbols = Annotated[
    str | None,
    typer.Option(
        help="Ticker symbols, with commas: AAPL,MSFT. Default: those of DATAPIPE_SYMBOLS, then "
        "those that the warehouse knows.",
    ),
]
OnlySymbols = Annotated[str | None, typer.Option(help="Of these symbols only: AAPL,MSFT.")]
SymbolsFile = Annotated[
    Path | None,
    typer.Option(help="A file of symbols: one a line or with commas, # for comments."),
]
Endpoints = Annotated[
    str | None,
    typer.Option(
        help="What to ask for, with commas: daily, overview, intraday, dividends, earnings ... "
        "Default: daily,overview.",
    ),
]
Month = Annotated[
    str | None, typer.Option(metavar="YYYY-MM", help="Of intraday bars: a month of the past.")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask the API also where nothing new can be.")
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
Select = Annotated[
    list[str] | None,
    typer.Option("--select", "-s", help="Only these, as dbt selects: 'tag:nightly +fact_prices'."),
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="Not these, as dbt selects.")]
FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Compute incremental models from the start.")
]
Variables = Annotated[
    str | None,
    typer.Option("--vars", help="Project variables as YAML: '{as_of: 2026-05-15}'."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing when all is well; for cron.")
]


def asked(
    symbols: str | None,
    symbols_file: Path | None,
    endpoints: str | None,
    source: str,
    outputsize: str,
    interval: str,
    month: str | None,
    refresh: bool,
) -> Ask:
    """What the options of ``extract`` and ``run-all`` ask for."""
    from datapipe.pipeline import Ask  # late, for the sake of --help

    return Ask(
        source=source,
        symbols=tickers.split(symbols or ""),
        symbols_file=symbols_file,
        endpoints=console.items(endpoints),
        options={"outputsize": outputsize, "interval": interval, "month": month or ""},
        refresh=refresh,
    )
