"""The typed tables of schema ``raw``: what tells rows apart, and what can be restated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import LiteralString

from datapipe.load.fields import (
    BALANCE_SHEET,
    CASH_FLOW,
    INCOME_STATEMENT,
    OVERVIEW_DATES,
    OVERVIEW_NUMBERS,
    OVERVIEW_TEXTS,
)

# What every version of every row carries beside its values.
VERSION_COLUMNS = ("known_from", "source", "response_id")


@dataclass(frozen=True, eq=False)
class Table:
    """A table with versions of rows."""

    name: str
    # What tells its rows apart, and the columns whose change is a new version.
    key: tuple[str, ...]
    values: tuple[str, ...]
    # The part of the key that runs with time; None if a symbol has one row.
    date_column: str | None = None
    # The columns that are texts and dates; all others are numbers.
    texts: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()
    # The API's names of columns, where they are not the columns' own.
    called: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    # SQL expressions over a ``{row}``: an answer tells of all rows for which these are what they
    # are for one of its rows. What a newer answer leaves out there is retired, if it is retirable.
    scope: tuple[LiteralString, ...] = ()
    retirable: LiteralString = "true"
    # One answer may tell of any symbol.
    whole_market: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a parsed row, in its order."""
        return self.key + self.values

    @property
    def is_plain(self) -> bool:
        """Whether its rows are a symbol, a day and numbers, and stay until they are restated."""
        by_day = self.date_column is not None and self.key == ("symbol", self.date_column)
        return by_day and self.dates <= {self.date_column} and not self.texts and not self.scope


BAR = ("open", "high", "low", "close", "volume")
_DAILY = ("symbol", "session_date")
# The newest row of a week or month is dated by its last session so far, so that the unfinished
# period's row is left behind when the finished one has come.
_WEEK = ("{row}.symbol", "date_trunc('week', {row}.session_date)")
_MONTH = ("{row}.symbol", "date_trunc('month', {row}.session_date)")

DAILY_PRICES = Table("daily_prices", _DAILY, BAR, "session_date")
WEEKLY_PRICES = Table("weekly_prices", _DAILY, BAR, "session_date", scope=_WEEK)
MONTHLY_PRICES = Table("monthly_prices", _DAILY, BAR, "session_date", scope=_MONTH)

# What the adjusted functions tell beside the prices as traded, which are those of the others.
_ADJUSTED = ("adjusted_close", "dividend_amount")
DAILY_ADJUSTED_PRICES = Table(
    "daily_adjusted_prices", _DAILY, (*_ADJUSTED, "split_coefficient"), "session_date"
)
WEEKLY_ADJUSTED_PRICES = Table(
    "weekly_adjusted_prices", _DAILY, _ADJUSTED, "session_date", scope=_WEEK
)
MONTHLY_ADJUSTED_PRICES = Table(
    "monthly_adjusted_prices", _DAILY, _ADJUSTED, "session_date", scope=_MONTH
)

_INTRADAY = ("symbol", "bar_interval", "bar_at")
INTRADAY_PRICES = Table("intraday_prices", _INTRADAY, (*BAR, "bar_label"), "bar_at")
INTRADAY_ADJUSTED_PRICES = Table(
    "intraday_adjusted_prices", _INTRADAY, (*BAR, "bar_label"), "bar_at"
)

_RATE = BAR[:4]
_BY_DAY = ("symbol", "price_date")
_WEEK_OF_DAYS = ("{row}.symbol", "date_trunc('week', {row}.price_date)")
_MONTH_OF_DAYS = ("{row}.symbol", "date_trunc('month', {row}.price_date)")
FX_DAILY_PRICES = Table("fx_daily_prices", _BY_DAY, _RATE, "price_date")
FX_WEEKLY_PRICES = Table("fx_weekly_prices", _BY_DAY, _RATE, "price_date", scope=_WEEK_OF_DAYS)
FX_MONTHLY_PRICES = Table("fx_monthly_prices", _BY_DAY, _RATE, "price_date", scope=_MONTH_OF_DAYS)
FX_INTRADAY_PRICES = Table("fx_intraday_prices", _INTRADAY, _RATE, "bar_at")
CRYPTO_DAILY_PRICES = Table("crypto_daily_prices", _BY_DAY, BAR, "price_date")
CRYPTO_WEEKLY_PRICES = Table(
    "crypto_weekly_prices", _BY_DAY, BAR, "price_date", scope=_WEEK_OF_DAYS
)
CRYPTO_MONTHLY_PRICES = Table(
    "crypto_monthly_prices", _BY_DAY, BAR, "price_date", scope=_MONTH_OF_DAYS
)
CRYPTO_INTRADAY_PRICES = Table("crypto_intraday_prices", _INTRADAY, BAR, "bar_at")
EXCHANGE_RATES = Table(
    "exchange_rates",
    ("symbol", "refreshed_at"),
    ("exchange_rate", "bid_price", "ask_price"),
    "refreshed_at",
    whole_market=True,
)

GLOBAL_QUOTES = Table(
    "global_quotes",
    _DAILY,
    ("open", "high", "low", "price", "volume", "previous_close", "change", "change_percent"),
    "session_date",
    dates=frozenset({"session_date"}),
    called={"session_date": ("latest trading day", "latestDay")},
)

DIVIDENDS = Table(
    "dividends",
    ("symbol", "ex_dividend_date", "position"),
    ("declaration_date", "record_date", "payment_date", "amount"),
    "ex_dividend_date",
    dates=frozenset({"ex_dividend_date", "declaration_date", "record_date", "payment_date"}),
    scope=("{row}.symbol", "date_trunc('year', {row}.ex_dividend_date)"),
)
SPLITS = Table(
    "splits",
    ("symbol", "effective_date"),
    ("split_factor",),
    "effective_date",
    dates=frozenset({"effective_date"}),
    scope=("{row}.symbol", "date_trunc('year', {row}.effective_date)"),
)
SHARES_OUTSTANDING = Table(
    "shares_outstanding",
    ("symbol", "quarter_end_date"),
    ("shares_outstanding_diluted", "shares_outstanding_basic"),
    "quarter_end_date",
    dates=frozenset({"quarter_end_date"}),
    called={"quarter_end_date": ("date",)},
)

# A period is annual or quarterly; of EARNINGS also part_year: the fiscal year that has not ended.
_REPORT = ("symbol", "period", "fiscal_date_ending")
EARNINGS = Table(
    "earnings",
    _REPORT,
    (
        "reported_date",
        "reported_eps",
        "estimated_eps",
        "surprise",
        "surprise_percentage",
        "report_time",
    ),
    "fiscal_date_ending",
    texts=frozenset({"report_time"}),
    dates=frozenset({"fiscal_date_ending", "reported_date"}),
    scope=("{row}.symbol",),
    retirable="{row}.period = 'part_year'",
)


def _statement(name: str, numbers: tuple[str, ...], **called: tuple[str, ...]) -> Table:
    return Table(
        name,
        _REPORT,
        ("reported_currency", *numbers, "other_fields"),
        "fiscal_date_ending",
        texts=frozenset({"reported_currency"}),
        dates=frozenset({"fiscal_date_ending"}),
        called=called,
    )


INCOME_STATEMENTS = _statement(
    "income_statements",
    INCOME_STATEMENT,
)
BALANCE_SHEETS = _statement(
    "balance_sheets",
    BALANCE_SHEET,
)
CASH_FLOWS = _statement(
    "cash_flows",
    CASH_FLOW,
    # A name of PostgreSQL's has at most 63 letters.
    proceeds_from_issuance_of_long_term_debt_and_capital_securities=(
        "proceedsFromIssuanceOfLongTermDebtAndCapitalSecuritiesNet",
    ),
)

ETF_PROFILES = Table(
    "etf_profiles",
    ("symbol",),
    (
        "net_assets",
        "net_expense_ratio",
        "portfolio_turnover",
        "dividend_yield",
        "inception_date",
        "leveraged",
    ),
    texts=frozenset({"leveraged"}),
    dates=frozenset({"inception_date"}),
)
# Several holdings may have no symbol of their own, so that only their position tells them apart.
ETF_HOLDINGS = Table(
    "etf_holdings",
    ("symbol", "position"),
    ("holding_symbol", "description", "weight"),
    texts=frozenset({"description"}),
    scope=("{row}.symbol",),
)
ETF_SECTORS = Table(
    "etf_sectors",
    ("symbol", "sector"),
    ("weight",),
    texts=frozenset({"sector"}),
    scope=("{row}.symbol",),
)

# A ticker may be given to another company later: only together with the day of its listing, and
# with its status, does it stand for one company. The list of the delisted is never complete.
LISTINGS = Table(
    "listings",
    ("symbol", "ipo_date", "status"),
    ("name", "exchange", "asset_type", "delisting_date"),
    texts=frozenset({"status", "name", "exchange", "asset_type"}),
    dates=frozenset({"ipo_date", "delisting_date"}),
    scope=("{row}.status",),
    retirable="{row}.status = 'Active'",
    whole_market=True,
)
EARNINGS_CALENDAR = Table(
    "earnings_calendar",
    ("symbol", "fiscal_date_ending"),
    ("report_date", "name", "estimate", "currency", "time_of_the_day"),
    "fiscal_date_ending",
    texts=frozenset({"name", "currency", "time_of_the_day"}),
    dates=frozenset({"fiscal_date_ending", "report_date"}),
    whole_market=True,
)
IPO_CALENDAR = Table(
    "ipo_calendar",
    ("symbol", "ipo_date"),
    ("name", "price_range_low", "price_range_high", "currency", "exchange"),
    "ipo_date",
    texts=frozenset({"name", "currency", "exchange"}),
    dates=frozenset({"ipo_date"}),
    whole_market=True,
)
TOP_MOVERS = Table(
    "top_movers",
    ("symbol", "updated_at", "ranking"),
    ("position", "price", "change_amount", "change_percentage", "volume"),
    "updated_at",
    texts=frozenset({"ranking"}),
    whole_market=True,
)
# The symbol is always -: these are of no share.
ECONOMIC_VALUES = Table(
    "economic_values",
    ("symbol", "series", "value_interval", "value_date"),
    ("value",),
    "value_date",
    texts=frozenset({"series", "value_interval"}),
    dates=frozenset({"value_date"}),
    called={"value_date": ("date", "timestamp")},
    whole_market=True,
)
MARKET_STATUS = Table(
    "market_status",
    ("symbol", "market_type", "region"),
    ("primary_exchanges", "local_open", "local_close", "current_status", "notes"),
    texts=frozenset(
        {
            "market_type",
            "region",
            "primary_exchanges",
            "local_open",
            "local_close",
            "current_status",
            "notes",
        }
    ),
)
SYMBOL_MATCHES = Table(
    "symbol_matches",
    ("symbol", "keywords"),
    (
        "name",
        "type",
        "region",
        "market_open",
        "market_close",
        "timezone",
        "currency",
        "match_score",
    ),
    texts=frozenset(
        {"name", "type", "region", "market_open", "market_close", "timezone", "currency"}
    ),
    scope=("{row}.keywords",),
    whole_market=True,
)

COMPANY_OVERVIEW = Table(
    "company_overview",
    ("symbol",),
    (*OVERVIEW_TEXTS.values(), *OVERVIEW_DATES.values(), *OVERVIEW_NUMBERS.values()),
    texts=frozenset(OVERVIEW_TEXTS.values()),
    dates=frozenset(OVERVIEW_DATES.values()),
)

TABLES = tuple(each for each in globals().values() if isinstance(each, Table))
