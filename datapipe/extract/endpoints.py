"""What can be asked for: one entry an endpoint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Literal

from datapipe.errors import UsageError
from datapipe.frozen import frozen
from datapipe.symbols import NO_SYMBOL

# How often there can be something new: with every session of the symbol's exchange, or once in a
# day, week, month or quarter of the calendar; once means that nobody waits for anything new.
Cadence = Literal["session", "day", "week", "month", "quarter", "once"]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_COMPACT: Mapping[str, str] = MappingProxyType({"outputsize": "compact"})
_INTRADAY: Mapping[str, str] = MappingProxyType(
    {
        "interval": "5min",
        "outputsize": "compact",
        "month": "",
        "extended_hours": "true",
        # What was traded; adjusted bars would be restated by every later split.
        "adjusted": "false",
    }
)
_STATE: Mapping[str, str] = MappingProxyType({"state": "active"})
_HORIZON: Mapping[str, str] = MappingProxyType({"horizon": "3month"})

_SYMBOL = ("symbol",)
_FROM_TO = ("from_symbol", "to_symbol")
_COIN = ("symbol", "market")
_PAIR = re.compile(r"([A-Z0-9]+)[-/]([A-Z]{3,4})")  # EUR-USD, BTC-EUR


@frozen
class Endpoint:
    """One function of the API, by the name that ``--endpoints`` knows it by."""

    name: str
    function: str
    # The tables of schema ``raw`` that its answers are loaded into; ``datapipe.load.parse`` reads
    # them.
    targets: tuple[str, ...]
    cadence: Cadence
    # The parameters that a caller may choose, with their defaults; an empty one is not sent.
    options: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    # The parameters that carry the symbol: one, two for the parts of a pair, or none.
    symbol_as: tuple[str, ...] = _SYMBOL
    # One request asks for all symbols.
    whole_market: bool = False
    # What was true in 2026: the answer decides, not this list.
    premium: bool = False

    @property
    def of_pairs(self) -> bool:
        """Whether its symbols are pairs such as EUR-USD."""
        return len(self.symbol_as) == 2


# fmt: off
CATALOGUE = (
    Endpoint("daily", "TIME_SERIES_DAILY", ("daily_prices",), "session", _COMPACT),
    Endpoint("daily-adjusted", "TIME_SERIES_DAILY_ADJUSTED",
             ("daily_prices", "daily_adjusted_prices"), "session", _COMPACT, premium=True),
    Endpoint("weekly", "TIME_SERIES_WEEKLY", ("weekly_prices",), "week"),
    Endpoint("weekly-adjusted", "TIME_SERIES_WEEKLY_ADJUSTED",
             ("weekly_prices", "weekly_adjusted_prices"), "week"),
    Endpoint("monthly", "TIME_SERIES_MONTHLY", ("monthly_prices",), "month"),
    Endpoint("monthly-adjusted", "TIME_SERIES_MONTHLY_ADJUSTED",
             ("monthly_prices", "monthly_adjusted_prices"), "month"),
    Endpoint("intraday", "TIME_SERIES_INTRADAY", ("intraday_prices",), "session", _INTRADAY,
             premium=True),
    Endpoint("quote", "GLOBAL_QUOTE", ("global_quotes",), "session"),
    Endpoint("overview", "OVERVIEW", ("company_overview",), "week"),
    Endpoint("dividends", "DIVIDENDS", ("dividends",), "week"),
    Endpoint("splits", "SPLITS", ("splits",), "week"),
    Endpoint("shares-outstanding", "SHARES_OUTSTANDING", ("shares_outstanding",), "quarter"),
    Endpoint("earnings", "EARNINGS", ("earnings",), "quarter"),
    Endpoint("income-statement", "INCOME_STATEMENT", ("income_statements",), "quarter"),
    Endpoint("balance-sheet", "BALANCE_SHEET", ("balance_sheets",), "quarter"),
    Endpoint("cash-flow", "CASH_FLOW", ("cash_flows",), "quarter"),
    Endpoint("etf-profile", "ETF_PROFILE", ("etf_profiles", "etf_holdings", "etf_sectors"),
             "month"),
    Endpoint("listing-status", "LISTING_STATUS", ("listings",), "day", _STATE, (),
             whole_market=True),
    Endpoint("earnings-calendar", "EARNINGS_CALENDAR", ("earnings_calendar",), "day", _HORIZON,
             whole_market=True),
    Endpoint("market-status", "MARKET_STATUS", ("market_status",), "day", _NOTHING, (),
             whole_market=True),
    Endpoint("symbol-search", "SYMBOL_SEARCH", ("symbol_matches",), "once", _NOTHING,
             ("keywords",)),
    Endpoint("fx-daily", "FX_DAILY", ("fx_daily_prices",), "day", _COMPACT,
             _FROM_TO),
    Endpoint("fx-weekly", "FX_WEEKLY", ("fx_weekly_prices",), "week", _NOTHING, _FROM_TO),
    Endpoint("fx-monthly", "FX_MONTHLY", ("fx_monthly_prices",), "month", _NOTHING, _FROM_TO),
    Endpoint("crypto-daily", "DIGITAL_CURRENCY_DAILY", ("crypto_daily_prices",), "day", _NOTHING,
             _COIN),
    Endpoint("crypto-weekly", "DIGITAL_CURRENCY_WEEKLY", ("crypto_weekly_prices",), "week",
             _NOTHING, _COIN),
    Endpoint("crypto-monthly", "DIGITAL_CURRENCY_MONTHLY", ("crypto_monthly_prices",), "month",
             _NOTHING, _COIN),
    Endpoint("exchange-rate", "CURRENCY_EXCHANGE_RATE", ("exchange_rates",), "day", _NOTHING,
             ("from_currency", "to_currency")),
    Endpoint("ipo-calendar", "IPO_CALENDAR", ("ipo_calendar",), "day", _NOTHING, (),
             whole_market=True),
    Endpoint("top-movers", "TOP_GAINERS_LOSERS", ("top_movers",), "session", _NOTHING, (),
             whole_market=True),
    Endpoint("treasury-yield", "TREASURY_YIELD", ("economic_values",), "month", _NOTHING, (),
             whole_market=True),
)
# fmt: on

BY_FUNCTION: Mapping[str, Endpoint] = MappingProxyType(
    {endpoint.function: endpoint for endpoint in CATALOGUE}
)


@frozen
class Request:
    """One question to a source; the symbol is ``-`` where it has none. It never holds the key."""

    function: str
    symbol: str
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return self.params.get("file", f"{self.function} {self.symbol}")

    @property
    def query(self) -> Mapping[str, str]:
        """Every parameter of the request but the key."""
        known = BY_FUNCTION.get(self.function)
        names = known.symbol_as if known else _SYMBOL
        parts: tuple[str, ...] = (self.symbol,)
        if self.symbol == NO_SYMBOL:
            names = ()
        elif len(names) == 2:
            parts = _parts(self.symbol)
        spelled = zip(names, parts, strict=False)
        return {"function": self.function, **dict(spelled), **self.params}


def named(names: Iterable[str]) -> tuple[Endpoint, ...]:
    """The endpoints of these names, each once; UsageError for a name that is none."""
    known = {endpoint.name: endpoint for endpoint in CATALOGUE}
    chosen: dict[str, Endpoint] = {}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
            raise UsageError(f"There is no endpoint {name!r}. {cure}")
        chosen[name] = known[name]
    return tuple(chosen.values())


# What is asked for when nobody says what: of the API what is free, and what the sample can make.
DEFAULT = named(["daily", "overview"])
SAMPLE = named(["daily", "intraday", "overview"])


def requests(
    endpoints: Iterable[Endpoint], symbols: Iterable[str], options: Mapping[str, str]
) -> tuple[Request, ...]:
    """A request for each endpoint and symbol, an endpoint at a time.

    An entry of ``options`` goes to the endpoints that know it. An endpoint of pairs is asked for
    the symbols that are pairs; UsageError where none is.
    """
    symbols = tuple(symbols)
    return tuple(
        Request(endpoint.function, symbol, params)
        for endpoint in endpoints
        for params in [_chosen(endpoint, options)]
        for symbol in _symbols(endpoint, symbols)
    )


def _chosen(endpoint: Endpoint, options: Mapping[str, str]) -> dict[str, str]:
    chosen = {name: options.get(name, default) for name, default in endpoint.options.items()}
    return {name: value for name, value in chosen.items() if value}


def _symbols(endpoint: Endpoint, symbols: tuple[str, ...]) -> tuple[str, ...]:
    if endpoint.whole_market:
        return (NO_SYMBOL,)
    if not endpoint.of_pairs:
        return symbols
    pairs = tuple(symbol for symbol in symbols if _PAIR.fullmatch(symbol))
    if symbols and not pairs:
        raise UsageError(
            f"{endpoint.name} is of pairs, and none of {', '.join(symbols[:5])} is one. "
            "Write a pair as EUR-USD or BTC-EUR."
        )
    return pairs


def _parts(pair: str) -> tuple[str, ...]:
    found = _PAIR.fullmatch(pair)
    if found is None:
        raise UsageError(f"{pair!r} is not a pair. Write it as EUR-USD or BTC-EUR.")
    return found.groups()
