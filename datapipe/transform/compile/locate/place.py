"""Where in the templates a piece of compiled SQL was written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from datapipe.frozen import frozen
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.compile.locate.marks import (
    Mark,
    gap_in,
    mark_at,
    rendered_again,
    same_offset,
)
from datapipe.transform.compile.locate.template_text import has_word, lines_in_tags
from datapipe.transform.jinja.gaps import Gap
from datapipe.transform.jinja.places import BUILT_IN
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import below, column_above
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.snippet import only
from datapipe.transform.source_text import line_of, text_of

_TOKEN = re.compile(
    r"""(?:"[^"\n]*"|[^\W\d][\w$]*)(?:\.(?:"[^"\n]*"|\w+))*|\d[\w.]*|'[^'\n]*'|[-+*/<>=~!@#%^&|:]+|\S"""
)
_TAG_OF_LINE = re.compile(r"\{[{%#].*?(?:[}%#]\}|$)")
_BETWEEN_TAGS = re.compile(r"(?:^|[}%#]\}).*?(?:(?=\{[{%])|$)")


@frozen
class TemplatePlace:
    """A line of a template."""

    path: Path
    line: int | None
    # The line that brought into the SQL what is written here: it is another one if an argument of a
    # macro, or an item of a list, is what is wrong.
    through: TemplatePlace | None = None
    # What to say if something is not given here.
    without: str = ""
    # Where the node calls the macro of another file that this line is in.
    called: TemplatePlace | None = None
    # What stands at ``column``, from 0, if that is certain.
    word: str = ""
    column: int | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def text(self) -> str:
        """The line as it is written."""
        return line_of(self.path, self.line)


def sql_place(compiler: Compiler, compiled: Compiled, offset: int, word: str = "") -> TemplatePlace:
    """The place that wrote what stands at ``offset`` of the compiled SQL.

    What an expression gave may be written elsewhere, as ``word``: then that is the place. So is the
    argument of a data test in YAML that holds it.
    """
    node, inside = compiled.origin(offset)
    token = _TOKEN.match(compiled.sql, offset)
    place = _template_place(compiler, node, inside, word, token[0] if token else "")
    if isinstance(node, DataTest) and (place.path != node.path or place.line == node.line):
        setting = _setting_at(node, compiled.sql, offset)
        line = below(node.path, node.line, setting) if setting else None
        if line is not None:
            return TemplatePlace(node.path, line, place if place.path != node.path else None)
    return place


def gap_at(compiler: Compiler, compiled: Compiled, offset: int) -> Gap | None:
    """The name that nobody knows and that left nothing at ``offset``, if that is what is there."""
    node, _ = compiled.origin(offset)
    if node.path not in compiler.renderer.with_gaps:
        return None
    for renderer, _, _ in rendered_again(compiler, node):
        return gap_in(renderer, compiled.sql, offset)
    return None


def _setting_at(test: DataTest, sql: str, offset: int) -> str:
    """The argument of a test, or its ``where``, that is SQL and stands at ``offset``."""
    for name, value in {**test.arguments, "where": test.config.get("where")}.items():
        if isinstance(value, str) and re.search(r"\W", value):
            at = sql.find(value)
            if 0 <= at <= offset <= at + len(value):
                return name
    return ""


def _template_place(
    compiler: Compiler, node: Model | DataTest, offset: int, word: str, token: str
) -> TemplatePlace:
    """The place that wrote the ``token`` at ``offset`` of what ``node`` renders to."""
    plain, _ = compiler.rendered(node)
    # Each with whether it is text that stands there; the innermost first.
    found: list[tuple[TemplatePlace, bool]] = []
    files: list[Path] = []
    renderer = compiler.renderer
    for renderer, text, marks in rendered_again(compiler, node):
        files += renderer.environment.files
        place = _marked_place(text, marks, plain, offset)
        if place is not None:
            found.append(place)
    of_test = TemplatePlace(node.path, node.line) if isinstance(node, DataTest) else None
    here, is_text = of_test or TemplatePlace(node.path, None), False
    if found:
        here, is_text = found[0]
        here = _in_its_line(here, plain, offset, token, is_text=is_text)
    not_given = _not_given(renderer, here, of_test)
    if not_given is not None:
        return not_given
    called = found[-1][0] if len(found) > 1 else of_test
    if called is not None and called.path != here.path:
        here = replace(here, called=called)
    if is_text or not word or has_word(here.text, word):
        return here
    calling = [each for each, _ in found[1:]] + ([of_test] if of_test else [])
    written = _written(word, calling, node, files)
    if written is None:
        return here
    through = None if here == of_test else here
    return replace(written, through=through, word=word, column=only(word, written.text))


def _not_given(
    renderer: Renderer, here: TemplatePlace, of_test: TemplatePlace | None
) -> TemplatePlace | None:
    """Where something is not given that is written at ``here``, or right before it; else None."""
    for name, (path, line), call in renderer.not_given:
        called = TemplatePlace(*call) if call else of_test
        if called is None or path != here.path or not _begins_behind(here, line):
            continue
        if call == (path, line):
            nothing = f"There is no {name}, so nothing is written here."
            return TemplatePlace(path, line, without=nothing)
        gets = f"The macro gets no {name} here, which it writes at {path}:{line}."
        return TemplatePlace(called.path, called.line, here, gets)
    return None


def _marked_place(
    text: str, marks: Sequence[Mark], plain: str, offset: int
) -> tuple[TemplatePlace, bool] | None:
    """The place of ``offset`` as the marks tell it, and whether it is text that stands there."""
    at = same_offset(plain, offset, text)
    mark = None if at is None else mark_at(marks, at)
    if at is None or mark is None or mark.path.parent == BUILT_IN:
        return None
    return TemplatePlace(mark.path, mark.line_at(text, at)), mark.is_text


def _begins_behind(place: TemplatePlace, line: int) -> bool:
    """Whether ``place`` is on ``line``, or what is there is the first thing after its last tag."""
    if place.line is None or place.line <= line:
        return place.line == line
    lines = text_of(place.path).split("\n")
    between = [*lines[line : place.line - 1], lines[place.line - 1][: place.column or 0]]
    return lines[line - 1].rstrip().endswith("}}") and not "".join(between).strip()


def _in_its_line(
    place: TemplatePlace, rendered: str, offset: int, token: str, *, is_text: bool
) -> TemplatePlace:
    """``place`` with the column of ``token``, which stands at ``offset`` of what was ``rendered``.

    That is certain where the line is the same up to there, or from there on, or has it only once:
    beside its tags, or in them, for what an expression gave.
    """
    line = place.text.rstrip()
    before = rendered[rendered.rfind("\n", 0, offset) + 1 : offset]
    after = rendered[offset:].partition("\n")[0].rstrip()
    if not token or not (rendered.startswith(token, offset) or '"' in token):
        return place
    if is_text and line.startswith(before + token):
        return replace(place, word=token, column=len(before))
    if is_text and after.startswith(token) and line.endswith(after):
        return replace(place, word=token, column=len(line) - len(after))
    tags = _TAG_OF_LINE.sub if is_text else _BETWEEN_TAGS.sub
    line = tags(lambda found: " " * len(found[0]), line)
    for word in (token, token.rpartition(".")[2].strip('"')):
        column = only(word, line)
        if column is not None:
            return replace(place, word=word, column=column)
    return place


def _written(
    word: str, calling: Iterable[TemplatePlace], node: Model | DataTest, files: Iterable[Path]
) -> TemplatePlace | None:
    """Where ``word`` is written: in a line that calls, below a test in YAML, in the only tag."""
    for place in calling:
        if has_word(place.text, word):
            return place
    if isinstance(node, DataTest) and node.macro is not None:
        line = below(node.path, node.line, word)
        if line is None and word == node.column:
            line = column_above(node.path, node.line, word)
        return None if line is None else TemplatePlace(node.path, line)
    if word[0].isdigit():  # one number is much like another, and may be anything there
        return None
    for path in dict.fromkeys((node.path, *files)):
        lines = lines_in_tags(path, word)
        if len(lines) == 1:
            return TemplatePlace(path, lines.pop())
    return None
