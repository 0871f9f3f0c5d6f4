"""The synthetic prices of ``sample``, for the mock API: no calendar library, no database."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from datapipe.errors import DatapipeError
from datapipe.extract.endpoints import Request
from datapipe.extract.sample import FIRST_SESSION, SYMBOLS, Sample
from datapipe.warehouse.sessions import Session

_NEW_YORK = ZoneInfo("America/New_York")
_COMPACT = 100
_MONDAY, _THURSDAY = 0, 3  # as date.weekday() has them
_HALF_DAY_CLOSE, _CLOSE, _OPEN = time(13), time(16), time(9, 30)


class SampleArchive:
    """Answers for the sample's symbols, as they stand after the last session that has closed."""

    def functions(self) -> frozenset[str]:
        return frozenset({"TIME_SERIES_DAILY", "TIME_SERIES_INTRADAY", "OVERVIEW"})

    def answer(self, query: Mapping[str, str]) -> str | None:
        symbol = query.get("symbol", "").upper()
        if symbol not in SYMBOLS or query["function"] not in self.functions():
            return None
        now = datetime.now(UTC)
        sample = Sample(sessions(now), now)
        try:
            request = Request(query["function"], symbol, {"interval": "5min"})
            body = asyncio.run(sample.fetch(request)).body
        except DatapipeError:
            return None
        document = json.loads(body)
        for name, part in document.items():
            if "Time Series" in name:
                if query.get("outputsize", "compact") != "full":
                    part = dict(list(part.items())[:_COMPACT])
                    document[name] = part
                if query.get("datatype") == "csv":
                    return _csv(part)
        return json.dumps(document, indent=4)


def _csv(series: Mapping[str, Mapping[str, str]]) -> str:
    text = io.StringIO()
    rows = csv.writer(text)  # with CRLF, as the API sends it
    rows.writerow(["timestamp", "open", "high", "low", "close", "volume"])
    rows.writerows([at, *bar.values()] for at, bar in series.items())
    return text.getvalue()


def sessions(now: datetime) -> list[Session]:
    """New York's sessions since the sample's first day that have closed by ``now``."""
    found = []
    day = FIRST_SESSION
    while day <= now.date():
        if day.weekday() < 5 and day not in _holidays(day.year):
            close = _HALF_DAY_CLOSE if _is_half(day) else _CLOSE
            session = Session(day, _at(day, _OPEN), _at(day, close))
            if session.closes_at <= now:
                found.append(session)
        day += timedelta(days=1)
    return found


def _at(day: date, at: time) -> datetime:
    return datetime.combine(day, at, _NEW_YORK).astimezone(UTC)


def _is_half(day: date) -> bool:
    """Before Independence Day, after Thanksgiving and on Christmas Eve."""
    thanksgiving = _nth(day.year, 11, _THURSDAY, 4)
    fourth_is_observed_later = date(day.year, 7, 4).weekday() < 5
    return (
        day == thanksgiving + timedelta(days=1)
        or (day.month, day.day) == (12, 24)
        or ((day.month, day.day) == (7, 3) and fourth_is_observed_later)
    )


def _holidays(year: int) -> set[date]:
    """The exchange's holidays by its rules since 2022, and the closures beside them."""
    return {
        # A New Year's Day on a Saturday is not observed.
        date(year, 1, 1) + timedelta(days=date(year, 1, 1).weekday() == 6),
        _nth(year, 1, _MONDAY, 3),  # Martin Luther King Jr. Day
        _nth(year, 2, _MONDAY, 3),  # Washington's Birthday
        _easter(year) - timedelta(days=2),  # Good Friday
        _nth(year, 6, _MONDAY, 1) - timedelta(days=7),  # Memorial Day, the last Monday of May
        _observed(date(year, 6, 19)),  # Juneteenth
        _observed(date(year, 7, 4)),  # Independence Day
        _nth(year, 9, _MONDAY, 1),  # Labor Day
        _nth(year, 11, _THURSDAY, 4),  # Thanksgiving
        _observed(date(year, 12, 25)),  # Christmas
        date(2025, 1, 9),  # mourning for President Carter
    }


def _observed(day: date) -> date:
    """The weekday on which a holiday is kept: Friday for Saturday, Monday for Sunday."""
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    """The ``n``-th such weekday of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _easter(year: int) -> date:
    """The Gregorian Easter Sunday, by Gauss and others."""
    golden, century = year % 19, year // 100
    moon = (century - century // 4 - (8 * century + 13) // 25 + 19 * golden + 15) % 30
    moon -= moon // 28 * (1 - 29 // (moon + 1) * ((21 - golden) // 11))
    weekday = (year + year // 4 + moon + 2 - century + century // 4) % 7
    days = moon - weekday
    month = 3 + (days + 40) // 44
    return date(year, month, days + 28 - 31 * (month // 4))
