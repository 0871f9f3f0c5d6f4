"""Finds the lines of the templates that are being rendered, from the frames of the interpreter."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from datapipe.transform.source_text import text_of

Place = tuple[Path, int]

BUILT_IN = Path(__file__).with_name("macros")
# Patterns that most runs do not need are texts: re compiles them when it first meets them.
_ASSIGNED = (
    r"\{%-?\s*(?:set|for)\s+([\w\s,]+?)\s*(?:=|-?%\}|\bin\b)"
    r"|\{%-?\s*\w+\s+\w+\s*\(([^%]*)\)\s*-?%\}"
)

_RELATION = r'"[^"]+"(?:\."[^"]+")*'

# What Jinja calls in place of a filter or a test that there is not; its own line means nothing.
_STAND_IN = r"t_\d+"


def innermost() -> Place | None:
    """The line of a template that is being rendered now."""
    return next(calling(), None)


def calling() -> Iterator[Place]:
    """The lines of templates that are being rendered now, the innermost first."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - there is no other way to know
    while frame is not None:
        place = _place(frame.f_globals, frame.f_code.co_filename, frame.f_lineno)
        if place is not None:
            yield place
        frame = frame.f_back


def writing(name: str) -> Place | None:
    """The line that writes ``name``, among those that are being rendered now.

    That is the line of a call where ``name`` is an argument, and not the one in the macro.
    """
    for place in calling():
        line = line_with(name, place)
        if line is not None:
            return place[0], line
    return innermost()


def line_with(name: str, place: Place, *, anywhere: bool = False) -> int | None:
    """The line of a tag that has ``name`` in it; Jinja tells only the line that the tag begins on.

    With ``anywhere``, the lines below the tag are searched as well.
    """
    path, first = place
    lines = text_of(path).split("\n")
    for number, line in enumerate(lines[first - 1 :], first):
        if re.search(rf"\b{re.escape(name)}\b", line):
            return number
        if not anywhere and max(line.rfind("}}"), line.rfind("%}")) > max(
            line.rfind("{{"), line.rfind("{%")
        ):
            break  # no tag goes on with the next line
    return None


def comment_left_open(path: Path, line: int) -> int | None:
    """The line of a comment above ``line`` that was left open: another one begins within it."""
    text = text_of(path)
    for found in re.finditer(r"\{#.*?#\}", text, re.DOTALL):
        if "{#" in found[0][2:] and text.count("\n", 0, found.end()) < line:
            return text.count("\n", 0, found.start()) + 1
    return None


def passed(error: BaseException) -> list[Place]:
    """The lines of the project's templates that ``error`` passed through, the innermost last."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = _place(trace.tb_frame.f_globals, code.co_filename, trace.tb_lineno)
        if place and not re.fullmatch(_STAND_IN, code.co_name):
            found.append(place)
        trace = trace.tb_next
    return found


def innermost_of(error: BaseException) -> Place | None:
    """The innermost line of the project's templates that ``error`` passed through."""
    found = passed(error)
    if isinstance(error, RecursionError) and len(found) > 1:
        return found[-2]  # the last call had only just begun
    return found[-1] if found else None


def written_at(text: str, error: BaseException) -> Place | None:
    """The line that has ``text``, in the templates that ``error`` passed through.

    The innermost template is searched first, and in each the line nearest to where the error
    passed. If none has the whole text, the longest part of it between names of relations is looked
    for, as a template gives those by expressions.
    """
    longest = max((piece.strip() for piece in re.split(_RELATION, text)), key=len)
    for written in dict.fromkeys((text, longest)):
        for path, line in reversed(passed(error)):
            lines = text_of(path).split("\n")
            there = [number for number, each in enumerate(lines, 1) if written and written in each]
            if there:
                return path, min(there, key=lambda number: abs(number - line))
    return None


def given_at(name: str, error: BaseException) -> Place | None:
    """The innermost line with ``name`` in its tag, among those that ``error`` passed through."""
    for path, first in reversed(passed(error)):
        line = line_with(name, (path, first))
        if line is not None:
            return path, line
    return None


def _place(variables: dict[str, Any], filename: str, line: int) -> Place | None:
    template = variables.get("__jinja_template__")
    if template is not None:
        filename, line = template.filename, template.get_corresponding_lineno(line)
    elif "__jinja_exception__" not in variables:
        return None
    if filename in {None, "<template>"}:  # it came out of YAML, not out of a file
        return None
    path = Path(filename)
    return None if path.parent == BUILT_IN else (path, line)


def assigned(path: Path) -> frozenset[str]:
    """The names that a template sets anywhere, even where they do not reach other places."""
    found = (first or second for first, second in re.findall(_ASSIGNED, text_of(path)))
    return frozenset(re.findall(r"\w+", " ".join(found)))


def calls_of(path: Path, name: str) -> bool:
    """Whether a template calls ``name.something()``, as with macros of packages."""
    return re.search(rf"\b{re.escape(name)}\.\w+\s*\(", text_of(path)) is not None
