"""Answers that are records: fundamentals, calendars, listings, quotes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, pairwise
from typing import Any

from datapipe.load.fields import OVERVIEW_DATES, OVERVIEW_NUMBERS, OVERVIEW_TEXTS
from datapipe.load.parse.document import Document, Parsed, Row, squashed
from datapipe.load.parse.prices import utc_of
from datapipe.load.parse.values import day, number, ticker, words
from datapipe.load.tables import (
    BALANCE_SHEETS,
    CASH_FLOWS,
    COMPANY_OVERVIEW,
    DIVIDENDS,
    EARNINGS,
    EARNINGS_CALENDAR,
    ECONOMIC_VALUES,
    ETF_HOLDINGS,
    ETF_PROFILES,
    ETF_SECTORS,
    EXCHANGE_RATES,
    GLOBAL_QUOTES,
    INCOME_STATEMENTS,
    IPO_CALENDAR,
    LISTINGS,
    MARKET_STATUS,
    SHARES_OUTSTANDING,
    SPLITS,
    SYMBOL_MATCHES,
    TOP_MOVERS,
    Table,
)
from datapipe.symbols import NO_SYMBOL

_Record = Mapping[str, Any]
# Stands for a listing's first day where the answer has none: it is part of the key.
_NO_IPO_DATE = "0001-01-01"
_INTERVALS = (
    (4, "daily"),
    (9, "weekly"),
    (31, "monthly"),
    (92, "quarterly"),
    (184, "semiannual"),
)
_A_YEAR = timedelta(days=330)  # less what a change of the fiscal calendar may take off it


def overview(document: Document) -> list[Parsed]:
    """A company."""
    fields = document.json
    row = (
        document.symbol,
        *(words(fields.get(name)) for name in OVERVIEW_TEXTS),
        *(day(fields.get(name)) for name in OVERVIEW_DATES),
        *(number(fields.get(name)) for name in OVERVIEW_NUMBERS),
    )
    return [Parsed(COMPANY_OVERVIEW, [row])]


def quote(document: Document) -> list[Parsed]:
    """The latest quote."""
    quotes = document.records("Global Quote")
    return [_rows(GLOBAL_QUOTES, quotes, symbol=document.symbol)]


def dividends(document: Document) -> list[Parsed]:
    """Dividends; two of the same day are numbered."""
    seen: Counter[str | None] = Counter()
    rows = []
    for record in document.records("data"):
        ex_date = day(record.get("exdividenddate"))
        seen[ex_date] += 1
        rows.append(_row(DIVIDENDS, record, symbol=document.symbol, position=str(seen[ex_date])))
    return [_once(DIVIDENDS, rows)]


def splits(document: Document) -> list[Parsed]:
    """Splits."""
    return [_rows(SPLITS, document.records("data"), symbol=document.symbol)]


def shares_outstanding(document: Document) -> list[Parsed]:
    """Shares outstanding by quarter."""
    return [_rows(SHARES_OUTSTANDING, document.records("data"), symbol=document.symbol)]


def earnings(document: Document) -> list[Parsed]:
    """Earnings by quarter and by year.

    The first of the years may be the sum of one that has not ended, dated by its last quarter: less
    than a year after the one before it. It is marked, so that nobody takes it for a fiscal year.
    """
    years = document.records("annualEarnings")
    ends = [date.fromisoformat(str(year["fiscaldateending"])) for year in years]
    unfinished = len(ends) > 1 and ends[0] - ends[1] < _A_YEAR
    periods = ["part_year" if unfinished and n == 0 else "annual" for n in range(len(years))]
    quarters = document.records("quarterlyEarnings")
    rows = [
        _row(EARNINGS, record, symbol=document.symbol, period=period)
        for record, period in zip(
            [*years, *quarters], [*periods, *("quarterly" for _ in quarters)], strict=True
        )
    ]
    return [_once(EARNINGS, rows)]


def income_statement(document: Document) -> list[Parsed]:
    """Income statements by quarter and by year."""
    return _statements(INCOME_STATEMENTS, document)


def balance_sheet(document: Document) -> list[Parsed]:
    """Balance sheets by quarter and by year."""
    return _statements(BALANCE_SHEETS, document)


def cash_flow(document: Document) -> list[Parsed]:
    """Cash flow statements by quarter and by year."""
    return _statements(CASH_FLOWS, document)


def etf_profile(document: Document) -> list[Parsed]:
    """A fund, its holdings and its sectors; the answer does not say whose they are."""
    symbol = document.symbol
    holdings = [
        _row(
            ETF_HOLDINGS,
            record,
            symbol=symbol,
            position=str(position),
            holding_symbol=ticker(record.get("symbol")),
        )
        for position, record in enumerate(document.records("holdings"), start=1)
    ]
    return [
        _rows(ETF_PROFILES, document.records(), symbol=symbol),
        Parsed(ETF_HOLDINGS, holdings),
        _rows(ETF_SECTORS, document.records("sectors"), symbol=symbol),
    ]


def listings(document: Document) -> list[Parsed]:
    """Listings of all symbols."""
    rows = [
        _row(
            LISTINGS,
            record,
            symbol=record["symbol"].strip(),
            ipo_date=day(record["ipodate"]) or _NO_IPO_DATE,
        )
        for record in document.records()
        if record["symbol"].strip()  # a row of nobody
    ]
    return [_once(LISTINGS, rows)]


def earnings_calendar(document: Document) -> list[Parsed]:
    """Expected reports, of all symbols or of one."""
    rows = [
        _row(EARNINGS_CALENDAR, record, symbol=record["symbol"].strip())
        for record in document.records()
        if record["symbol"].strip()
    ]
    return [_once(EARNINGS_CALENDAR, rows)]


def ipo_calendar(document: Document) -> list[Parsed]:
    """Expected listings; a price of 0 is one that is not known yet."""
    rows = []
    for record in document.records():
        low, high = (_known_price(record.get(f"pricerange{end}")) for end in ("low", "high"))
        symbol = record["symbol"].strip()
        if symbol:
            rows.append(
                _row(
                    IPO_CALENDAR, record, symbol=symbol, price_range_low=low, price_range_high=high
                )
            )
    return [_once(IPO_CALENDAR, rows)]


def exchange_rate(document: Document) -> list[Parsed]:
    """The rate of a pair at a time; the answer says of which."""
    rows = [
        _row(
            EXCHANGE_RATES,
            record,
            symbol=f"{record['fromcurrencycode']}-{record['tocurrencycode']}",
            refreshed_at=utc_of(record["lastrefreshed"], record.get("timezone", "UTC")),
        )
        for record in document.records("Realtime Currency Exchange Rate")
    ]
    return [_once(EXCHANGE_RATES, rows)]


def top_movers(document: Document) -> list[Parsed]:
    """What rose, fell and was traded most; a ticker is taken as it is spelled."""
    updated_at = utc_of(str(document.json["last_updated"]))
    rows = [
        _row(
            TOP_MOVERS,
            record,
            symbol=str(record["ticker"]).strip(),
            updated_at=updated_at,
            ranking=ranking,
            position=str(position),
        )
        for ranking in ("top_gainers", "top_losers", "most_actively_traded")
        if document.json.get(ranking)
        for position, record in enumerate(document.records(ranking), start=1)
    ]
    return [_once(TOP_MOVERS, rows)]


def economic_values(document: Document) -> list[Parsed]:
    """A series of the economy: dates and values."""
    records = document.records("data")
    maturity = document.params.get("maturity", document.symbol.lower())
    of = document.function == "TREASURY_YIELD" and maturity != NO_SYMBOL
    said = document.json.get("interval") if document.format == "json" else None
    given = {
        "symbol": NO_SYMBOL,
        "series": f"{document.function} {maturity}" if of else document.function,
        "value_interval": said or document.params.get("interval") or _interval(records),
    }
    return [_once(ECONOMIC_VALUES, [_row(ECONOMIC_VALUES, one, **given) for one in records])]


def market_status(document: Document) -> list[Parsed]:
    """Markets of the world."""
    return [_rows(MARKET_STATUS, document.records("markets"), symbol=document.symbol)]


def symbol_search(document: Document) -> list[Parsed]:
    """What a search has found; the symbol asked for is the keywords."""
    rows = [
        _row(
            SYMBOL_MATCHES,
            record,
            symbol=str(record["symbol"]).strip(),
            keywords=document.symbol,
        )
        for record in document.records("bestMatches")
    ]
    return [_once(SYMBOL_MATCHES, rows)]


def _known_price(text: str | None) -> str | None:
    found = number(text)
    return None if found is None or Decimal(found) == 0 else found


def _interval(records: Iterable[_Record]) -> str:
    """How far the dates of a series are apart, in the API's words."""
    dates = sorted(date.fromisoformat(one.get("date") or one["timestamp"]) for one in records)
    least = min((later - earlier for earlier, later in pairwise(dates)), default=timedelta())
    return next((name for days, name in _INTERVALS if least.days <= days), "annual")


def _statements(table: Table, document: Document) -> list[Parsed]:
    known = {squashed(name) for name in (*table.columns, *chain(*table.called.values()))}
    rows = []
    for period, under in (("annual", "annualReports"), ("quarterly", "quarterlyReports")):
        reports = document.json.get(under, [])
        for report, record in zip(reports, document.records(under), strict=True):
            others = {
                name: value
                for name, value in report.items()
                if squashed(name) not in known and words(value) is not None
            }
            rows.append(
                _row(
                    table,
                    record,
                    symbol=document.symbol,
                    period=period,
                    other_fields=json.dumps(others, sort_keys=True) if others else None,
                )
            )
    return [_once(table, rows)]


def _rows(table: Table, records: Iterable[_Record], symbol: str) -> Parsed:
    return _once(table, [_row(table, record, symbol=symbol) for record in records])


def _row(table: Table, record: _Record, **given: str | None) -> Row:
    """A record's values in the order of the table's columns; ``given`` are not looked for."""
    row = []
    for name in table.columns:
        if name in given:
            value = given[name]
        else:
            value = _value(table, name, record)
            if value is None and name in table.key:
                raise ValueError(f"{name} is missing")
        row.append(value)
    return tuple(row)


def _value(table: Table, name: str, record: _Record) -> str | None:
    called = (name, *table.called.get(name, ()))
    found = next((record[key] for key in map(squashed, called) if key in record), None)
    if name in table.texts:
        return words(found)
    try:
        return day(found) if name in table.dates else number(found)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _once(table: Table, rows: Iterable[Row]) -> Parsed:
    """``rows``, each key once: of doubled ones the first."""
    by_key: dict[Row, Row] = {}
    width = len(table.key)
    for row in rows:
        by_key.setdefault(row[:width], row)
    return Parsed(table, list(by_key.values()))
