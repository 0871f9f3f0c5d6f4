"""Templates rendered once more with marks in them, which tell what line wrote what."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.compile import Compiler
from datapipe.transform.jinja.gaps import Gap
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.templates import MARK, Marked
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest

# A macro that looks at what it is given may take a mark for something else: in the body alone, the
# marks tell less, but do no harm.
_WAYS: tuple[Marked, ...] = ("all", "body")
_TEXT_OR_TOKEN = re.compile(r"""'[^']*'|[\w"]+|\S""")


@frozen
class Mark:
    """A mark: the line of a file that wrote what stands from ``start`` on in what was rendered.

    What stands in the file as text goes on over the lines below; what an expression gave does not.
    """

    start: int
    path: Path
    line: int
    is_text: bool

    def line_at(self, text: str, offset: int) -> int:
        """The line of the file that wrote ``text`` at ``offset``, which is in reach of the mark."""
        return self.line + (text.count("\n", self.start, offset) if self.is_text else 0)


def rendered_again(
    compiler: Compiler, node: Model | DataTest
) -> Iterator[tuple[Renderer, str, list[Mark]]]:
    """What ``node`` renders to, and the marks that were in it, in each of the ways that work."""
    for way in _WAYS:
        with suppress(ProjectError):  # a macro took a mark for something else
            renderer = marking(compiler, way)
            text, _ = compiler.with_renderer(renderer).rendered(node)
            yield renderer, *taken_out(renderer, text)


def marking(compiler: Compiler, way: Marked = "all") -> Renderer:
    """A renderer like the compiler's that leaves marks."""
    return Renderer(compiler.renderer.project, compiler.renderer.target, marked=way)


def taken_out(renderer: Renderer, marked: str) -> tuple[str, list[Mark]]:
    """``marked``, which ``renderer`` made, without its marks, and the marks."""
    files = renderer.environment.files
    pieces, marks = [], []
    end = length = 0
    for found in MARK.finditer(marked):
        pieces.append(marked[end : found.start()])
        length += found.start() - end
        end = found.end()
        marks.append(Mark(length, files[int(found[1])], int(found[2]), found[3] == "c"))
    pieces.append(marked[end:])
    return "".join(pieces), marks


def mark_at(marks: Sequence[Mark], offset: int) -> Mark | None:
    """The last mark up to ``offset``."""
    at = bisect.bisect_right([mark.start for mark in marks], offset) - 1
    return marks[at] if at >= 0 else None


def same_offset(plain: str, offset: int, text: str) -> int | None:
    """Where that stands in ``text`` which stands at ``offset`` of ``plain``.

    A mark may keep a trim from cutting spaces, so what is no space is counted. None where more than
    spaces differs, as where a template's logic looked at the marks.
    """
    if text == plain:
        return offset
    if "".join(text.split()) != "".join(plain.split()):
        return None
    count = len("".join(plain[:offset].split()))
    for at, character in enumerate(text):
        if not character.isspace():
            if count == 0:
                return at
            count -= 1
    return len(text)


def gap_in(renderer: Renderer, sql: str, offset: int) -> Gap | None:
    """The name that nobody knows, for which ``renderer`` wrote nothing at ``offset`` of ``sql``."""
    token = _TEXT_OR_TOKEN.match(sql, offset)
    end = token.end() if token else offset
    return next((gap for gap in renderer.gaps if gap.is_at(sql, offset, end)), None)
