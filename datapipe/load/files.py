"""Prices from users' own CSV files. The header's names decide what a column is."""

from __future__ import annotations

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from datapipe import symbols
from datapipe.errors import LoadError, UsageError
from datapipe.frozen import frozen
from datapipe.load.parse import Row
from datapipe.load.parse.prices import bar, utc
from datapipe.load.tables import BAR, DAILY_PRICES, INTRADAY_PRICES, Table

_NAMES = {
    "symbol": ("symbol", "ticker"),
    "time": ("session_date", "date", "timestamp", "time", "datetime", "bar_at", "day"),
    "interval": ("bar_interval", "interval"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume",),
}
_EASTERN = ZoneInfo("America/New_York")


@frozen
class Rejected:
    """A row that was put aside. ``line`` counts from 1, the header's line included."""

    path: Path
    line: int
    reason: str
    content: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


@dataclass
class ReadFile:
    """The good rows of a file, for ``table``, and the rows that were put aside."""

    table: Table
    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def read(path: Path) -> ReadFile:
    """Read a CSV file of daily or, where its times have a time of day, intraday prices.

    Without a symbol column the file's name is the symbol (``AAPL.csv``). Times without an offset
    are New York's. Raises LoadError when the file as a whole cannot be read.
    """
    lines = _text(path).splitlines()
    if not lines:
        raise LoadError(f"{path} is empty. Its first line must name the columns.")
    delimiter = max(",;\t|", key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        header = next(reader)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise LoadError(
            f"{path}:{reader.line_num}: this is not CSV: {error}. A quote may not be closed."
        ) from None
    today = datetime.now(_EASTERN).date()
    cells = _Cells(path, _columns(path, header), len(header), today)
    if any(cells.has_time_of_day(row) for _, row in rows[:20]):
        result = ReadFile(INTRADAY_PRICES)
        interval_of = _intervals(cells, rows)
    else:
        result = ReadFile(DAILY_PRICES)
    lines_by_key: dict[Row, int] = {}
    for line, row in rows:
        try:
            values = cells.bar(row)
            symbol = cells.symbol(row)
            if result.table is DAILY_PRICES:
                key: Row = (symbol, cells.session_date(row).isoformat())
            else:
                key = (symbol, interval_of[symbol], utc(cells.time(row)))
                values = (*values, "start")
            first = lines_by_key.setdefault(key, line)
            if first != line:
                raise ValueError(f"it is of the same {symbol} bar as line {first}")
        except (ValueError, UsageError) as error:
            content = delimiter.join(row).replace("\0", "\u2400")  # no text of PostgreSQL has NUL
            result.rejected.append(Rejected(path, line, str(error), content))
        else:
            result.rows.append((*key, *values))
    return result


@frozen
class _Cells:
    """Takes the cells of a row by what they are; ValueError says what is wrong with one."""

    path: Path
    columns: dict[str, int]
    width: int
    today: date

    def get(self, row: Sequence[str], name: str) -> str:
        index = self.columns.get(name)
        return row[index].strip() if index is not None and index < len(row) else ""

    def symbol(self, row: Sequence[str]) -> str:
        if "symbol" in self.columns:
            return symbols.normalise(self.get(row, "symbol"))
        return symbols.normalise(self.path.name.removesuffix(".csv"))

    def has_time_of_day(self, row: Sequence[str]) -> bool:
        """Midnight alone is how some tools write a date."""
        time_of_day = self.get(row, "time")[10:].lstrip("T ")
        return bool(time_of_day) and not time_of_day.startswith("00:00")

    def session_date(self, row: Sequence[str]) -> date:
        text = self.get(row, "time")
        bare = text[:10] if text[10:11] in {"T", " "} else text
        try:
            found = date.fromisoformat(bare.replace("/", "-"))
        except ValueError:
            raise ValueError(f"{text!r} is not a date; write it as 2026-05-15") from None
        if found > self.today:
            raise ValueError(f"{text} is in the future")
        return found

    def time(self, row: Sequence[str]) -> datetime:
        text = self.get(row, "time")
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a time; write it as 2026-05-15 09:30:00") from None
        return found if found.tzinfo else found.replace(tzinfo=_EASTERN)

    def bar(self, row: Sequence[str]) -> Row:
        if len(row) != self.width:
            raise ValueError(f"it has {len(row)} fields, and the header has {self.width}")
        values = bar([self.get(row, name) for name in BAR])
        for name, value in zip(BAR, values, strict=True):
            if value and value.startswith("-"):
                raise ValueError(f"{name}: {value} is below zero")
        _, high, low, *_ = values
        if high is not None and low is not None and Decimal(high) < Decimal(low):
            raise ValueError(f"high {high} is below low {low}")
        return values


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        written = "UTF-16" if error.object[:2] in {BOM_UTF16_LE, BOM_UTF16_BE} else "LATIN1"
        raise LoadError(
            f"{path} is not UTF-8 (at byte {error.start}). Convert it first, for example with "
            f"iconv -f {written} -t UTF-8."
        ) from None


def _columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Where in a row each thing is, by the header's names."""
    places = {name.strip().lower().replace(" ", "_"): n for n, name in enumerate(header)}
    columns = {
        what: places[name]
        for what, names in _NAMES.items()
        for name in reversed(names)
        if name in places
    }
    missing = [
        f"{what} ({' or '.join(_NAMES[what])})" for what in ("time", "close") if what not in columns
    ]
    if missing:
        raise LoadError(
            f"{path}:1: the header has no column for {' and '.join(missing)}. "
            f"It names {', '.join(header)[:200]}."
        )
    return columns


def _intervals(cells: _Cells, rows: Sequence[tuple[int, list[str]]]) -> dict[str, str]:
    """Each symbol's interval: of the interval column, or the least distance of two bars."""
    times: dict[str, list[datetime]] = {}
    said: dict[str, str] = {}
    for _, row in rows:
        try:
            symbol, time = cells.symbol(row), cells.time(row)
        except (ValueError, UsageError):
            continue
        times.setdefault(symbol, []).append(time)
        if interval := cells.get(row, "interval"):
            said[symbol] = interval
    return {
        symbol: said.get(symbol) or f"{_least_distance(found) // timedelta(minutes=1)}min"
        for symbol, found in times.items()
    }


def _least_distance(times: list[datetime]) -> timedelta:
    distances = (later - earlier for earlier, later in pairwise(sorted(set(times))))
    return min(distances, default=timedelta(minutes=1))
