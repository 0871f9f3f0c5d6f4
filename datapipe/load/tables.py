"""The typed tables of schema ``raw``: what tells rows apart, and what can be restated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import LiteralString

# What every version of every row carries beside its values.
VERSION_COLUMNS = ("known_from", "source", "response_id")


@dataclass(frozen=True, eq=False)
class Table:
    """A table with versions: ``key`` tells its rows apart, a change in ``values`` is a version.

    ``date_column`` is the part of the key that runs with time; None where a symbol has one row.
    ``texts`` and ``dates`` are columns of those kinds, all others are numbers. ``called`` gives the
    API's names of a column that are not the column's own. An answer tells of all there is in each
    ``scope``, SQL expressions over a ``{row}``, that one of its rows lies in: what a newer answer
    leaves out there is retired, where it is ``retirable``. Of a ``whole_market`` table one answer
    may tell of any symbol.
    """

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    date_column: str | None = None
    texts: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()
    called: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    scope: tuple[LiteralString, ...] = ()
    retirable: LiteralString = "true"
    whole_market: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a parsed row, in its order."""
        return self.key + self.values


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

FX_DAILY_PRICES = Table("fx_daily_prices", ("symbol", "price_date"), BAR[:4], "price_date")
CRYPTO_DAILY_PRICES = Table("crypto_daily_prices", ("symbol", "price_date"), BAR, "price_date")

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


# The fields of 2023 to 2026. Others, of older or newer answers, are kept in other_fields.
INCOME_STATEMENTS = _statement(
    "income_statements",
    (
        "total_revenue",
        "gross_profit",
        "cost_of_revenue",
        "cost_of_goods_and_services_sold",
        "operating_income",
        "selling_general_and_administrative",
        "research_and_development",
        "operating_expenses",
        "investment_income_net",
        "net_interest_income",
        "interest_income",
        "interest_expense",
        "non_interest_income",
        "other_non_operating_income",
        "depreciation",
        "depreciation_and_amortization",
        "income_before_tax",
        "income_tax_expense",
        "interest_and_debt_expense",
        "net_income_from_continuing_operations",
        "comprehensive_income_net_of_tax",
        "ebit",
        "ebitda",
        "net_income",
    ),
)
BALANCE_SHEETS = _statement(
    "balance_sheets",
    (
        "total_assets",
        "total_current_assets",
        "cash_and_cash_equivalents_at_carrying_value",
        "cash_and_short_term_investments",
        "inventory",
        "current_net_receivables",
        "total_non_current_assets",
        "property_plant_equipment",
        "accumulated_depreciation_amortization_ppe",
        "intangible_assets",
        "intangible_assets_excluding_goodwill",
        "goodwill",
        "investments",
        "long_term_investments",
        "short_term_investments",
        "other_current_assets",
        "other_non_current_assets",
        "total_liabilities",
        "total_current_liabilities",
        "current_accounts_payable",
        "deferred_revenue",
        "current_debt",
        "short_term_debt",
        "total_non_current_liabilities",
        "capital_lease_obligations",
        "long_term_debt",
        "current_long_term_debt",
        "long_term_debt_noncurrent",
        "short_long_term_debt_total",
        "other_current_liabilities",
        "other_non_current_liabilities",
        "total_shareholder_equity",
        "treasury_stock",
        "retained_earnings",
        "common_stock",
        "common_stock_shares_outstanding",
    ),
)
CASH_FLOWS = _statement(
    "cash_flows",
    (
        "operating_cash_flow",
        "payments_for_operating_activities",
        "proceeds_from_operating_activities",
        "change_in_operating_liabilities",
        "change_in_operating_assets",
        "depreciation_depletion_and_amortization",
        "capital_expenditures",
        "change_in_receivables",
        "change_in_inventory",
        "profit_loss",
        "cash_flow_from_investment",
        "cash_flow_from_financing",
        "proceeds_from_repayments_of_short_term_debt",
        "payments_for_repurchase_of_common_stock",
        "payments_for_repurchase_of_equity",
        "payments_for_repurchase_of_preferred_stock",
        "dividend_payout",
        "dividend_payout_common_stock",
        "dividend_payout_preferred_stock",
        "proceeds_from_issuance_of_common_stock",
        "proceeds_from_issuance_of_long_term_debt_and_capital_securities",
        "proceeds_from_issuance_of_preferred_stock",
        "proceeds_from_repurchase_of_equity",
        "proceeds_from_sale_of_treasury_stock",
        "change_in_cash_and_cash_equivalents",
        "change_in_exchange_rate",
        "net_income",
    ),
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

# OVERVIEW's keys as of 2026, each with its column. Keys come and go over the years: one that is
# missing gives NULL, one that is not named here stays in the answer's text only.
OVERVIEW_TEXTS = {
    "Name": "name",
    "AssetType": "asset_type",
    "Description": "description",
    "CIK": "cik",
    "Exchange": "exchange",
    "Currency": "currency",
    "Country": "country",
    "Sector": "sector",
    "Industry": "industry",
    "Address": "address",
    "OfficialSite": "official_site",
    "FiscalYearEnd": "fiscal_year_end",
}
OVERVIEW_DATES = {
    "LatestQuarter": "latest_quarter",
    "DividendDate": "dividend_date",
    "ExDividendDate": "ex_dividend_date",
}
OVERVIEW_NUMBERS = {
    "MarketCapitalization": "market_capitalization",
    "EBITDA": "ebitda",
    "PERatio": "pe_ratio",
    "PEGRatio": "peg_ratio",
    "BookValue": "book_value",
    "DividendPerShare": "dividend_per_share",
    "DividendYield": "dividend_yield",
    "EPS": "eps",
    "RevenueTTM": "revenue_ttm",
    "GrossProfitTTM": "gross_profit_ttm",
    "ProfitMargin": "profit_margin",
    "OperatingMarginTTM": "operating_margin_ttm",
    "ReturnOnAssetsTTM": "return_on_assets_ttm",
    "ReturnOnEquityTTM": "return_on_equity_ttm",
    "AnalystTargetPrice": "analyst_target_price",
    "TrailingPE": "trailing_pe",
    "ForwardPE": "forward_pe",
    "PriceToSalesRatioTTM": "price_to_sales_ttm",
    "PriceToBookRatio": "price_to_book",
    "Beta": "beta",
    "SharesOutstanding": "shares_outstanding",
}
COMPANY_OVERVIEW = Table(
    "company_overview",
    ("symbol",),
    (*OVERVIEW_TEXTS.values(), *OVERVIEW_DATES.values(), *OVERVIEW_NUMBERS.values()),
    texts=frozenset(OVERVIEW_TEXTS.values()),
    dates=frozenset(OVERVIEW_DATES.values()),
)

TABLES = tuple(each for each in globals().values() if isinstance(each, Table))
