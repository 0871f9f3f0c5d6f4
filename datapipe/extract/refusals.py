"""Refusals: what the API says instead of data, always with status 200.

The classes differ by what the caller can do:

    Refusal
    ├── RateLimited       wait ``wait_seconds``, then ask again
    ├── QuotaSpent        stop for today
    ├── KeyRefused        stop: every request with this key would end so
    ├── NotEntitled       never again with this key; the next request may do
    ├── RequestRefused    never again; the next symbol may do
    └── UnknownNotice     a text that nobody has seen before: tell it
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from datapipe.errors import Refusal, SourceError
from datapipe.frozen import frozen


class RateLimited(Refusal):
    """Too many requests in too short a time."""


class QuotaSpent(Refusal):
    """The day's requests are used up."""


class KeyRefused(Refusal):
    """The key itself is not accepted."""


class NotEntitled(Refusal):
    """The key's plan does not include this."""


class RequestRefused(Refusal):
    """The symbol, the function or a parameter is unknown."""


class UnknownNotice(Refusal):
    """The API said something that is not known."""


class AskedElsewhere(SourceError):
    """Another run asks the same at this time; ``answered`` when it has its answer already."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


@frozen
class _Rule:
    """A text that holds one of ``phrases`` is of this ``kind``."""

    phrases: tuple[str, ...]
    refusal: type[Refusal]
    kind: str
    wait_seconds: float = 0.0
    cure: str = ""


_BUY = "A premium key has it: https://www.alphavantage.co/premium/"

# The order decides: the texts about limits name premium plans and keys, too, and the text about
# entitlement names the plans' limits. The texts were seen in answers of 2017 to 2026.
_RULES = (
    _Rule(
        ("1 request per second", "burst pattern detected", "requests per second"),
        RateLimited,
        "rate_limit.burst",
        wait_seconds=2,
    ),
    _Rule(("minute-level rate limit",), RateLimited, "rate_limit.minute", wait_seconds=60),
    _Rule(("5 calls per minute",), RateLimited, "rate_limit.unspecified", wait_seconds=60),
    _Rule(
        ("requests per day",),
        QuotaSpent,
        "rate_limit.daily",
        cure="The next run goes on; nothing is lost.",
    ),
    _Rule(("not yet entitled",), NotEntitled, "not_entitled", cure=_BUY),
    _Rule(("sample data", "artificial"), NotEntitled, "sample_data", cure=_BUY),
    _Rule(("premium endpoint", "premium feature"), NotEntitled, "premium_required", cure=_BUY),
    _Rule(
        ("**demo** api key",),
        KeyRefused,
        "demo_key",
        cure="Put a key of your own into ALPHA_VANTAGE_API_KEY.",
    ),
    _Rule(
        ("apikey is invalid or missing",),
        KeyRefused,
        "invalid_key",
        cure="Correct ALPHA_VANTAGE_API_KEY.",
    ),
    _Rule(
        ("this api function",),
        RequestRefused,
        "invalid_request",
        cure="Leave its endpoint out. Of datapipe mock-api: it serves what its --source holds.",
    ),
    _Rule(
        ("invalid api call", "does not exist", "invalid inputs"),
        RequestRefused,
        "invalid_request",
        cure="Is the symbol spelled as Alpha Vantage spells it (BRK-B, TSCO.LON)?",
    ),
    _Rule(
        ("api call frequency", "api call volume"),
        RateLimited,
        "rate_limit.unspecified",
        wait_seconds=60,
    ),
)

_NOTICES = ("error message", "note", "information")
_CSV_LETTERS = tuple(notice.replace(" ", "") for notice in _NOTICES)
_SHORT_KEY = 6  # a real key has 16 characters
_ESCAPES = ("%", "\\u", "&#")
_PUBLIC = "demo"  # the key that the API's own documentation uses


def refusal_in(document: Mapping[str, Any]) -> Refusal | None:
    """The refusal that a JSON answer is; None if it is no refusal.

    Only top-level keys count, since a series' own Meta Data has an "1. Information" as well. A
    ``message`` counts only if it says that the rows beside it are made up.
    """
    notices = {str(name).strip().lower(): text for name, text in document.items()}
    for notice in _NOTICES:
        if notice in notices:
            return classified(str(notices[notice]))
    message = document.get("message")
    if isinstance(message, str):
        found = classified(message)
        if not isinstance(found, UnknownNotice):
            return found
    return None


def classified(text: str) -> Refusal:
    """The refusal that ``text`` stands for."""
    lowered = text.lower()
    for rule in _RULES:
        if any(phrase in lowered for phrase in rule.phrases):
            message = f"Alpha Vantage refused ({rule.kind}): {text} {rule.cure}".strip()
            return rule.refusal(message, kind=rule.kind, wait_seconds=rule.wait_seconds)
    return UnknownNotice(f"Alpha Vantage said: {text}", kind="unknown_notice")


def spelled_in_row(cells: list[str]) -> Refusal | None:
    """The refusal that a single CSV row is, if it spells ``I,n,f,o,r,m,a``.

    That is how the calendars refuse: with the usual header, and the letters of the notice's name
    cut to the number of columns. The reason is not in it.
    """
    letters = [cell.strip().lower() for cell in cells]
    while letters and not letters[-1]:
        letters.pop()
    word = "".join(letters)
    spelled = len(letters) >= 3 and all(len(letter) == 1 for letter in letters)
    if not spelled or not any(notice.startswith(word) for notice in _CSV_LETTERS):
        return None
    return UnknownNotice(
        f"Alpha Vantage refused without saying why: the answer's only row spells {word!r}.",
        kind="unknown_notice",
    )


def redacted(text: str, key: str | None) -> str:
    """``text`` without ``key``, which the API repeats in some refusals.

    The key is found in any case, percent-encoded, and escaped as in JSON or HTML. A short key
    counts as one only if it is a word of its own.
    """
    if not key or key.lower() == _PUBLIC:
        return text
    lowered = text.lower()
    if key.lower() not in lowered and not any(sign in lowered for sign in _ESCAPES):
        return text  # nearly always, and much faster told than by the pattern
    return _spellings(key).sub("[key]", text)


def is_secret(key: str | None) -> bool:
    """Whether ``key`` is a secret, and too long to stand in an answer by chance."""
    return key is not None and len(key) >= _SHORT_KEY and key.lower() != _PUBLIC


@lru_cache(maxsize=8)
def _spellings(key: str) -> re.Pattern[str]:
    pattern = "".join(
        f"(?:{re.escape(letter)}|{_percent(letter)}|\\\\u{ord(letter):04x}|&\\#{ord(letter)};)"
        for letter in key
    )
    if len(key) < _SHORT_KEY:
        pattern = rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"
    return re.compile(pattern, re.IGNORECASE)


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02x}" for byte in letter.encode())
