"""The source ``sample``: synthetic prices over real New York sessions, for trying datapipe out.

The answers have the shape of the API's, so that they walk the same way. They follow from the symbol
and the sessions alone: a later day adds rows and changes none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

from datapipe.errors import UsageError
from datapipe.extract.answers import Answer, prove
from datapipe.extract.endpoints import SAMPLE, Endpoint, Request, requests
from datapipe.warehouse.sessions import Session

FIRST_SESSION = date(2024, 1, 2)
SYMBOLS = ("AAPL", "AMZN", "GOOGL", "IBM", "JPM", "KO", "MSFT", "XOM")

_NOTICE = "SYNTHETIC sample data made by datapipe; these prices were never traded"
_NEW_YORK = ZoneInfo("America/New_York")
_STEP = timedelta(minutes=5)
_INTRADAY_SESSIONS = 2
_SECTORS = ("TECHNOLOGY", "FINANCIAL SERVICES", "ENERGY", "HEALTHCARE", "CONSUMER DEFENSIVE")

_Bar = tuple[float, float, float, float, int]  # open, high, low, close, volume


class Sample:
    """Makes an answer for any symbol, as of the last of ``sessions``."""

    name = "sample"
    concurrency = 1
    metered = False

    def __init__(self, sessions: Sequence[Session], now: datetime) -> None:
        self._sessions = sessions
        self._now = now

    def requests(
        self, symbols: Sequence[str], endpoints: Sequence[Endpoint]
    ) -> tuple[Request, ...]:
        return requests(endpoints, symbols or SYMBOLS, {"interval": "5min"})

    async def fetch(self, request: Request) -> Answer:
        make = {
            "TIME_SERIES_DAILY": _daily,
            "TIME_SERIES_INTRADAY": _intraday,
            "OVERVIEW": _overview,
        }.get(request.function)
        if make is None:
            names = ", ".join(endpoint.name for endpoint in SAMPLE)
            raise UsageError(f"The sample has no {request.function}. Ask it for: {names}.")
        document = make(request.symbol, self._sessions)
        return prove(request, json.dumps(document, indent=1).encode(), self._now)

    async def aclose(self) -> None:
        """Nothing is open."""


def _bars(symbol: str, sessions: Sequence[Session]) -> list[_Bar]:
    """A random walk: about 25 % volatility and 8 % growth a year."""
    random = Random(f"datapipe sample {symbol}")
    close = random.uniform(20, 400)
    typical_volume = 10 ** random.uniform(6, 7.7)
    bars = []
    for _ in sessions:
        opening = close * (1 + random.gauss(0, 0.004))
        closing = opening * (1 + random.gauss(0.0003, 0.014))
        high = max(opening, closing) * (1 + abs(random.gauss(0, 0.005)))
        low = min(opening, closing) * (1 - abs(random.gauss(0, 0.005)))
        volume = int(typical_volume * random.lognormvariate(0, 0.3))
        opening, high, low, close = (round(price, 2) for price in (opening, high, low, closing))
        bars.append((opening, high, low, close, volume))
    return bars


def _daily(symbol: str, sessions: Sequence[Session]) -> dict[str, object]:
    bars = _bars(symbol, sessions)
    newest_first = list(zip(sessions, bars, strict=True))[::-1]
    return {
        "Meta Data": {
            "1. Information": _NOTICE,
            "2. Symbol": symbol,
            "3. Last Refreshed": newest_first[0][0].session_date.isoformat(),
            "4. Output Size": "Full size",
            "5. Time Zone": "US/Eastern",
        },
        "Time Series (Daily)": {
            session.session_date.isoformat(): _numbered(bar) for session, bar in newest_first
        },
    }


def _intraday(symbol: str, sessions: Sequence[Session]) -> dict[str, object]:
    bars = _bars(symbol, sessions)
    series: dict[str, dict[str, str]] = {}
    for session, bar in list(zip(sessions, bars, strict=True))[-_INTRADAY_SESSIONS:]:
        series |= _path(symbol, session, bar)
    newest_first = dict(reversed(series.items()))
    return {
        "Meta Data": {
            "1. Information": _NOTICE,
            "2. Symbol": symbol,
            "3. Last Refreshed": next(iter(newest_first)),
            "4. Interval": "5min",
            "5. Output Size": "Compact",
            "6. Time Zone": "US/Eastern",
        },
        "Time Series (5min)": newest_first,
    }


def _path(symbol: str, session: Session, bar: _Bar) -> dict[str, dict[str, str]]:
    """The bars of one session, labelled by their starts, which add up to its daily ``bar``."""
    opening, high, low, closing, volume = bar
    random = Random(f"datapipe sample {symbol} {session.session_date}")
    count = int((session.closes_at - session.opens_at) / _STEP)
    drift = (closing - opening) / count
    prices = [opening]
    for n in range(1, count):
        wander = prices[-1] + drift + random.gauss(0, (high - low) / 12)
        pull = opening + drift * n  # back to the line from open to close
        prices.append(min(high, max(low, (wander * 3 + pull) / 4)))
    prices.append(closing)
    at_high, at_low = random.sample(range(count), 2)
    shares = [random.uniform(0.5, 1.5) for _ in range(count)]
    volumes = [int(volume * share / sum(shares)) for share in shares]
    volumes[0] += volume - sum(volumes)
    series = {}
    for n, (first, last) in enumerate(pairwise(prices)):
        start = (session.opens_at + n * _STEP).astimezone(_NEW_YORK)
        top = high if n == at_high else max(first, last)
        bottom = low if n == at_low else min(first, last)
        series[f"{start:%Y-%m-%d %H:%M:%S}"] = _numbered((first, top, bottom, last, volumes[n]))
    return series


def _overview(symbol: str, sessions: Sequence[Session]) -> dict[str, object]:
    bars = _bars(symbol, sessions)
    random = Random(f"datapipe sample overview {symbol}")
    shares = int(10 ** random.uniform(8.5, 10))
    close = bars[-1][3]
    earnings = close / random.uniform(12, 35)
    year = bars[-252:]
    return {
        "Symbol": symbol,
        "AssetType": "Common Stock",
        "Name": f"{symbol} (synthetic)",
        "Description": _NOTICE,
        "CIK": "None",
        "Exchange": "NYSE",
        "Currency": "USD",
        "Country": "USA",
        "Sector": random.choice(_SECTORS),
        "Industry": "SYNTHETIC",
        "FiscalYearEnd": "December",
        "LatestQuarter": _last_quarter(sessions[-1].session_date).isoformat(),
        "MarketCapitalization": str(int(shares * close)),
        "EBITDA": str(int(shares * earnings * 1.6)),
        "PERatio": f"{close / earnings:.2f}",
        "BookValue": f"{close / random.uniform(2, 9):.2f}",
        "DividendPerShare": "None",
        "DividendYield": "None",
        "EPS": f"{earnings:.2f}",
        "Beta": f"{random.uniform(0.5, 1.6):.3f}",
        "52WeekHigh": f"{max(bar[1] for bar in year):.2f}",
        "52WeekLow": f"{min(bar[2] for bar in year):.2f}",
        "SharesOutstanding": str(shares),
        "DividendDate": "None",
        "ExDividendDate": "None",
    }


def _last_quarter(day: date) -> date:
    first_of_quarter = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    return first_of_quarter - timedelta(days=1)


def _numbered(bar: _Bar) -> dict[str, str]:
    opening, high, low, close, volume = bar
    return {
        "1. open": f"{opening:.4f}",
        "2. high": f"{high:.4f}",
        "3. low": f"{low:.4f}",
        "4. close": f"{close:.4f}",
        "5. volume": str(volume),
    }
