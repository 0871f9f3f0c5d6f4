"""Where a statement that a hook came to is written: in the hook, or in what it calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from datapipe.frozen import frozen
from datapipe.transform.compile import Compiler
from datapipe.transform.compile.locate.marks import gap_in, mark_at, marking, taken_out
from datapipe.transform.compile.locate.place import TemplatePlace
from datapipe.transform.jinja.gaps import Gap
from datapipe.transform.jinja.places import BUILT_IN
from datapipe.transform.jinja.templates import IN_YAML
from datapipe.transform.manifest.setting_lines import below
from datapipe.transform.source_text import text_of

_TOKEN = re.compile(r'[\w"]+|\S')


@frozen
class WrittenHook:
    """A hook as it is written, where it begins, what renders it, and the model it belongs to."""

    template: str
    path: Path
    line: int | None
    rendered: Callable[[Compiler], str]
    model: str = ""

    @property
    def place(self) -> TemplatePlace:
        return TemplatePlace(self.path, self.line)


def hook_place(compiler: Compiler, hook: WrittenHook, statement: str, offset: int) -> TemplatePlace:
    """The place that wrote what stands at ``offset`` of the ``statement`` that ``hook`` came to.

    In the statement relations may be called otherwise than in what the hook renders to, so that is
    found by the word, and by how many of the same stand before it.
    """
    written = hook.place
    token = _TOKEN.match(statement, offset)
    if token is None:
        return written
    renderer = marking(compiler)
    text, marks = taken_out(renderer, hook.rendered(compiler.with_renderer(renderer)))
    before = len(re.findall(re.escape(token[0]), statement[:offset]))
    found = [each.start() for each in re.finditer(re.escape(token[0]), text)]
    if before >= len(found):
        return written
    mark = mark_at(marks, found[before])
    line = mark.line_at(text, found[before]) if mark else 1 + text.count("\n", 0, found[before])
    if mark is None or mark.path == IN_YAML:
        return TemplatePlace(written.path, _line_in_yaml(hook, line))
    return written if mark.path.parent == BUILT_IN else TemplatePlace(mark.path, line, written)


def _line_in_yaml(hook: WrittenHook, number: int) -> int | None:
    """The line of the file that has the line ``number`` of a hook, also of one in a block."""
    own = hook.template.split("\n")[number - 1].strip()
    if hook.line is None or number == 1:
        return hook.line
    block = text_of(hook.path).split("\n")[hook.line - 1 :][: hook.template.count("\n") + 2]
    in_block = (hook.line + at for at, text in enumerate(block) if text.strip() == own)
    return next(in_block, None) or below(hook.path, hook.line, own) or hook.line


def gap_of_hook(compiler: Compiler, hook: WrittenHook, statement: str, offset: int) -> Gap | None:
    """The name that nobody knows and that left nothing at ``offset`` of the ``statement``."""
    if hook.path not in compiler.renderer.with_gaps:
        return None
    renderer = marking(compiler)
    hook.rendered(compiler.with_renderer(renderer))
    gap = gap_in(renderer, statement, offset)
    if gap is None or gap.line is not None:
        return gap
    return replace(gap, path=hook.path, line=hook.line)
