"""From the text of an answer to rows. Nothing here touches a database.

Numbers stay the decimal texts that they came as: PostgreSQL reads them into numeric, exactly.
"""

from __future__ import annotations

from collections.abc import Callable

from datapipe.errors import LoadError
from datapipe.frozen import frozen
from datapipe.load import tables
from datapipe.load.parse import prices, records
from datapipe.load.parse.document import Document, Parsed, Row
from datapipe.load.tables import Table

__all__ = ["FUNCTIONS", "Document", "Parsed", "Row", "parse"]


@frozen
class _Function:
    """How a function's answers are read, and the tables that their rows may be of."""

    parse: Callable[[Document], list[Parsed]]
    tables: tuple[Table, ...]


def _bars(*of: Table) -> _Function:
    return _Function(lambda document: prices.bars(document, *of), of)


def _intraday(*of: Table) -> _Function:
    return _Function(lambda document: prices.intraday(document, *of), of)


_INTRADAY = _intraday(tables.INTRADAY_PRICES, tables.INTRADAY_ADJUSTED_PRICES)
_ECONOMY = _Function(records.economic_values, (tables.ECONOMIC_VALUES,))

# Functions whose answers are alike: a list of dates and values.
_ECONOMIC = (
    "WTI",
    "BRENT",
    "NATURAL_GAS",
    "COPPER",
    "ALUMINUM",
    "WHEAT",
    "CORN",
    "COTTON",
    "SUGAR",
    "COFFEE",
    "ALL_COMMODITIES",
    "REAL_GDP",
    "REAL_GDP_PER_CAPITA",
    "TREASURY_YIELD",
    "FEDERAL_FUNDS_RATE",
    "CPI",
    "INFLATION",
    "RETAIL_SALES",
    "DURABLES",
    "UNEMPLOYMENT",
    "NONFARM_PAYROLL",
)

# The functions whose answers have a typed table.
FUNCTIONS = {
    "TIME_SERIES_DAILY": _bars(tables.DAILY_PRICES),
    "TIME_SERIES_DAILY_ADJUSTED": _bars(tables.DAILY_PRICES, tables.DAILY_ADJUSTED_PRICES),
    "TIME_SERIES_WEEKLY": _bars(tables.WEEKLY_PRICES),
    "TIME_SERIES_WEEKLY_ADJUSTED": _bars(tables.WEEKLY_PRICES, tables.WEEKLY_ADJUSTED_PRICES),
    "TIME_SERIES_MONTHLY": _bars(tables.MONTHLY_PRICES),
    "TIME_SERIES_MONTHLY_ADJUSTED": _bars(tables.MONTHLY_PRICES, tables.MONTHLY_ADJUSTED_PRICES),
    "TIME_SERIES_INTRADAY": _INTRADAY,
    "TIME_SERIES_INTRADAY_EXTENDED": _INTRADAY,  # retired; in old archives
    "FX_DAILY": _bars(tables.FX_DAILY_PRICES),
    "FX_WEEKLY": _bars(tables.FX_WEEKLY_PRICES),
    "FX_MONTHLY": _bars(tables.FX_MONTHLY_PRICES),
    "FX_INTRADAY": _intraday(tables.FX_INTRADAY_PRICES),
    "DIGITAL_CURRENCY_DAILY": _bars(tables.CRYPTO_DAILY_PRICES),
    "DIGITAL_CURRENCY_WEEKLY": _bars(tables.CRYPTO_WEEKLY_PRICES),
    "DIGITAL_CURRENCY_MONTHLY": _bars(tables.CRYPTO_MONTHLY_PRICES),
    "CRYPTO_INTRADAY": _intraday(tables.CRYPTO_INTRADAY_PRICES),
    "CURRENCY_EXCHANGE_RATE": _Function(records.exchange_rate, (tables.EXCHANGE_RATES,)),
    "GLOBAL_QUOTE": _Function(records.quote, (tables.GLOBAL_QUOTES,)),
    "OVERVIEW": _Function(records.overview, (tables.COMPANY_OVERVIEW,)),
    "DIVIDENDS": _Function(records.dividends, (tables.DIVIDENDS,)),
    "SPLITS": _Function(records.splits, (tables.SPLITS,)),
    "SHARES_OUTSTANDING": _Function(records.shares_outstanding, (tables.SHARES_OUTSTANDING,)),
    "EARNINGS": _Function(records.earnings, (tables.EARNINGS,)),
    "INCOME_STATEMENT": _Function(records.income_statement, (tables.INCOME_STATEMENTS,)),
    "BALANCE_SHEET": _Function(records.balance_sheet, (tables.BALANCE_SHEETS,)),
    "CASH_FLOW": _Function(records.cash_flow, (tables.CASH_FLOWS,)),
    "ETF_PROFILE": _Function(
        records.etf_profile, (tables.ETF_PROFILES, tables.ETF_HOLDINGS, tables.ETF_SECTORS)
    ),
    "LISTING_STATUS": _Function(records.listings, (tables.LISTINGS,)),
    "EARNINGS_CALENDAR": _Function(records.earnings_calendar, (tables.EARNINGS_CALENDAR,)),
    "IPO_CALENDAR": _Function(records.ipo_calendar, (tables.IPO_CALENDAR,)),
    "TOP_GAINERS_LOSERS": _Function(records.top_movers, (tables.TOP_MOVERS,)),
    "MARKET_STATUS": _Function(records.market_status, (tables.MARKET_STATUS,)),
    "SYMBOL_SEARCH": _Function(records.symbol_search, (tables.SYMBOL_MATCHES,)),
    **dict.fromkeys(_ECONOMIC, _ECONOMY),
}


def parse(document: Document) -> list[Parsed]:
    """The rows of an answer, by table; LoadError names what cannot be read."""
    try:
        return FUNCTIONS[document.function].parse(document)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LoadError(f"The answer to {document} cannot be read: {error}.") from error
