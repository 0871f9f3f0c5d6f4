"""The line of a file that an error is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from datapipe.errors import DatapipeError, ProjectError

_Error = TypeVar("_Error", bound=DatapipeError)

_WIDEST = 160


def snippet(
    path: Path, line: int | None, *, about: str = "", with_line_before: bool = False
) -> str:
    """``line`` of the file as it is shown below a message; of a long one, what is round ``about``.

    Nothing where there is no such line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""
    lines = text.replace("\0", "").split("\n")  # which PostgreSQL would not keep
    if line is None or not 0 < line <= len(lines):
        return ""
    shown = f"\n  {line} | {_cut(lines[line - 1].rstrip(), about)}"
    before = lines[line - 2].rstrip() if with_line_before and line > 1 else ""
    return f"\n  {line - 1} | {_cut(before, '')}{shown}" if before else shown


def shown(error: _Error) -> _Error:
    """``error`` with the line of the file at which it stands, unless that is shown already."""
    if not isinstance(error, ProjectError) or error.path is None:
        return error
    if not re.search(rf"\n\s+{error.line} \| ", str(error)):
        error.args = (f"{error}{snippet(error.path, error.line)}",)
    return error


@contextmanager
def showing() -> Iterator[None]:
    """Show the lines of the mistakes in a project that are raised in here."""
    try:
        yield
    except ProjectError as error:
        raise shown(error) from error.__cause__


def written_in(paths: Iterable[Path], text: str) -> tuple[Path, int] | None:
    """The first of the files that has the first line of ``text``, and the line it has it in."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            if first and first in line:
                return path, number
    return None


def _cut(text: str, about: str) -> str:
    if len(text) <= _WIDEST:
        return text
    start = max(0, text.find(about) - _WIDEST // 2) if about else 0
    end = start + _WIDEST
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
