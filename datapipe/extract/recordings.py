"""The source that is a folder: answers that were recorded, one a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from datapipe import symbols as tickers
from datapipe.errors import SourceError, UsageError
from datapipe.extract.answers import Answer, prove
from datapipe.extract.endpoints import Endpoint, Request

_NAME = re.compile(r"(?P<function>[A-Z0-9_]+?)__(?P<symbol>.+?)(?:__.*)?\.(?:json|csv)")
_NO_SYMBOL = {"-", "all", "none"}


class Recordings:
    """Reads files named ``FUNCTION__SYMBOL__anything.json`` or ``.csv``, in the order of names.

    Each is proven like an answer that has just come: a recorded refusal is a refusal.
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
            if (request := _request(path))
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
        path = self._folder / request.params["file"]
        try:
            body = path.read_bytes()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}.") from None
        return prove(request, body, datetime.now(UTC))

    async def aclose(self) -> None:
        """Nothing is open."""


def _request(path: Path) -> Request | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    symbol = "-" if match["symbol"] in _NO_SYMBOL else tickers.normalise(match["symbol"])
    return Request(match["function"], symbol, {"file": path.name})
