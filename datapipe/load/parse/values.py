"""Single values: from the API's texts to what PostgreSQL reads as it is meant."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

# How the API writes that it has no value.
MISSING = frozenset({"", "none", "null", "-", ".", "n/a", "0000-00-00"})

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def number(value: object) -> str | None:
    """``value`` as PostgreSQL's numeric reads it; None where it says that there is no value.

    A percent sign is left out, and commas between thousands: 1,000.5% is 1000.5.
    """
    text = _stripped(value)
    if text.lower() in MISSING or text.lower() == "nan":
        return None
    bare = text.removesuffix("%").rstrip()
    if _THOUSANDS.fullmatch(bare):
        bare = bare.replace(",", "")
    if not _NUMBER.fullmatch(bare):
        raise ValueError(f"{text!r} is not a number")
    return bare


def day(value: object) -> str | None:
    """``value`` as an ISO date; None where it says that there is no value."""
    text = _stripped(value)
    if text.lower() in MISSING or text.lower() == "nan":
        return None
    return iso_day(text)


@lru_cache(maxsize=65_536)
def iso_day(text: str) -> str:
    """``text`` as an ISO date. Remembered, since all symbols have the same days."""
    return date.fromisoformat(text).isoformat()


def words(value: object) -> str | None:
    """``value`` as a text; None where it says that there is no value."""
    text = "" if value is None else str(value)
    return None if text.strip().lower() in MISSING else text


def ticker(value: object) -> str | None:
    """``value`` as a symbol: NA, NAN and TRUE are, and only what none can be is missing."""
    text = _stripped(value)
    return None if text in {"", "-", "n/a", "None", "null"} else text


def _stripped(value: object) -> str:
    return "" if value is None else str(value).strip()
