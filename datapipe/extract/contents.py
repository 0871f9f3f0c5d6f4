"""Whether an answer holds what was asked for.

Each check gives the end of a sentence that begins with "The answer to ...", or an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from datapipe.extract.endpoints import Request
from datapipe.symbols import NO_SYMBOL

_SERIES = re.compile(
    r"(?:TIME_SERIES|FX|DIGITAL_CURRENCY|CRYPTO)_(DAILY|WEEKLY|MONTHLY|INTRADAY)(_ADJUSTED)?"
)
_NUMBER = re.compile(r"^\d+[a-z]?[.:]\s*")  # Meta Data and bars number their names
_PAIR = re.compile(r"[A-Z0-9]+[-/][A-Z]{3,4}")
_SIDE = re.compile(
    r"(?P<from>From Symbol|From_Currency Code|Digital Currency Code)"
    r"|To Symbol|To_Currency Code|Market Code"
)
_MINUTES = re.compile(r"\d+min")
_OF_A_SYMBOL = re.compile(r"TIME_SERIES_|GLOBAL_QUOTE$|OVERVIEW$|EARNINGS$|DIVIDENDS$|SPLITS$")
_STATEMENTS = ("INCOME_STATEMENT", "BALANCE_SHEET", "CASH_FLOW", "SHARES_OUTSTANDING")

# What tells an answer of a function: one of these top-level names, as prefixes.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "GLOBAL_QUOTE": ("Global Quote",),
    "SYMBOL_SEARCH": ("bestMatches",),
    "INCOME_STATEMENT": ("annualReports", "quarterlyReports"),
    "BALANCE_SHEET": ("annualReports", "quarterlyReports"),
    "CASH_FLOW": ("annualReports", "quarterlyReports"),
    "EARNINGS": ("annualEarnings", "quarterlyEarnings"),
    "ETF_PROFILE": ("net_assets", "holdings", "sectors"),
    "DIVIDENDS": ("data",),
    "SPLITS": ("data",),
    "SHARES_OUTSTANDING": ("data",),
    "MARKET_STATUS": ("markets",),
    "CURRENCY_EXCHANGE_RATE": ("Realtime Currency Exchange Rate",),
    "TOP_GAINERS_LOSERS": ("top_gainers", "top_losers", "most_actively_traded"),
    "TREASURY_YIELD": ("data",),
}
# The same of CSV: one of these columns.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "GLOBAL_QUOTE": ("price",),
    "LISTING_STATUS": ("ipoDate", "exchange"),
    "EARNINGS_CALENDAR": ("reportDate",),
    "IPO_CALENDAR": ("ipoDate",),
    "DIVIDENDS": ("ex_dividend_date",),
    "SPLITS": ("effective_date",),
    "SYMBOL_SEARCH": ("matchScore",),
    "TREASURY_YIELD": ("value",),
}
# What rows that the API has invented say of themselves.
_INVENTED = ('"XXYYZZ"', '"2099-99-99"')


def newest(request: Request, body: str) -> str | None:
    """The date of the newest bar of a series, as ISO text, where its beginning tells."""
    if not _SERIES.match(request.function):
        return None
    found = re.search(NEWEST, body[:1000])
    return found[1] or found[2] if found else None


# The date after "Last Refreshed", or at the beginning of the second line.
NEWEST = r"(?:Last Refreshed\": *\"(\d{4}-\d\d-\d\d))|(?:^[^{\n]*\n(\d{4}-\d\d-\d\d))"


def is_invented(text: str) -> bool:
    """Whether an answer only shows made-up rows of what a paid one would look like."""
    return any(sign in text for sign in _INVENTED)


def lacks(request: Request, document: Mapping[str, Any]) -> str:
    """What a JSON answer lacks of what was asked for."""
    names = sorted(document)
    if _SERIES.match(request.function):
        return "" if _series(document) else f"holds no series: {names}"
    if request.function == "OVERVIEW":
        return "" if "Symbol" in document else f"describes no company: {names}"
    wanted = _PARTS.get(request.function)
    if wanted:
        found = any(name.startswith(wanted) and document[name] is not None for name in document)
        return "" if found else f"holds no {wanted[0]}: {names}"
    if not any(isinstance(part, dict | list) for part in document.values()):
        return f"holds no data: {names}"
    return ""


def contradicts(request: Request, document: Mapping[str, Any]) -> str:
    """How a JSON answer shows that it answers something else."""
    told = _symbol_in(document)
    if told is not None and _tells_symbol(request.function) and _differ(told, request):
        return f"is one about {told!r}"
    pair = _pair_in(document) if _PAIR.fullmatch(request.symbol) else ""
    if pair and _differ(pair, request):
        return f"is one about {pair!r}"
    kind, series = _SERIES.match(request.function), _series(document)
    if kind is None or series is None:
        return ""
    name, bars = series
    if not _fits(kind[1], name) or not _same_interval(request, name):
        return f"holds another series: {name!r}"
    bar = next(iter(bars.values()))
    if not isinstance(bar, dict):
        return f"holds bars that are none: {bar!r}"
    adjusted = any("adjusted close" in key for key in bar)
    if adjusted != bool(kind[2]):
        return f"holds bars that are {'' if adjusted else 'not '}adjusted"
    return ""


def columns_lack(request: Request, header: Sequence[str]) -> str:
    """What a CSV answer lacks of what was asked for."""
    if _SERIES.match(request.function):
        if header[0].lower() in {"timestamp", "time"}:
            return ""
        return f"holds no series: {','.join(header)[:60]!r}"
    wanted = _COLUMNS.get(request.function)
    if wanted and not {name.lower() for name in wanted} & {name.lower() for name in header}:
        return f"has no column {wanted[0]}: {','.join(header)[:60]!r}"
    return ""


def rows_contradict(request: Request, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """How a CSV answer shows that it answers something else."""
    if request.function == "GLOBAL_QUOTE" and rows and header[0].lower() == "symbol":
        return f"is one about {rows[0][0]!r}" if _differ(rows[0][0], request) else ""
    kind = _SERIES.match(request.function)
    if kind and request.function.startswith("TIME_SERIES"):
        adjusted = any(name.lower().replace("_", " ") == "adjusted close" for name in header)
        if adjusted != bool(kind[2]):
            return f"holds bars that are {'' if adjusted else 'not '}adjusted"
    return ""


def _series(document: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    for name, part in document.items():
        if "Time Series" in name and isinstance(part, dict) and part:
            return name, part
    return None


def _tells_symbol(function: str) -> bool:
    return bool(_OF_A_SYMBOL.match(function)) or function in _STATEMENTS


def _pair_in(document: Mapping[str, Any]) -> str:
    """The two sides of a pair that an answer names, as EUR-USD."""
    sides = {"from": "", "to": ""}
    for title, part in document.items():
        if not (isinstance(part, dict) and title.startswith(("Meta Data", "Realtime"))):
            continue
        for name, value in part.items():
            found = _SIDE.fullmatch(_NUMBER.sub("", name))
            if found and isinstance(value, str):
                sides["from" if found["from"] else "to"] = value
    return "-".join(sides.values()) if all(sides.values()) else ""


def _symbol_in(document: Mapping[str, Any]) -> str | None:
    """The symbol that an answer repeats: at the top, in Meta Data or in the quote."""
    places = [document]
    places += [
        part
        for name, part in document.items()
        if isinstance(part, dict) and (name == "Meta Data" or name.startswith("Global Quote"))
    ]
    for place in places:
        for name, value in place.items():
            if _NUMBER.sub("", name).lower() == "symbol" and isinstance(value, str):
                return value
    return None


def _differ(told: str, request: Request) -> bool:
    return request.symbol != NO_SYMBOL and _letters(told) != _letters(request.symbol)


def _letters(symbol: str) -> str:
    """A symbol without the characters in which spellings differ, as BRK.B and brk-b do."""
    return re.sub(r"[^A-Z0-9]", "", symbol.upper())


def _fits(cadence: str, name: str) -> bool:
    if cadence == "INTRADAY":
        return _MINUTES.search(name) is not None
    return cadence in name.upper()


def _same_interval(request: Request, name: str) -> bool:
    told, asked = _MINUTES.search(name), request.params.get("interval")
    return told is None or asked is None or told[0] == asked
