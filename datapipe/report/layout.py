"""Lays out the columns of a report for a terminal, and leaves out what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from datapipe.frozen import frozen
from datapipe.report import figures
from datapipe.report.figures import Glyphs
from datapipe.report.result import Column, Report

GAP = "  "
_HEADERS = {
    "change_percent": "Change %",
    "traded_value": "Traded",
    "session_date": "Session",
    "range": "52 weeks",
}
_SIGNED = {"change", "change_percent"}
_RANGE = ("close", "low_52_week", "high_52_week")


@frozen
class Cells:
    """One column as shown; ``width`` is that of its widest text, in cells of a terminal."""

    header: str
    texts: tuple[str, ...]
    styles: tuple[str, ...]
    width: int
    left: bool


class Layout:
    """The columns of a report as shown, and what they become where there is less room."""

    def __init__(self, report: Report, drawn: Glyphs) -> None:
        self._report = report
        self._drawn = drawn
        self._columns = {column.name: column for column in report.columns}
        self._prices = {column.name for column in report.columns if column.kind == "price"}
        self.names = tuple(self._keys())

    def whole(self) -> dict[str, Cells]:
        """Every column at its full width."""
        return {key: self._cells(key) for key in self.names}

    def fitted(self, limit: int | None) -> dict[str, Cells] | None:
        """The columns that fit into ``limit``, without the least important; None if too few fit."""
        columns = self.whole()
        if limit is None:
            return columns
        for key, narrower in self._reductions():
            if total_width(columns) <= limit:
                break
            if key in columns:
                if narrower is None:
                    del columns[key]
                else:
                    columns[key] = narrower()
        return columns if total_width(columns) <= limit else None

    def header(self, key: str) -> str:
        if key in _HEADERS:
            return _HEADERS[key]
        words = printable(key).replace("_", " ")
        return words[:1].upper() + words[1:] if not words.startswith("sma") else words.upper()

    def _keys(self) -> Iterator[str]:
        for column in self._report.columns:
            if column.name == "low_52_week" and set(_RANGE) <= self._prices:
                yield "range"
            elif not self._is_told_elsewhere(column):
                yield column.name

    def _is_told_elsewhere(self, column: Column) -> bool:
        """Whether other columns show it: a currency stands with its prices, for instance."""
        values = set(self._report.values(column.name)) - {None}
        if column.name == "session_date":
            return values == {self._report.as_of}
        if column.name == "source":
            return len(values) <= 1 and "symbol" in self._columns
        if column.name == "high_52_week":
            return set(_RANGE) <= self._prices
        return column.name == "currency" and "close" in self._prices

    def _reductions(self) -> Iterator[tuple[str, Callable[[], Cells] | None]]:
        yield "name", lambda: self._text("name", 28)
        yield "traded_value", None
        yield "source", None
        yield "closes", lambda: self._sparkline("closes", 20)
        yield "name", lambda: self._text("name", 18)
        yield "range", lambda: self._range(numbers=False)
        yield "name", lambda: self._text("name", 14)
        yield "change", None
        yield "sma_20", None
        yield "closes", lambda: self._sparkline("closes", 15)
        yield "name", None
        yield "closes", lambda: self._sparkline("closes", 10)
        yield "sma_50", None
        yield "session_date", None
        yield "range", None
        yield "sma_200", None
        yield "volume", None
        yield "closes", None

    def _cells(self, key: str) -> Cells:
        if key == "range":
            return self._range(numbers=True)
        kind = self._columns[key].kind
        if kind == "sparkline":
            return self._sparkline(key, None)
        if kind == "text":
            return self._text(key, None)
        return self._figures(key)

    def _text(self, key: str, limit: int | None) -> Cells:
        texts = [
            printable(str(value)) if value is not None else None for value in self._values(key)
        ]
        if limit is not None:
            texts = [text and _shortened(text, limit) for text in texts]
        style = "bold" if key == "symbol" else ""
        return self._made(key, texts, [style] * len(texts), left=True)

    def _figures(self, key: str) -> Cells:
        kind = self._columns[key].kind
        values = self._values(key)
        closes = self._values("close")
        texts: list[str | None] = []
        for value, close in zip(values, closes, strict=True):
            if value is None:
                texts.append(None)
            elif kind == "change":
                texts.append(figures.change(value, close))
            else:
                texts.append(_FORMATS[kind](value))
        if kind in {"price", "number", "change"}:
            texts = _aligned(texts)
        if key == "close" and kind == "price" and "currency" in self._columns:
            return self._money(key, texts)
        styles = [sign_style(value) if kind in _SIGNED else "" for value in values]
        return self._made(key, texts, styles)

    def _money(self, key: str, texts: Sequence[str | None]) -> Cells:
        """Amounts with their currency: in the header if it is the same in all rows."""
        currencies = [
            printable(currency or "") if text is not None else ""
            for text, currency in zip(texts, self._report.values("currency"), strict=True)
        ]
        width = max(map(cell_len, currencies), default=0)
        with_price = {
            each for each, text in zip(currencies, texts, strict=True) if text is not None
        }
        header = self.header(key)
        if len(with_price) == 1:
            header = f"{header} {with_price.pop()}".strip()
        else:
            texts = [
                text and f"{text} {currency}{' ' * (width - cell_len(currency))}"
                for text, currency in zip(texts, currencies, strict=True)
            ]
        return self._made(key, texts, [""] * len(texts), header=header)

    def _sparkline(self, key: str, points: int | None) -> Cells:
        series = [tuple(map(figures.known, values or ())) for values in self._values(key)]
        longest = max(map(len, series), default=0)
        points = min(longest, points or longest)
        texts = [
            figures.sparkline(values[-points:] if points else (), self._drawn.blocks) or None
            for values in series
        ]
        header = f"{points} closes" if key == "closes" else None
        padded = [text and text.rjust(points) for text in texts]  # the newest stand in one line
        return self._made(key, padded, ["cyan"] * len(texts), header=header, left=True)

    def _range(self, *, numbers: bool) -> Cells:
        rows = list(zip(*(self._values(key) for key in _RANGE), strict=True))
        lows = _padded(
            _aligned([figures.price(low) if low is not None else None for _, low, _ in rows])
        )
        highs = _aligned([figures.price(high) if high is not None else None for _, _, high in rows])
        texts: list[str | None] = []
        for (close, low, high), low_text, high_text in zip(rows, lows, _padded(highs), strict=True):
            if close is None or low is None or high is None:
                texts.append(None)
                continue
            bar = figures.position(close, low, high, 11 if numbers else 9, self._drawn)
            texts.append(f"{low_text} {bar} {high_text}" if numbers else bar)
        return self._made("range", texts, [""] * len(rows), left=True)

    def _made(
        self,
        key: str,
        texts: Sequence[str | None],
        styles: Sequence[str],
        *,
        header: str | None = None,
        left: bool = False,
    ) -> Cells:
        header = self.header(key) if header is None else header
        whole = tuple(self._drawn.nothing if text is None else text for text in texts)
        return Cells(
            header=header,
            texts=whole,
            styles=tuple(
                "dim" if text is None else style for text, style in zip(texts, styles, strict=True)
            ),
            width=max(map(cell_len, (header, *whole))),
            left=left,
        )

    def _values(self, key: str) -> tuple[Any, ...]:
        return tuple(map(figures.known, self._report.values(key)))


_FORMATS: dict[str, Callable[[Any], str]] = {
    "date": str,
    "number": figures.number,
    "price": figures.price,
    "percent": figures.percent,
    "change_percent": figures.change_percent,
    "count": figures.count,
}


def total_width(columns: dict[str, Cells]) -> int:
    return sum(column.width for column in columns.values()) + len(GAP) * (len(columns) - 1)


def sign_style(value: Any) -> str:
    return "" if not value else "green" if value > 0 else "red"


def _aligned(texts: Sequence[str | None]) -> list[str | None]:
    """Numbers padded on the right, so that their decimal points stand in one line."""
    tails = [len(text.partition(".")[2]) if text else 0 for text in texts]
    longest = max(tails, default=0)
    return [
        text and text + " " * (longest - tail + (longest > 0 == tail))
        for text, tail in zip(texts, tails, strict=True)
    ]


def _padded(texts: Sequence[str | None]) -> list[str]:
    width = max((len(text or "") for text in texts), default=0)
    return [(text or "").rjust(width) for text in texts]


def _shortened(text: str, limit: int) -> str:
    return text if cell_len(text) <= limit else set_cell_size(text, limit - 1).rstrip() + "…"


def printable(text: str) -> str:
    """Without the control characters by which a name from outside could command a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)
