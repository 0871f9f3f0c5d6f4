"""The typed tables of schema ``raw``: what tells rows apart, and what can be restated."""

from __future__ import annotations

from dataclasses import dataclass

# What every version of every row carries beside its values.
VERSION_COLUMNS = ("known_from", "source", "response_id")


@dataclass(frozen=True)
class Table:
    """A table with versions: ``key`` tells its rows apart, a change in ``values`` is a version.

    ``date_column`` is the part of the key that runs with time; None where a symbol has one row.
    """

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    date_column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a parsed row, in its order."""
        return self.key + self.values


BAR = ("open", "high", "low", "close", "volume")

DAILY_PRICES = Table("daily_prices", ("symbol", "session_date"), BAR, "session_date")
INTRADAY_PRICES = Table(
    "intraday_prices", ("symbol", "bar_interval", "bar_at"), (*BAR, "bar_label"), "bar_at"
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
)
