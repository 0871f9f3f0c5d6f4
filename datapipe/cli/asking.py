"""The options of the commands that ask a source: ``extract`` and ``run-all``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from datapipe import symbols as tickers
from datapipe.asking import ALPHA_VANTAGE, Ask
from datapipe.cli import console
from datapipe.errors import UsageError

_FIRST_MONTH = datetime(2000, 1, 1, tzinfo=UTC)
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


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Let ``command`` take these options, and call it with the Ask that they come to."""
    options = _parameters(asked)
    own = _parameters(command)[1:]

    @wraps(command)
    def called(**given: Any) -> None:
        ask = asked(**{each.name: given.pop(each.name) for each in options})
        command(ask, **given)

    # Typer reads these.
    called.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in (*options, *own)}
    return called


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())


def asked(
    symbols: Annotated[
        str | None,
        typer.Option(
            help="Ticker symbols, with commas: AAPL,MSFT. Default: those of DATAPIPE_SYMBOLS, then "
            "those that the warehouse knows.",
        ),
    ] = None,
    symbols_file: Annotated[
        Path | None,
        typer.Option(help="A file of symbols: one a line or with commas, # for comments."),
    ] = None,
    endpoints: Annotated[
        str | None,
        typer.Option(
            help="What to ask for, with commas: daily, overview, intraday, dividends, earnings ... "
            "Default: daily,overview.",
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            metavar="alpha_vantage|sample|DIR",
            help="The API, synthetic prices that need no key, or a folder of recorded answers "
            "named FUNCTION__SYMBOL__anything.json or .csv.",
        ),
    ] = ALPHA_VANTAGE,
    outputsize: Annotated[
        Literal["compact", "full"],
        typer.Option(help="The last 100 bars, or all of them, which needs a premium key."),
    ] = "compact",
    interval: Annotated[
        Literal["1min", "5min", "15min", "30min", "60min"], typer.Option(help="Of intraday bars.")
    ] = "5min",
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Of intraday bars: a month of the past.")
    ] = None,
    adjusted: Annotated[
        bool | None,
        typer.Option(
            "--adjusted/--as-traded",
            help="Of intraday bars: adjusted for splits and dividends, or as traded (the default).",
        ),
    ] = None,
    extended_hours: Annotated[
        bool | None,
        typer.Option(
            "--extended-hours/--regular-hours",
            help="Of intraday bars: from 4:00 to 20:00 (the default), or of the session alone.",
        ),
    ] = None,
    state: Annotated[
        Literal["active", "delisted"] | None,
        typer.Option(help="Of listing-status: which listings. Default: active."),
    ] = None,
    horizon: Annotated[
        Literal["3month", "6month", "12month"] | None,
        typer.Option(help="Of earnings-calendar: how far ahead. Default: 3month."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the API also where nothing new can be.")
    ] = False,
) -> Ask:
    """What the options ask for; UsageError where one is of no endpoint that is asked for."""
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
        if source == ALPHA_VANTAGE and _OF[name] not in chosen:
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
