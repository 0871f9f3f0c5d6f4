"""From the text of an answer to rows. Nothing here touches a database.

Numbers stay the decimal texts that they came as: PostgreSQL reads them into numeric, exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datapipe.errors import LoadError
from datapipe.load import tables
from datapipe.load.parse import prices, records
from datapipe.load.parse.document import Document, Parsed, Row
from datapipe.load.tables import Table

__all__ = ["FUNCTIONS", "Document", "Parsed", "Row", "parse"]


@dataclass(frozen=True)
class _Function:
    """How a function's answers are read, and the tables that their rows may be of."""

    parse: Callable[[Document], list[Parsed]]
    tables: tuple[Table, ...]


def _bars(*of: Table) -> _Function:
    return _Function(lambda document: prices.bars(document, *of), of)


_INTRADAY = _Function(prices.intraday, (tables.INTRADAY_PRICES, tables.INTRADAY_ADJUSTED_PRICES))

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
    "FX_DAILY": _Function(prices.fx, (tables.FX_DAILY_PRICES,)),
    "DIGITAL_CURRENCY_DAILY": _Function(prices.crypto, (tables.CRYPTO_DAILY_PRICES,)),
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
    "MARKET_STATUS": _Function(records.market_status, (tables.MARKET_STATUS,)),
    "SYMBOL_SEARCH": _Function(records.symbol_search, (tables.SYMBOL_MATCHES,)),
}


def parse(document: Document) -> list[Parsed]:
    """The rows of an answer, by table; LoadError names what cannot be read."""
    try:
        return FUNCTIONS[document.function].parse(document)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LoadError(f"The answer to {document} cannot be read: {error}.") from error
