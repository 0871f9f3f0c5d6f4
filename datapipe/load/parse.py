"""From the text of an answer to rows. Nothing here touches a database.

Numbers stay the decimal texts that they came as: PostgreSQL reads them into numeric, exactly.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from datapipe.errors import LoadError
from datapipe.load.tables import (
    BAR,
    COMPANY_OVERVIEW,
    DAILY_PRICES,
    INTRADAY_PRICES,
    OVERVIEW_DATES,
    OVERVIEW_NUMBERS,
    OVERVIEW_TEXTS,
    Table,
)

Row = tuple[str | None, ...]

# How the API writes that it has no value.
MISSING = frozenset({"", "none", "null", "-", ".", "n/a", "nan", "0000-00-00"})

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
# Nearly all bars are of such numbers, and to see it at once takes a tenth of looking at each.
_PLAIN = re.compile(r"\d+(?:\.\d+)?(?:\t\d+(?:\.\d+)?){4}", re.ASCII)
_EASTERN = ZoneInfo("America/New_York")
# The API named intraday bars by their end until 2022, and by their start in 2023 and since. When
# exactly it changed is not known.
_LABELLED_BY_START_SINCE = date(2023, 1, 1)


@dataclass(frozen=True)
class Document:
    """A stored answer, as the archive keeps it."""

    function: str
    symbol: str
    params: Mapping[str, str]
    format: str
    body: str

    def __str__(self) -> str:
        return f"{self.function} {self.symbol}"


@dataclass(frozen=True)
class Parsed:
    """Rows for ``table``, each as its ``columns`` say."""

    table: Table
    rows: list[Row]


def parse(document: Document) -> Parsed:
    """The rows of an answer; LoadError names what cannot be read."""
    try:
        return _PARSERS[document.function](document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(f"The answer to {document} cannot be read: {error}.") from error


def number(text: str | None) -> str | None:
    """``text`` as PostgreSQL's numeric reads it; None where it says that there is no value."""
    if text is None or text.strip().lower() in MISSING:
        return None
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return text


def day(text: str | None) -> str | None:
    """``text`` as an ISO date; None where it says that there is no value."""
    if text is None or text.strip().lower() in MISSING:
        return None
    return date.fromisoformat(text.strip()).isoformat()


def _daily(document: Document) -> Parsed:
    rows: dict[str, Row] = {}
    for stamp, values in _bars(document):
        session_date = date.fromisoformat(stamp).isoformat()
        # A doubled row is the newest one first; setdefault keeps it.
        rows.setdefault(session_date, (document.symbol, session_date, *values))
    return Parsed(DAILY_PRICES, list(rows.values()))


def _intraday(document: Document) -> Parsed:
    bars = {
        datetime.fromisoformat(stamp): values for stamp, values in reversed(list(_bars(document)))
    }
    interval = _interval(document, sorted(bars))
    label = _label(bars)
    return Parsed(
        INTRADAY_PRICES,
        [
            (document.symbol, interval, at.replace(tzinfo=_EASTERN).isoformat(), *values, label)
            for at, values in bars.items()
        ],
    )


def _interval(document: Document, times: list[datetime]) -> str:
    """The bars' interval: as asked for, as the answer says, or the least distance of two bars."""
    said = document.params.get("interval")
    if said is None and document.format == "json":
        meta = json.loads(document.body.removeprefix("\ufeff")).get("Meta Data", {})
        said = next((text for name, text in meta.items() if name.endswith("Interval")), None)
    if said is None:
        least = min((b - a for a, b in pairwise(times)), default=timedelta(minutes=1))
        said = f"{least // timedelta(minutes=1)}min"
    return str(said)


def _label(times: Collection[datetime]) -> str:
    """Whether the bars are named by their start or their end; the last bar ends at 20:00."""
    if any(at.hour == 20 for at in times):
        return "end"
    return "start" if all(at.date() >= _LABELLED_BY_START_SINCE for at in times) else "end"


def _overview(document: Document) -> Parsed:
    fields = _object(document)
    row = (
        document.symbol,
        *(_text(fields.get(name)) for name in OVERVIEW_TEXTS),
        *(day(fields.get(name)) for name in OVERVIEW_DATES),
        *(number(fields.get(name)) for name in OVERVIEW_NUMBERS),
    )
    return Parsed(COMPANY_OVERVIEW, [row])


def _text(text: str | None) -> str | None:
    return None if text is None or text.strip().lower() in MISSING else text


def _bars(document: Document) -> Iterator[tuple[str, Row]]:
    """The time and the open, high, low, close and volume of each bar, as the answer orders them."""
    if document.format == "csv":
        reader = csv.reader(document.body.removeprefix("\ufeff").splitlines())
        header = next(reader)
        values = _getter({name: index for index, name in enumerate(header)})
        yield from ((row[0], bar(values(row))) for row in reader if row)
        return
    series = next(part for name, part in _object(document).items() if "Time Series" in name)
    if series:
        # "1. open"; in one answer all bars have the same names.
        names = next(iter(series.values()))
        values = _getter({name.partition(". ")[2]: name for name in names})
        yield from ((stamp, bar(values(fields))) for stamp, fields in series.items())


def _getter(places: Mapping[str, Any]) -> Callable[[Any], Sequence[str | None]]:
    """What takes open, high, low, close and volume from their places; None where one has none."""
    if all(name in places for name in BAR):
        return itemgetter(*(places[name] for name in BAR))
    wanted = [places.get(name) for name in BAR]
    return lambda fields: [None if place is None else fields[place] for place in wanted]


def bar(values: Sequence[str | None]) -> Row:
    """Open, high, low, close and volume as numbers; ValueError where one is none, or no close."""
    if None not in values and _PLAIN.fullmatch("\t".join(values)):  # type: ignore[arg-type]
        return tuple(values)
    numbers = []
    for name, text in zip(BAR, values, strict=True):
        try:
            numbers.append(number(text))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if numbers[BAR.index("close")] is None:
        raise ValueError("close is missing")
    return tuple(numbers)


def _object(document: Document) -> dict[str, Any]:
    if document.format != "json":
        raise ValueError("it is CSV, and JSON was expected")
    parsed: dict[str, Any] = json.loads(document.body.removeprefix("\ufeff"))
    return parsed


_PARSERS: dict[str, Callable[[Document], Parsed]] = {
    "TIME_SERIES_DAILY": _daily,
    "TIME_SERIES_INTRADAY": _intraday,
    "OVERVIEW": _overview,
}

# The functions whose answers have a typed table.
FUNCTIONS = tuple(_PARSERS)
