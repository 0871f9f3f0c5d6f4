"""The source that is a folder: answers that were recorded, one a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

from datapipe import symbols as tickers
from datapipe.errors import SourceError, UsageError
from datapipe.extract.answers import Answer, prove
from datapipe.extract.endpoints import Endpoint, Request

_NAME = re.compile(r"(?P<function>[A-Z0-9_]+?)__(?P<symbol>.+?)(?:__(?P<rest>.*))?\.(?:json|csv)")
_SPELLED_NO_SYMBOL = {tickers.NO_SYMBOL, "all", "none"}

# What export writes after the symbol: when the answer came, its number, and the parameters.
_EXPORTED = re.compile(r"(?P<at>\d{8}T\d{12}Z)-\d+(?:__(?P<params>.*))?")
_TIME = "%Y%m%dT%H%M%S%fZ"


class Recordings:
    """Reads files named ``FUNCTION__SYMBOL__anything.json`` or ``.csv``, in the order of names.

    Each is proven like an answer that has just come, so a recorded refusal is a refusal. A file
    that datapipe has exported has in its name when the answer came.
    """

    name = "recordings"
    concurrency = 1
    metered = False

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {folder}. --source takes alpha_vantage, sample, or a folder "
                "of files named FUNCTION__SYMBOL__anything.json or .csv."
            )
        self._folder = folder

    def requests(
        self, symbols: Sequence[str], endpoints: Sequence[Endpoint]
    ) -> tuple[Request, ...]:
        """A request for each file; without symbols or endpoints, for all of them."""
        functions = {endpoint.function for endpoint in endpoints}
        found = tuple(
            request
            for path in sorted(self._folder.iterdir())
            if (request := described(path.name))
            and (not symbols or request.symbol in symbols)
            and (not functions or request.function in functions)
        )
        if not found:
            raise UsageError(
                f"No file in {self._folder} is named FUNCTION__SYMBOL__anything.json or .csv"
                + (" for what was asked." if symbols or endpoints else ".")
            )
        return found

    async def fetch(self, request: Request) -> Answer:
        name = request.params["file"]
        try:
            body = (self._folder / name).read_bytes()
        except OSError as error:
            raise SourceError(f"{self._folder / name} cannot be read: {error.strerror}.") from None
        return prove(request, body, _came_at(name) or datetime.now(UTC))

    async def aclose(self) -> None:
        """Nothing is open."""


def described(name: str) -> Request | None:
    """The request that a file of this name answers; None if the name names no request.

    Its parameters are the name itself, and those that the name of an exported file has.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    spelled = unquote(match["symbol"])
    try:
        symbol = tickers.NO_SYMBOL if spelled in _SPELLED_NO_SYMBOL else tickers.normalise(spelled)
    except UsageError:
        return None
    exported = _EXPORTED.fullmatch(match["rest"] or "")
    params = dict(parse_qsl((exported and exported["params"]) or "", keep_blank_values=True))
    return Request(match["function"], symbol, {**params, "file": name})


def file_name(request: Request, fetched_at: datetime, number: int, suffix: str) -> str:
    """The name by which an answer is found again: with its symbol, time and parameters."""
    params = {name: text for name, text in request.params.items() if name != "file"}
    parts = [
        request.function,
        quote(request.symbol, safe=""),
        f"{fetched_at.astimezone(UTC).strftime(_TIME)}-{number}",
    ]
    if params:
        parts.append(urlencode(sorted(params.items())))
    return "__".join(parts) + f".{suffix}"


def _came_at(name: str) -> datetime | None:
    match = _NAME.fullmatch(name)
    exported = _EXPORTED.fullmatch((match and match["rest"]) or "")
    return datetime.strptime(exported["at"], _TIME).replace(tzinfo=UTC) if exported else None
