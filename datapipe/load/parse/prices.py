"""Series of prices: from daily to monthly, intraday, of shares, currencies and coins."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from datapipe.load.parse.document import Document, Parsed, Row, squashed
from datapipe.load.parse.values import iso_day, number
from datapipe.load.tables import BAR, Table

_EASTERN = "US/Eastern"
_OFFSET = re.compile(r"(?:GMT|UTC)([+-])(\d{1,2})")
_PLAIN = re.compile(r"(?:[0-9]++(?:\.[0-9]++)?+\t?+)++")  # never looks back: twice as fast
_ARTEFACT = re.compile(r"\.\d{9}", re.ASCII)
# The API named intraday bars by their end until 2022, and by their start in 2023 and since. When
# exactly it changed is not known.
_LABELLED_BY_START_SINCE = date(2023, 1, 1)


def bars(document: Document, *tables: Table) -> list[Parsed]:
    """The rows of a series by days, as much of it for each of ``tables`` as its columns say."""
    names = tuple(dict.fromkeys(name for table in tables for name in table.values))
    stamps, rows = _series(document, names)
    days = [iso_day(stamp) for stamp in stamps]
    parsed = []
    for table in tables:
        if table.values == names:
            values: Iterable[Row] = rows
        else:
            values = map(itemgetter(*map(names.index, table.values)), rows)
            if table.values == BAR:
                values = map(_as_traded, values)
        # Oldest first, as the indexes like it; of a doubled day the newest row stays.
        by_day = {day: (document.symbol, day, *row) for day, row in zip(days, values, strict=True)}
        parsed.append(Parsed(table, list(by_day.values())))
    return parsed


def intraday(document: Document, as_traded: Table, adjusted: Table | None = None) -> list[Parsed]:
    """Intraday bars, their times by the zone that the answer names."""
    table = adjusted if adjusted and document.params.get("adjusted") == "true" else as_traded
    labelled = "bar_label" in table.values
    stamps, rows = _series(document, table.values[:-1] if labelled else table.values)
    by_time = {datetime.fromisoformat(stamp): row for stamp, row in zip(stamps, rows, strict=True)}
    interval = _interval(document, list(by_time))
    label = (_label(by_time),) if labelled else ()
    # Of currencies and coins a CSV names no zone, and JSON always names UTC.
    zone = _zone(document.meta("Time Zone") or (_EASTERN if labelled else "UTC"))
    return [
        Parsed(
            table,
            [
                (document.symbol, interval, utc(at.replace(tzinfo=zone)), *row, *label)
                for at, row in by_time.items()
            ],
        )
    ]


def utc_of(text: str, zone: str | None = None) -> str:
    """A time such as "2026-05-15 16:16:00 US/Eastern", or with its ``zone`` apart, as UTC."""
    day, _, rest = text.strip().partition(" ")
    time, _, named = rest.partition(" ")
    at = datetime.fromisoformat(f"{day} {time}".strip())
    return utc(at.replace(tzinfo=_zone(named.strip() or zone or _EASTERN)))


def utc(at: datetime) -> str:
    """A time as text; all in one zone, so that later ones are greater as texts, too."""
    return at.astimezone(UTC).isoformat()


def bar(values: Sequence[str | None], names: Sequence[str] = BAR) -> Row:
    """The numbers of a bar; ValueError where one is none, or there is no close."""
    numbers = []
    for name, text in zip(names, values, strict=True):
        try:
            numbers.append(number(text))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if numbers[-1] is None and name == "close":
            raise ValueError("close is missing")
    return tuple(numbers)


def _series(document: Document, names: tuple[str, ...]) -> tuple[list[str], list[Row]]:
    """The times of a series, and the values of these names at each; oldest first."""
    currency = document.symbol.replace("/", "-").rpartition("-")[2]
    if document.format == "csv":
        lines = document.csv()
        header = next(lines, [])
        found = list(lines)[::-1]
        take = _getter({squashed(name): n for n, name in enumerate(header)}, names, currency)
        stamps = [line[0] for line in found]
        return stamps, _numbers(names, list(map(take, found)))
    series = next((part for name, part in document.json.items() if "Time Series" in name), None)
    if series is None:
        raise ValueError("it holds no series")
    if not series:
        return [], []
    # In one answer all bars have the same names.
    first = next(iter(series.values()))
    take = _getter({squashed(name): name for name in first}, names, currency)
    newest_last = list(series)[::-1]
    return newest_last, _numbers(names, [take(series[stamp]) for stamp in newest_last])


def _getter(
    places: Mapping[str, Any], names: tuple[str, ...], currency: str
) -> Callable[[Any], tuple[str | None, ...]]:
    """What takes the values of ``names`` from their places; None where one has no place.

    Until 2023 coins had a price in the market's currency and one in dollars: "1a. open (CNY)".
    """
    wanted = [
        places.get(squashed(name), places.get(squashed(f"{name} ({currency})"))) for name in names
    ]
    if None not in wanted:
        return itemgetter(*wanted)
    return lambda fields: tuple(None if place is None else fields[place] for place in wanted)


def _numbers(names: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> list[Row]:
    """``rows`` as numbers. To see at once that all are plain takes a tenth of looking at each."""
    try:
        text = "\t".join(chain.from_iterable(rows))  # type: ignore[arg-type]  # a None raises
    except TypeError:  # a value is None
        text = ""
    tabs = len(rows) * len(names) - 1
    if text[-1:] != "\t" and text.count("\t") == tabs and _PLAIN.fullmatch(text):
        return rows
    return [bar(row, names) for row in rows]


def _as_traded(row: Row) -> Row:
    """Prices without float artefacts: 236.13099999999997 is what the plain function calls 236.1310.

    Otherwise the two functions would restate each other for ever.
    """
    return tuple(
        str(round(Decimal(value), 4))
        if value is not None and len(value) > 9 and _ARTEFACT.search(value)
        else value
        for value in row
    )


def _interval(document: Document, times: list[datetime]) -> str:
    """The bars' interval: as asked for, as the answer says, or the least distance of two bars."""
    said = document.params.get("interval") or document.meta("Interval")
    if said is None:
        least = min((b - a for a, b in pairwise(sorted(times))), default=timedelta(minutes=1))
        said = f"{least // timedelta(minutes=1)}min"
    return said


def _label(times: Collection[datetime]) -> str:
    """Whether the bars are named by their start or their end; the last bar ends at 20:00."""
    if any(at.hour == 20 for at in times):
        return "end"
    return "start" if all(at.date() >= _LABELLED_BY_START_SINCE for at in times) else "end"


@lru_cache
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        offset = _OFFSET.fullmatch(name)
        if offset is None:
            raise ValueError(f"{name!r} is not a time zone") from None
        return timezone(timedelta(hours=int(offset[1] + offset[2])))
