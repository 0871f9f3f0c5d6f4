"""The line of a file that an error is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.source_text import text_of

_Error = TypeVar("_Error", bound=DatapipeError)

_WIDEST = 160
_WIDEST_MARKED = 72  # the marks below are to stand right in a narrow terminal, too
_CUT = "..."


def snippet(
    path: Path,
    line: int | None,
    *,
    about: str = "",
    column: int | None = None,
    with_line_before: bool = False,
) -> str:
    """``line`` of the file as it is shown below a message; of a long one, the part round ``about``.

    With a ``column``, counted from 0, ``about`` is marked there. Empty where there is no such line.
    """
    lines = _lines(path)
    if line is None or not 0 < line <= len(lines):
        return ""
    written, gutter = lines[line - 1].rstrip(), f"  {line}"
    if column is None or not written.startswith(about, column):
        shown = f"\n{gutter} | {_cut(written, about)}"
    else:
        cut, marks = _marked(written, column, column + max(1, len(about.rstrip())))
        shown = f"\n{gutter} | {cut}\n{' ' * len(gutter)} | {marks}"
    before = lines[line - 2].rstrip() if with_line_before and line > 1 else ""
    return f"\n  {line - 1} | {_cut(before, '')}{shown}" if before else shown


def only(word: str, text: str) -> int | None:
    """Where ``word`` stands in ``text``, if it stands there just once."""
    before = r"(?<!\w)" if word[:1].isalnum() else ""
    after = r"(?!\w)" if word[-1:].isalnum() else ""
    found = [each.start() for each in re.finditer(before + re.escape(word) + after, text)]
    return found[0] if word and len(found) == 1 else None


def shown(error: _Error) -> _Error:
    """``error`` with the line of the file at which it stands, unless that is shown already."""
    if not isinstance(error, ProjectError) or error.path is None:
        return error
    if not re.search(rf"\n\s+{error.line} \| ", str(error)):
        lines, line = _lines(error.path), error.line or 0
        column = only(error.about, lines[line - 1]) if 0 < line <= len(lines) else None
        below = snippet(error.path, error.line, about=error.about, column=column)
        error.args = (f"{error}{below}",)
    return error


@contextmanager
def showing() -> Iterator[None]:
    """Show, with each mistake in a project that is raised within, the line that it is about."""
    try:
        yield
    except ProjectError as error:
        raise shown(error) from error.__cause__


def _lines(path: Path) -> list[str]:
    return text_of(path).replace("\0", "").split("\n")  # which PostgreSQL would not keep


def _marked(text: str, start: int, end: int) -> tuple[str, str]:
    """``text``, or the part round the marks if it is long, and a line with marks to go below it."""
    if _cells(text) <= _WIDEST_MARKED:
        first, last = 0, len(text)
    else:
        width = _WIDEST_MARKED - 2 * len(_CUT)
        first = 0 if end <= width else min(start - width // 3, len(text) - width)
        last = first + width
    cut = f"{_CUT if first else ''}{text[first:last]}{_CUT if last < len(text) else ''}"
    before = cut[: start - first + (len(_CUT) if first else 0)]
    # A tab is as wide below as above.
    blank = "".join("\t" if each == "\t" else " " * _cells(each) for each in before)
    return cut, blank + "^" * max(1, _cells(text[start : min(end, last)]))


def _cells(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # seldom needed

    return cell_len(text)


def _cut(text: str, about: str) -> str:
    if len(text) <= _WIDEST:
        return text
    start = max(0, text.find(about) - _WIDEST // 2) if about else 0
    end = start + _WIDEST
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
