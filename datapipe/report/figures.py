"""Numbers as people read them, and small drawings of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

Number: TypeAlias = Decimal | int | float

_SCALES = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))


@dataclass(frozen=True)
class Glyphs:
    """What drawings are made of: ``blocks`` from the lowest to the highest."""

    blocks: str
    track: str
    marker: str
    rule: str
    nothing: str
    separator: str


UNICODE = Glyphs(
    blocks="▁▂▃▄▅▆▇█", track="─", marker="●", rule="─", nothing="–", separator="·"
)
ASCII = Glyphs(blocks="_.-=+*#", track="-", marker="o", rule="-", nothing="-", separator="|")


def glyphs(encoding: str) -> Glyphs:
    """The drawings that a stream of this encoding can carry."""
    try:
        "".join(vars(UNICODE).values()).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def price(value: Number) -> str:
    """Money with two decimals; below one with at least four, as penny stocks are quoted."""
    return f"{value:,.{_decimals(value)}f}"


def change(value: Number, like: Number | None = None) -> str:
    """A difference with its sign, as fine as the price it belongs to; zero has no sign."""
    return _signed(value, 2 if like is None else _decimals(like))


def percent(value: Number) -> str:
    return f"{value:,.2f}%"


def change_percent(value: Number) -> str:
    return f"{_signed(value, 2)}%"


def count(value: Number) -> str:
    """Three significant digits with K, M, B or T; whole below a thousand."""
    for scale, letter in _SCALES:
        scaled = abs(value) / scale
        if scaled >= 1 or round(abs(value)) * 1000 >= 999_500 * (scale // 1000):
            decimals = next((n for n, top in ((2, 9.995), (1, 99.95)) if scaled < top), 0)
            return f"{'-' if value < 0 else ''}{scaled:.{decimals}f}{letter}"
    return f"{value:.0f}"


def number(value: Number) -> str:
    """As it is, with at most four decimals."""
    if isinstance(value, int):
        return f"{value:,d}"
    exact = f"{value:,f}"
    rounded = f"{value:,.4f}"
    return min(exact, rounded, key=len)


def sparkline(values: Sequence[Number | None], blocks: str) -> str:
    """One block a value, from the lowest to the highest; a gap where there is no value."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    if low == high:
        level = blocks[(len(blocks) - 1) // 2]
        return "".join(" " if value is None else level for value in values)
    return "".join(
        " " if value is None else blocks[round((value - low) / (high - low) * (len(blocks) - 1))]
        for value in values
    )


def position(value: Number, low: Number, high: Number, width: int, drawn: Glyphs) -> str:
    """A bar from ``low`` to ``high`` with a mark where ``value`` stands; in the middle if equal."""
    share = 0.5 if low == high else float((value - low) / (high - low))
    at = round(min(max(share, 0.0), 1.0) * (width - 1))
    return drawn.track * at + drawn.marker + drawn.track * (width - 1 - at)


def _decimals(value: Number) -> int:
    magnitude = abs(Decimal(value))
    if magnitude >= 1 or magnitude == 0:
        return 2
    return min(max(4, 3 - magnitude.adjusted()), 12)


def _signed(value: Number, decimals: int) -> str:
    text = f"{value:+,.{decimals}f}"
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")
