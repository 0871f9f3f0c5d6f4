"""Rows on their way into PostgreSQL, as the text that COPY reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from datapipe.frozen import frozen

_BLOCK = 200_000  # characters copied in one piece
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@frozen
class Incoming:
    """Rows of one origin: when they were known, where they came from."""

    rows: Sequence[tuple[str | None, ...]]
    known_from: datetime
    source: str
    response_id: int | None = None


def blocks(batch: Iterable[Incoming], width: int) -> Iterator[str]:
    """The text to copy, in large pieces: each piece is a call of the driver."""
    block: list[str] = []
    size = 0
    for incoming in batch:
        block.append(_copy_text(incoming, width))
        size += len(block[-1])
        if size >= _BLOCK:
            yield "".join(block)
            block, size = [], 0
    if block:
        yield "".join(block)


def _copy_text(incoming: Incoming, width: int) -> str:
    """The rows as COPY reads them; making one text of all takes a fifth of row after row."""
    version = _line((incoming.known_from.isoformat(), incoming.source, incoming.response_id))
    try:
        lines = list(map("\t".join, incoming.rows))  # type: ignore[arg-type]  # a None raises
        text = "\n".join(lines)
        plain = (
            "\\" not in text
            and "\r" not in text
            and text.count("\t") == len(lines) * (width - 1)
            and text.count("\n") == len(lines) - 1
        )
    except TypeError:  # a value is None
        plain = False
    if not plain:
        lines = [_line(row) for row in incoming.rows]
    return "".join([f"{line}\t{version}\n" for line in lines])


def as_texts(rows: Sequence[Sequence[str | None]]) -> list[str | None]:
    """Each row as one text, with tabs between its values; None for a row that lacks a value."""
    try:
        return list(map("\t".join, rows))  # type: ignore[arg-type]  # a None raises
    except TypeError:
        return [None if None in row else "\t".join(map(str, row)) for row in rows]


def _line(values: Iterable[object]) -> str:
    return "\t".join(r"\N" if value is None else str(value).translate(_ESCAPED) for value in values)
