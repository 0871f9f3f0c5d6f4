"""From ``raw.responses`` to files that the source ``recordings`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from datapipe.errors import UsageError
from datapipe.extract.endpoints import Request
from datapipe.extract.recordings import described, file_name
from datapipe.frozen import frozen

_AT_ONCE = 50  # answers in memory; a full history has some megabytes


@frozen
class Exported:
    """How many answers were written, and how many files were there already and are as they were."""

    written: int
    kept: int


def run(connection: psycopg.Connection, folder: Path, *, symbols: Sequence[str] = ()) -> Exported:
    """Write each stored answer to a file of its own, word for word; nothing is overwritten.

    Safe to repeat: an answer whose file is there is not written again.
    """
    written = kept = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with connection.transaction(), connection.cursor(name="exported") as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(
                "SELECT response_id, function, symbol, params, format, body, fetched_at "
                "FROM raw.responses WHERE %(all)s OR symbol = ANY(%(symbols)s) "
                "ORDER BY symbol, response_id",
                {"all": not symbols, "symbols": list(symbols)},
            )
            for response_id, function, symbol, params, suffix, body, fetched_at in cursor:
                request = Request(function, symbol, params)
                name = _name(request, params, file_name(request, fetched_at, response_id, suffix))
                try:
                    with (folder / name).open("xb") as file:
                        file.write(body.encode())
                except FileExistsError:
                    kept += 1
                else:
                    written += 1
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be written: {error.strerror}."
        ) from None
    return Exported(written, kept)


def _name(request: Request, params: dict[str, str], name: str) -> str:
    """``name``, or the one that the answer came by when it was read from an exported file."""
    was = params.get("file", "")
    back = described(was)
    return was if back and back.symbol == request.symbol and "Z-" in was else name
