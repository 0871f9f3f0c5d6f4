"""Where in the templates a piece of compiled SQL was written."""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.jinja.gaps import Gap
from datapipe.transform.jinja.places import BUILT_IN
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.templates import IN_YAML, MARK, Marked
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.manifest.written import below, column_above
from datapipe.transform.snippet import only

_MARKED: tuple[Marked, ...] = ("all", "body")
_TOKEN = re.compile(r'[\w"]+|\S')
_TEXT_OR_TOKEN = re.compile(rf"'[^']*'|{_TOKEN.pattern}")
_JOINED = re.compile(r"""(['"])(\w+)\1\s+(['"])(\w+)\3""")
# A block that is set is one with its text, which a macro may be given.
_TAG = re.compile(
    r"\{%[-+]?\s*set\s+\w+\s*[-+]?%\}.*?\{%[-+]?\s*endset\b|\{[{%].*?[}%]\}", re.DOTALL
)
_TAG_OF_LINE = re.compile(r"\{[{%#].*?(?:[}%#]\}|$)")
_BETWEEN_TAGS = re.compile(r"(?:^|[}%#]\}).*?(?:(?=\{[{%])|$)")


@frozen
class Place:
    """A line of a template; ``through`` is the one that brought into the SQL what is written here.

    That is another one where an argument of a macro, or an item of a list, is what is wrong, or
    where one is not given, as ``without`` says. ``called`` is where the node has what is written in
    another file. ``word`` is what stands at ``column``, from 0, where that is certain.
    """

    path: Path
    line: int | None
    through: Place | None = None
    without: str = ""
    called: Place | None = None
    word: str = ""
    column: int | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def template_place(
    compiler: Compiler, node: Model | DataTest, offset: int, word: str = "", token: str = ""
) -> Place:
    """The place that wrote what stands at ``offset`` of what ``node`` renders to: ``token``.

    What an expression gave may be written elsewhere, as ``word``: then that is the place.
    """
    plain, _ = compiler.rendered(node)
    found: list[tuple[Place, bool]] = []
    files: list[Path] = []
    renderer = compiler.renderer
    for marked in _MARKED:
        try:
            renderer, text = _marked_again(compiler, node, marked)
        except ProjectError:  # a macro took a mark for something else
            continue
        own = renderer.environment.files
        files += own
        place = _marked_place(text, own, plain, offset)
        if place is not None:
            found.append(place)
    of_test = Place(node.path, node.line) if isinstance(node, DataTest) else None
    if not found:
        place_, counts = of_test or Place(node.path, None), False
    else:
        place_, counts = found[0]
        place_ = _in_its_line(place_, plain, offset, token, is_text=counts)
    for name, (path, line), call in renderer.not_given:
        called = Place(*call) if call else of_test
        if called is not None and path == place_.path and _begins_behind(place_, line):
            if call == (path, line):
                return Place(path, line, without=f"There is no {name}, so nothing is written here.")
            gets = f"The macro gets no {name} here, which it writes at {path}:{line}."
            return Place(called.path, called.line, place_, gets)
    called = found[-1][0] if len(found) > 1 else of_test
    if called is not None and called.path != place_.path:
        place_ = replace(place_, called=called)
    if counts or not word or _has(word, _line(place_)):
        return place_
    calling = [each for each, _ in found[1:]] + ([of_test] if of_test else [])
    written = _written(word, calling, node, files)
    if written is None:
        return place_
    column = only(word, _line(written))
    through = None if place_ == of_test else place_
    return replace(written, through=through, word=word, column=column)


def gap_at(compiler: Compiler, compiled: Compiled, offset: int) -> Gap | None:
    """The name that nobody knows and that left nothing at ``offset``, if that is what is there."""
    node, _ = compiled.origin(offset)
    if node.path not in compiler.renderer.with_gaps:
        return None
    for marked in _MARKED:
        with suppress(ProjectError):  # a macro took a mark for something else
            renderer, _ = _marked_again(compiler, node, marked)
            return _gap_at(renderer, compiled.sql, offset)
    return None


def composed_at(path: Path, word: str, known: Iterable[str]) -> int | None:
    """The line of a template on which a part of ``word`` is written that makes no name.

    It is a text in Jinja that a template makes names of, such as an item of a list: there is one of
    the ``known`` names for another text of the template, or for one that is much like it.
    """
    text = _read(path)
    written = {
        found[1]: text.count("\n", 0, tag.start() + found.start()) + 1
        for tag in _TAG.finditer(text)
        for found in re.finditer(r"['\"](\w{2,})['\"]", tag[0])
    }
    for part in filter(word.__contains__, written):
        before, _, after = word.partition(part)
        for name in known:
            other = name[len(before) : len(name) - len(after)]
            if name != f"{before}{other}{after}" or other.strip("_") == part.strip("_"):
                continue
            if other in written or difflib.SequenceMatcher(None, part, other).ratio() > 0.6:
                return written[part]
    return None


def joined_at(path: Path, word: str) -> int | None:
    """The line of a template on which two texts in Jinja that make ``word`` have no comma."""
    text = _read(path)
    for tag in _TAG.finditer(text):
        for found in _JOINED.finditer(tag[0]):
            if found[2] + found[4] in word:
                return text.count("\n", 0, tag.start() + found.start()) + 1
    return None


@frozen
class WrittenHook:
    """A hook as it is written, where it begins, what renders it, and the model it belongs to."""

    template: str
    place: Place
    rendered: Callable[[Compiler], str]
    model: str = ""


def hook_place(compiler: Compiler, hook: WrittenHook, statement: str, offset: int) -> Place:
    """The place that wrote what stands at ``offset`` of the ``statement`` that ``hook`` came to.

    In the statement relations may be called otherwise than in what the hook renders to.
    """
    written = hook.place
    renderer = _marking(compiler, "all")
    text, marks = _without_marks(hook.rendered(compiler.with_renderer(renderer)))
    token = _TOKEN.match(statement, offset)
    if token is None:
        return written
    count = len(re.findall(re.escape(token[0]), statement[:offset]))
    found = [each.start() for each in re.finditer(re.escape(token[0]), text)]
    if count >= len(found):
        return written
    at = bisect.bisect_right([mark.start for mark in marks], found[count]) - 1
    if at < 0:
        return written
    mark = marks[at]
    path = renderer.environment.files[mark.file]
    line = mark.line + (text.count("\n", mark.start, found[count]) if mark.counts else 0)
    if path == IN_YAML:
        own = hook.template.split("\n")[line - 1].strip()
        there = below(written.path, written.line, own) if written.line else None
        return Place(written.path, there or written.line)
    return written if path.parent == BUILT_IN else Place(path, line, written)


def gap_of_hook(compiler: Compiler, hook: WrittenHook, statement: str, offset: int) -> Gap | None:
    """As ``gap_at``, for the ``statement`` that ``hook`` came to."""
    if hook.place.path not in compiler.renderer.with_gaps:
        return None
    renderer = _marking(compiler, "all")
    hook.rendered(compiler.with_renderer(renderer))
    gap = _gap_at(renderer, statement, offset)
    if gap is None or gap.line is not None:
        return gap
    return replace(gap, path=hook.place.path, line=hook.place.line)


def _gap_at(renderer: Renderer, sql: str, offset: int) -> Gap | None:
    token = _TEXT_OR_TOKEN.match(sql, offset)
    end = token.end() if token else offset
    return next((gap for gap in renderer.gaps if gap.is_at(sql, offset, end)), None)


def _marked_again(
    compiler: Compiler, node: Model | DataTest, marked: Marked
) -> tuple[Renderer, str]:
    """What ``node`` renders to with marks in it, and what rendered it, which numbers the files."""
    renderer = _marking(compiler, marked)
    return renderer, compiler.with_renderer(renderer).rendered(node)[0]


def _marking(compiler: Compiler, marked: Marked) -> Renderer:
    return Renderer(compiler.renderer.project, compiler.renderer.target, marked=marked)


def _marked_place(
    marked: str, files: list[Path], plain: str, offset: int
) -> tuple[Place, bool] | None:
    """The place of ``offset`` as the marks tell it, and whether it is text that stands there."""
    text, marks = _without_marks(marked)
    at = offset
    if text != plain:
        # A mark may keep a trim from cutting spaces: count what is not space instead. Where
        # a template's logic looked at the marks, more than that is different.
        if "".join(text.split()) != "".join(plain.split()):
            return None
        at = _same_character(text, len("".join(plain[:offset].split())))
    found = bisect.bisect_right([mark.start for mark in marks], at) - 1
    if found < 0 or files[marks[found].file].parent == BUILT_IN:
        return None
    mark = marks[found]
    further = text.count("\n", mark.start, at) if mark.counts else 0
    return Place(files[mark.file], mark.line + further), mark.counts


@frozen
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


def _begins_behind(place: Place, line: int) -> bool:
    """Whether ``place`` is on ``line``, or what is there is the first thing after its last tag."""
    if place.line is None or place.line <= line:
        return place.line == line
    lines = _read(place.path).split("\n")
    between = [*lines[line : place.line - 1], lines[place.line - 1][: place.column or 0]]
    return lines[line - 1].rstrip().endswith("}}") and not "".join(between).strip()


def _in_its_line(place: Place, rendered: str, offset: int, token: str, *, is_text: bool) -> Place:
    """``place`` with the column of ``token``, which stands at ``offset`` of what was ``rendered``.

    That is certain where the line is the same up to there, or from there on, or has it only once:
    beside its tags, or in them, for what an expression gave.
    """
    line = _line(place).rstrip()
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
    word: str, calling: Iterable[Place], node: Model | DataTest, files: Iterable[Path]
) -> Place | None:
    """Where ``word`` is written: in a line that calls, below a test in YAML, in the only tag."""
    for place in calling:
        if _has(word, _line(place)):
            return place
    if isinstance(node, DataTest) and node.macro is not None:
        line = below(node.path, node.line, word)
        if line is None and word == node.column:
            line = column_above(node.path, node.line, word)
        return None if line is None else Place(node.path, line)
    for path in dict.fromkeys((node.path, *files)):
        lines = set(_in_tags(word, _read(path)))
        if len(lines) == 1:
            return Place(path, lines.pop())
    return None


def _in_tags(word: str, text: str) -> Iterable[int]:
    """The lines on which ``word`` stands within Jinja."""
    for tag in _TAG.finditer(text):
        for found in re.finditer(rf"\b{re.escape(word)}\b", tag[0]):
            yield text.count("\n", 0, tag.start() + found.start()) + 1


def _has(word: str, line: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", line) is not None


def _line(place: Place) -> str:
    lines = _read(place.path).split("\n")
    return lines[place.line - 1] if place.line and place.line <= len(lines) else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
