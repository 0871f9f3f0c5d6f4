"""Proves answers: what came is one only if it is data, and what was asked for."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from datetime import datetime
from typing import Any, Literal

from datapipe.errors import Refusal, SourceError
from datapipe.extract import contents
from datapipe.extract.endpoints import Request
from datapipe.extract.refusals import UnknownNotice, classified, refusal_in, spelled_in_row
from datapipe.frozen import frozen

_BOM = "\ufeff"
_INVENTED = "SAMPLE DATA in the place of rows."
_COLUMN = re.compile(r"[A-Za-z_][\w .%/()-]*")


class BrokenAnswer(SourceError):
    """What came is no answer at all, which may pass. ``kind`` is the finer class."""

    def __init__(self, message: str, *, kind: str = "broken_answer") -> None:
        super().__init__(message)
        self.kind = kind


class WrongAnswer(BrokenAnswer):
    """What came is an answer, but to another question, or from an earlier time."""


class Unreachable(SourceError):
    """Nobody answers at the source's address, so no other request would fare better now."""

    kind = "unreachable"


@frozen
class Answer:
    """A proven answer, word for word; ``empty`` if it says that there is no data.

    ``repeated_key`` is True if it held the key, which was taken out.
    """

    request: Request
    body: str
    format: Literal["json", "csv"]
    fetched_at: datetime
    empty: bool = False
    repeated_key: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()


def prove(request: Request, body: bytes, fetched_at: datetime) -> Answer:
    """The answer that ``body`` is.

    Raises a Refusal when it is one, BrokenAnswer when it cannot be read as JSON or CSV or does not
    hold what was asked for, and WrongAnswer when it answers something else. The content type is
    not looked at: it does not tell.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BrokenAnswer(f"The answer to {request} is not UTF-8.", kind="not_readable") from None
    if "\x00" in text:
        raise BrokenAnswer(f"The answer to {request} holds a NUL byte.", kind="not_readable")
    bare = text.removeprefix(_BOM).strip()
    if not bare:
        raise BrokenAnswer(f"The answer to {request} has no content.", kind="no_content")
    if bare[0] in "{[":
        return Answer(request, text, "json", fetched_at, empty=_json_is_empty(request, bare))
    if bare[0] == "<":
        raise BrokenAnswer(
            f"The answer to {request} is a web page: {_title(bare)}", kind="web_page"
        )
    return Answer(request, text, "csv", fetched_at, empty=_csv_is_empty(request, bare))


def _json_is_empty(request: Request, text: str) -> bool:
    try:
        document, end = _DECODER.raw_decode(text)
    except _NotPlainError as error:
        raise BrokenAnswer(f"The answer to {request} {error}.", kind="not_readable") from None
    except (ValueError, RecursionError):
        raise BrokenAnswer(
            f"The answer to {request} breaks off or is not JSON.", kind="truncated"
        ) from None
    if text[end:].strip():
        raise _appended(text[end:]) or BrokenAnswer(
            f"The answer to {request} goes on after its end: {text[end:].strip()[:60]!r}.",
            kind="not_readable",
        )
    if not isinstance(document, dict):
        raise BrokenAnswer(f"The answer to {request} is JSON, but not an object.", kind="no_data")
    refusal = refusal_in(document)
    if refusal is None and contents.is_invented(text):
        refusal = classified(_INVENTED)
    if refusal:
        raise refusal
    parts = [
        part
        for name, part in document.items()
        if isinstance(part, dict | list) and name != "Meta Data"
    ]
    if not document or (parts and not any(parts)):
        return True
    _check(request, contents.lacks(request, document), contents.contradicts(request, document))
    return False


def _appended(text: str) -> Refusal | None:
    """The refusal behind the data, if there is one."""
    refusal = classified(text[-2000:])
    return None if isinstance(refusal, UnknownNotice) else refusal


class _NotPlainError(ValueError):
    """JSON that different readers read differently, or not at all."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotPlainError("says the same thing twice: a name occurs twice in one object")
    return found


def _no_number(text: str) -> None:
    raise _NotPlainError(f"holds {text}, which is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)


def _csv_is_empty(request: Request, text: str) -> bool:
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise BrokenAnswer(
            f"The answer to {request} is not CSV: {error}.", kind="not_readable"
        ) from None
    header, rows = [cell.strip() for cell in rows[0]], [row for row in rows[1:] if row]
    if len(header) < 2 or not all(_COLUMN.fullmatch(cell) for cell in header):
        refusal = classified(text[:2000])
        if not isinstance(refusal, UnknownNotice):
            raise refusal
        raise BrokenAnswer(
            f"The answer to {request} is neither JSON nor CSV: {text[:60]!r}.", kind="no_data"
        )
    if rows and contents.is_invented(json.dumps(rows[0])):
        raise classified(_INVENTED)
    if len(rows) == 1:
        refused = spelled_in_row(rows[0])
        if refused:
            raise refused
    if rows and len(rows[-1]) != len(header):
        raise _appended(",".join(rows[-1])) or BrokenAnswer(
            f"The answer to {request} breaks off in row {len(rows)}.", kind="truncated"
        )
    _check(
        request,
        contents.columns_lack(request, header),
        contents.rows_contradict(request, header, rows),
    )
    return not rows


def _check(request: Request, lacking: str, contradicting: str) -> None:
    if lacking:
        raise BrokenAnswer(f"The answer to {request} {lacking}.", kind="no_data")
    if contradicting:
        raise WrongAnswer(f"The answer to {request} {contradicting}.", kind="wrong_answer")


def _title(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    return " ".join(found[1].split()) if found else page[:60]
