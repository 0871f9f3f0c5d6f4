"""Options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from datapipe import symbols as tickers
from datapipe.cli import console
from datapipe.errors import UsageError

if TYPE_CHECKING:
    from datapipe.asking import Ask

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
        "the sample holds anything and the project, if one is run, is datapipe's.",
    ),
]
OutputSize = Annotated[
    Literal["compact", "full"],
    typer.Option(help="The last 100 bars, or all of them, which needs a premium key."),
]
Interval = Annotated[
    Literal["1min", "5min", "15min", "30min", "60min"], typer.Option(help="Of intraday bars.")
]
Adjusted = Annotated[
    bool | None,
    typer.Option(
        "--adjusted/--as-traded",
        help="Of intraday bars: adjusted for splits and dividends, or as traded (the default).",
    ),
]
ExtendedHours = Annotated[
    bool | None,
    typer.Option(
        "--extended-hours/--regular-hours",
        help="Of intraday bars: from 4:00 to 20:00 (the default), or of the session alone.",
    ),
]
State = Annotated[
    Literal["active", "delisted"] | None,
    typer.Option(help="Of listing-status: which listings. Default: active."),
]
Horizon = Annotated[
    Literal["3month", "6month", "12month"] | None,
    typer.Option(help="Of earnings-calendar: how far ahead. Default: 3month."),
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


def asked(
    *,
    symbols: str | None,
    symbols_file: Path | None,
    endpoints: str | None,
    source: str,
    outputsize: str,
    interval: str,
    month: str | None,
    refresh: bool,
    adjusted: bool | None,
    extended_hours: bool | None,
    state: str | None,
    horizon: str | None,
) -> Ask:
    """What the options of ``extract`` and ``run-all`` ask for.

    UsageError where one is given that is of no endpoint asked for.
    """
    from datapipe.asking import Ask  # late, for the sake of --help

    chosen = console.items(endpoints)
    given = {
        "month": month,
        "adjusted": _flag(adjusted),
        "extended_hours": _flag(extended_hours),
        "state": state,
        "horizon": horizon,
    }
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if source == "alpha_vantage" and _OF[name] not in chosen:
            spelled = _SPELLED.get(f"{name} {options[name]}", f"--{name}")
            raise UsageError(
                f"{spelled} is of the endpoint {_OF[name]}, which is not asked for. "
                f"Add it: --endpoints {','.join((*chosen, _OF[name]))}"
            )
    if month is not None:
        _check_month(month)
    return Ask(
        source=source,
        symbols=tickers.split(symbols or ""),
        symbols_file=symbols_file,
        endpoints=chosen,
        options={"outputsize": outputsize, "interval": interval, **options},
        refresh=refresh,
    )


_OF = {
    "month": "intraday",
    "adjusted": "intraday",
    "extended_hours": "intraday",
    "state": "listing-status",
    "horizon": "earnings-calendar",
}
_SPELLED = {
    "adjusted true": "--adjusted",
    "adjusted false": "--as-traded",
    "extended_hours true": "--extended-hours",
    "extended_hours false": "--regular-hours",
}


def _flag(given: bool | None) -> str | None:
    return None if given is None else str(given).lower()


def _check_month(month: str) -> None:
    try:
        begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        if month != f"{begin:%Y-%m}":
            raise ValueError
    except ValueError:
        raise UsageError(f"{month!r} is not a month. Write it as 2026-05.") from None
    if not _FIRST_MONTH <= begin <= datetime.now(UTC):
        raise UsageError(
            f"There are no bars of {month}. Write a month from {_FIRST_MONTH:%Y-%m} until now."
        )


_FIRST_MONTH = datetime(2000, 1, 1, tzinfo=UTC)
