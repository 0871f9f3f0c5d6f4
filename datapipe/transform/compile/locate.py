"""What PostgreSQL says of compiled SQL, told in the words and lines of its template."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.compile import Compiled, Compiler, guess, marked_again
from datapipe.transform.jinja import said
from datapipe.transform.jinja.places import BUILT_IN
from datapipe.transform.jinja.templates import MARK, Marked
from datapipe.transform.manifest.nodes import DataTest, Model
from datapipe.warehouse.failures import failure

_MARKED: tuple[Marked, ...] = ("all", "body")


def project_error(
    error: psycopg.Error, compiled: Compiled, sent_at: list[int], compiler: Compiler
) -> DatapipeError:
    """The error to raise for what PostgreSQL said of a statement that holds ``compiled``.

    ``sent_at`` are the offsets at which the compiled SQL begins in what was sent.
    """
    node = compiled.node
    doing = f"building {node.name}" if isinstance(node, Model) else f"the test {node.name}"
    if not said.is_fault_of_sql(error):
        return failure(error, doing)
    message = said.message(error, doing)
    offset = _offset(error, compiled, sent_at)
    if offset is None:
        offset = guess.likely_offset(error, compiled.sql)
        if offset is not None:
            message += " PostgreSQL does not say where; it is likely here."
    path, line = node.path, node.line if isinstance(node, DataTest) else None
    if offset is not None:
        path, line = template_place(compiler, *compiled.origin(offset))
    elif isinstance(node, Model):
        line = guess.named_line(error, node.raw_code)
    return ProjectError(message + _snippet(path, line), path=path, line=line, model=node.name)


def with_near_name(
    error: DatapipeError, cause: psycopg.Error, connection: psycopg.Connection, compiled: Compiled
) -> DatapipeError:
    """``error`` with the near name of what PostgreSQL did not find, if there is one."""
    if not isinstance(error, ProjectError):
        return error
    near = said.near_name(cause, connection, compiled.sql)
    if near:
        first, newline, rest = str(error.args[0]).partition("\n")
        error.args = (f"{first}{near}{newline}{rest}",)
    return error


def template_place(
    compiler: Compiler, node: Model | DataTest, offset: int
) -> tuple[Path, int | None]:
    """The file and line of the template that wrote what stands at ``offset`` of its rendering."""
    plain, _ = compiler.rendered(node)
    for marked in _MARKED:
        text, files = marked_again(compiler, node, marked)
        text, marks = _without_marks(text)
        at = offset
        if text != plain:
            # A mark may keep a trim from cutting spaces: count what is not space instead. Where
            # a template's logic looked at the marks, more than that is different.
            if "".join(text.split()) != "".join(plain.split()):
                continue
            at = _same_character(text, len("".join(plain[:offset].split())))
        found = bisect.bisect_right([mark.start for mark in marks], at) - 1
        if found >= 0 and files[marks[found].file].parent != BUILT_IN:
            mark = marks[found]
            further = text.count("\n", mark.start, at) if mark.counts else 0
            return files[mark.file], mark.line + further
    return node.path, node.line if isinstance(node, DataTest) else None


@dataclass(frozen=True)
class _Mark:
    start: int
    file: int
    line: int
    counts: bool


def _without_marks(marked: str) -> tuple[str, list[_Mark]]:
    """The text without its marks, and where they were."""
    pieces, marks = [], []
    end = length = 0
    for found in MARK.finditer(marked):
        pieces.append(marked[end : found.start()])
        length += found.start() - end
        end = found.end()
        marks.append(_Mark(length, int(found[1]), int(found[2]), found[3] == "c"))
    pieces.append(marked[end:])
    return "".join(pieces), marks


def _same_character(text: str, count: int) -> int:
    """The offset of the character of ``text`` that has ``count`` others but spaces before it."""
    for offset, character in enumerate(text):
        if not character.isspace():
            if count == 0:
                return offset
            count -= 1
    return len(text)


def _offset(error: psycopg.Error, compiled: Compiled, sent_at: list[int]) -> int | None:
    """Where in the compiled SQL PostgreSQL points; None if it points nowhere."""
    if error.diag.statement_position is None:
        return None
    position = int(error.diag.statement_position) - 1
    length = len(compiled.sql)
    before = [start for start in sent_at if start <= position]
    if not before:
        return 0
    # Behind its end, something in it was left open: its last line is the best there is to say.
    return min(position - before[-1], length)


def _snippet(path: Path, line: int | None) -> str:
    if line is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").splitlines()[line - 1]
    except (OSError, IndexError):
        return ""
    return f"\n  {line} | {text}"
