"""Ticker symbols: one spelling for each, from the first moment on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from datapipe.errors import UsageError

NO_SYMBOL = "-"  # of requests and rows that are of no share

_SYMBOL = re.compile(r"(?=.*[A-Z0-9])[A-Z0-9.:^&=/-]{1,32}")
_SHARE_CLASS = re.compile(r"([A-Z]+)[./]([A-Z])")


def normalise(symbol: str) -> str:
    """``symbol`` as Alpha Vantage spells it: upper case, share classes with a hyphen.

    ``brk.b`` becomes ``BRK-B``; a listing suffix such as ``TSCO.LON`` keeps its dot.
    """
    spelled = symbol.strip().upper()
    if not _SYMBOL.fullmatch(spelled):
        raise UsageError(
            f"{symbol!r} is not a ticker symbol. Write symbols as AAPL, BRK-B or TSCO.LON, "
            "with commas between them."
        )
    return _SHARE_CLASS.sub(r"\1-\2", spelled) if _SHARE_CLASS.fullmatch(spelled) else spelled


def split(text: str) -> tuple[str, ...]:
    """The symbols of a comma-separated list, normalised, each once, in the order given."""
    return unique(part for part in text.replace("\n", ",").split(",") if part.strip())


def unique(symbols: Iterable[str]) -> tuple[str, ...]:
    """``symbols`` normalised, each once, in the order given."""
    return tuple(dict.fromkeys(normalise(symbol) for symbol in symbols))
