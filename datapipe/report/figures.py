"""Numbers as people read them, and small drawings of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, TypeAlias

from datapipe.frozen import frozen

Number: TypeAlias = Decimal | int | float

_SCALES: tuple[tuple[int, str], ...] = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))
_ONE_MORE_DECIMAL_BELOW = (Decimal("9.995"), Decimal("99.95"))  # so that three digits are shown


@frozen
class Glyphs:
    """What drawings are made of: ``blocks`` from the lowest to the highest."""

    blocks: str
    track: str
    marker: str
    rule: str
    nothing: str
    separator: str


UNICODE = Glyphs(blocks="▁▂▃▄▅▆▇█", track="─", marker="●", rule="─", nothing="–", separator="·")
ASCII = Glyphs(blocks="_.-=+*#", track="-", marker="o", rule="-", nothing="-", separator="|")


def glyphs(encoding: str) -> Glyphs:
    """The drawings that a stream of this encoding can carry."""
    try:
        "".join(vars(UNICODE).values()).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def known(value: Any) -> Any:
    """``value``, or None for NaN and the infinities, which no drawing has a place for."""
    return None if isinstance(value, (Decimal, float)) and not isfinite(value) else value


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
    exact = Decimal(value)
    for scale, letter in _SCALES:
        if abs(exact) * 10_000 >= scale * 9_995:  # what would round to 1000 of the next smaller
            scaled = exact / scale
            decimals = sum(abs(scaled) < top for top in _ONE_MORE_DECIMAL_BELOW)
            return f"{scaled:.{decimals}f}{letter}"
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
    there = [float(value) for value in values if value is not None]
    low, high = min(there, default=0.0), max(there, default=0.0)
    highest = len(blocks) - 1

    def level(value: Number) -> int:
        return highest // 2 if low == high else round((float(value) - low) / (high - low) * highest)

    return "".join(" " if value is None else blocks[level(value)] for value in values)


def position(value: Number, low: Number, high: Number, width: int, drawn: Glyphs) -> str:
    """A bar from ``low`` to ``high`` with a mark where ``value`` stands; in the middle if equal."""
    share = 0.5 if low == high else (float(value) - float(low)) / (float(high) - float(low))
    at = round(min(max(share, 0.0), 1.0) * (width - 1))
    return drawn.track * at + drawn.marker + drawn.track * (width - 1 - at)


def _decimals(value: Number) -> int:
    magnitude = abs(Decimal(value))
    if magnitude >= 1 or magnitude == 0:
        return 2
    return 4 if magnitude >= Decimal("0.01") else min(3 - magnitude.adjusted(), 12)


def _signed(value: Number, decimals: int) -> str:
    text = f"{value:+,.{decimals}f}"
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")
