"""A stored answer, and what it is parsed into."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

from datapipe.frozen import frozen
from datapipe.load.tables import Table

Row = tuple[str | None, ...]

_NUMBERING = re.compile(r"^\s*\d+[a-z]?\s*[.:]\s*", re.ASCII)  # "5. ", "01. ", "1a. ", "1: "
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)
_MAY_NOT_BE_HELD = re.compile(r"\\u(0000|d[89a-f])", re.IGNORECASE)
_NO_LETTER = re.compile(r"[^a-z0-9()]+")


@frozen
class Document:
    """A stored answer, as the archive keeps it."""

    function: str
    symbol: str
    params: Mapping[str, str]
    format: str
    body: str

    def __str__(self) -> str:
        return f"{self.function} {self.symbol}"

    @cached_property
    def json(self) -> dict[str, Any]:
        """The answer as JSON, numbers as the texts that they came as; ValueError if it is CSV.

        What PostgreSQL's text cannot hold is left out: an escaped NUL, half of a surrogate pair.
        """
        if self.format != "json":
            raise ValueError("it is CSV, and JSON was expected")
        text = self._text
        found = _DECODER.decode(text)
        if _MAY_NOT_BE_HELD.search(text):
            found = _held(found)
        if not isinstance(found, dict):
            raise ValueError("it is JSON, but not an object")
        return found

    def csv(self) -> Iterator[list[str]]:
        """The answer's lines as CSV, the header first; blank ones are left out."""
        reader = csv.reader(self._text.splitlines())
        return (line for line in reader if line)

    def meta(self, word: str) -> str | None:
        """What ``Meta Data`` says under the name that ends in ``word``; its numbering varies."""
        if self.format != "json":
            return None
        meta = self.json.get("Meta Data", {})
        wanted = squashed(word)
        return next((str(text) for name, text in meta.items() if squashed(name) == wanted), None)

    def records(self, *under: str) -> list[Mapping[str, Any]]:
        """The answer's records by their squashed names: CSV rows, or the list that lies ``under``.

        An object there is a single record.
        """
        if self.format == "csv":
            return _from_csv(self.csv())
        if not under:
            return [_squashed_keys(self.json)]
        wanted = {squashed(name) for name in under}
        for name, part in self.json.items():
            if squashed(name) in wanted:
                return [_squashed_keys(one) for one in ([part] if isinstance(part, dict) else part)]
        raise ValueError(f"it holds no {' or '.join(under)}")

    @property
    def _text(self) -> str:
        return self.body.removeprefix("\ufeff")


@frozen
class Parsed:
    """Rows for ``table``, each as its ``columns`` say."""

    table: Table
    rows: list[Row]


@lru_cache(maxsize=4096)
def squashed(label: str) -> str:
    """What a label says: without numbering, spaces, case, and what an entitlement adds to it.

    "5. adjusted close", "adjusted_close" and "adjustedClose" are all "adjustedclose", and
    "Global Quote - DATA DELAYED BY 15 MINUTES" is "globalquote". What is in brackets stays.
    """
    return _NO_LETTER.sub("", _NUMBERING.sub("", label.partition(" - ")[0]).lower())


def _held(value: Any) -> Any:
    """``value`` without the characters that no text of PostgreSQL has."""
    if isinstance(value, dict):
        return {_held(name): _held(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_held(part) for part in value]
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
    return value


def _squashed_keys(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {squashed(name): value for name, value in record.items()}


def _from_csv(lines: Iterator[list[str]]) -> list[Mapping[str, Any]]:
    header = [squashed(name) for name in next(lines, [])]
    return [dict(zip(header, line, strict=True)) for line in lines]
