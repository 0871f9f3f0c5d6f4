"""Answers: a body is one only when it proves to be."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from datapipe.errors import SourceError
from datapipe.extract.endpoints import Request
from datapipe.extract.refusals import refusal_in, spelled_in_row

_BOM = "\ufeff"
_COLUMN = re.compile(r"[A-Za-z_][\w .%/()-]*")
_SERIES = re.compile(r"(TIME_SERIES|FX|DIGITAL_CURRENCY|CRYPTO)_(DAILY|WEEKLY|MONTHLY|INTRADAY)")


class BrokenAnswer(SourceError):
    """What came is not an answer at all: a fault that may pass."""

    kind = "broken_answer"


class Unreachable(SourceError):
    """Nobody answered at the source's address: no request would fare better now."""

    kind = "unreachable"


@dataclass(frozen=True)
class Answer:
    """A proven answer, word for word. ``empty`` when it says that there is nothing to tell."""

    request: Request
    body: str
    format: Literal["json", "csv"]
    fetched_at: datetime
    empty: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()


def prove(request: Request, body: bytes, fetched_at: datetime) -> Answer:
    """The answer that ``body`` is.

    Raises a Refusal when it is one, and BrokenAnswer when it cannot be read as JSON or CSV or does
    not hold what was asked for. The content type is not looked at: it does not tell.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BrokenAnswer(f"The answer to {request} is not UTF-8.") from None
    if "\x00" in text:
        raise BrokenAnswer(f"The answer to {request} holds a NUL byte.")
    bare = text.removeprefix(_BOM).lstrip()
    if not bare:
        raise BrokenAnswer(f"The answer to {request} has no content.")
    if bare[0] in "{[":
        return Answer(request, text, "json", fetched_at, empty=_json_is_empty(request, bare))
    if bare[0] == "<":
        raise BrokenAnswer(f"The answer to {request} is a web page: {_title(bare)}")
    return Answer(request, text, "csv", fetched_at, empty=_csv_is_empty(request, bare))


def _json_is_empty(request: Request, text: str) -> bool:
    try:
        document = json.loads(text)
    except ValueError:
        raise BrokenAnswer(f"The answer to {request} breaks off or is not JSON.") from None
    if not isinstance(document, dict):
        raise BrokenAnswer(f"The answer to {request} is JSON, but not an object.")
    refusal = refusal_in(document)
    if refusal:
        raise refusal
    parts = [
        part
        for name, part in document.items()
        if isinstance(part, dict | list) and name != "Meta Data"
    ]
    if not document or (parts and not any(parts)):
        return True
    if _SERIES.match(request.function) and not any(_is_series(*item) for item in document.items()):
        raise BrokenAnswer(f"The answer to {request} holds no series: {sorted(document)}.")
    if request.function == "OVERVIEW" and "Symbol" not in document:
        raise BrokenAnswer(f"The answer to {request} describes no company: {sorted(document)}.")
    return False


def _is_series(name: str, part: Any) -> bool:
    return "Time Series" in name and isinstance(part, dict)


def _csv_is_empty(request: Request, text: str) -> bool:
    rows = list(csv.reader(text.splitlines()))
    header, rows = rows[0], [row for row in rows[1:] if row]
    if len(header) < 2 or not all(_COLUMN.fullmatch(cell.strip()) for cell in header):
        raise BrokenAnswer(f"The answer to {request} is neither JSON nor CSV: {text[:60]!r}.")
    if len(rows) == 1:
        refusal = spelled_in_row(rows[0])
        if refusal:
            raise refusal
    if rows and len(rows[-1]) != len(header):
        raise BrokenAnswer(f"The answer to {request} breaks off in row {len(rows)}.")
    if _SERIES.match(request.function) and header[0] not in {"timestamp", "time"}:
        raise BrokenAnswer(f"The answer to {request} holds no series: {','.join(header)[:60]!r}.")
    return not rows


def _title(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    return " ".join(found[1].split()) if found else page[:60]
