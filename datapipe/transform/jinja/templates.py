"""Jinja as dbt has it: its tags, its ``return``, and undefined names that do not pass silently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.utils import missing

MACRO_PREFIX = "dbt_macro__"

# A mark is written where a piece of a template begins; it never reaches PostgreSQL. The characters
# are from Unicode's private use area.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
MARK = re.compile(f"{_OPEN}(\\d+):(\\d+):([ec]){_CLOSE}")

Marked = Literal["nothing", "body", "all"]
_CAPTURING = (nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock)

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_DEFINED = re.compile(
    r"\{%-?\s*(?P<tag>macro|test|materialization|snapshot)\s+(?P<name>\w+)"
    r"(?:\s*,\s*adapter\s*=\s*['\"](?P<adapter>\w+)['\"])?"
)


class Return(Exception):
    """Carries the value that a macro gives to ``return``."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Missing(jinja2.Undefined):
    """A name that is not there: it may be asked for, as in ``if``, but not written or walked."""

    def __str__(self) -> str:
        self._fail()

    def __iter__(self) -> Iterator[Any]:
        if self._undefined_obj is missing:
            self._fail()
        return iter(())

    def _fail(self) -> NoReturn:
        raise self._undefined_exception(self._undefined_message)


class _Test(Extension):
    """``{% test name(model, ...) %}`` is a macro called ``test_name``."""

    tags = {"test", "data_test"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        node = nodes.Macro(lineno=next(parser.stream).lineno)
        name = parser.parse_assign_target(name_only=True).name
        parser.parse_signature(node)
        node.name = f"test_{name}"
        node.body = parser.parse_statements(("name:endtest", "name:enddata_test"), drop_needle=True)
        return node


class _Materialization(Extension):
    """``{% materialization name, adapter='postgres' %}`` is read; nothing calls it yet."""

    tags = {"materialization"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        node = nodes.Macro(lineno=next(parser.stream).lineno)
        name = parser.parse_assign_target(name_only=True).name
        adapter = "default"
        while parser.stream.skip_if("comma"):
            option = parser.parse_assign_target(name_only=True).name
            if option != "default":
                parser.stream.expect("assign")
                value = parser.parse_expression()
                adapter = str(value.as_const()) if option == "adapter" else adapter
        node.name = f"materialization_{name}_{adapter}"
        node.args, node.defaults = [], []
        node.body = parser.parse_statements(("name:endmaterialization",), drop_needle=True)
        return node


class SqlEnvironment(jinja2.Environment):
    """Compiles models and macro files.

    ``marked`` says what gets marks: nothing, the text that goes straight into the SQL ("body"), or
    "all", also what macros and blocks capture. ``files`` numbers the templates that have marks.
    """

    def __init__(self, *, marked: Marked = "nothing") -> None:
        super().__init__(
            undefined=Missing,
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols", _Test, _Materialization],
        )
        self.marked = marked
        self.files: list[Path] = []
        for name in ("as_text", "as_bool", "as_native", "as_number"):
            self.filters[name] = _unchanged

    def template(self, source: str, path: Path, *, macros: bool = False) -> jinja2.Template:
        """The compiled template; ``macros`` says that it is a file of macros.

        The macros of such a file are renamed, so that a call of one goes through the context even
        from within the file: there it can be overridden, and ``return`` is understood.
        """
        tree = self._parse(source, None, str(path))
        if macros:
            for macro in tree.find_all(nodes.Macro):
                macro.name = MACRO_PREFIX + macro.name
        if self.marked == "all" or (self.marked == "body" and not macros):
            self.files.append(path)
            _mark(tree, len(self.files) - 1, captured=self.marked == "all")
        code = self.compile(tree, None, str(path))
        return jinja2.Template.from_code(self, code, self.make_globals(None))


def _unchanged(value: Any) -> Any:
    return value


def _mark(tree: nodes.Node, file: int, *, captured: bool) -> None:
    """Put a mark before every piece of text (it counts on) and every expression (it does not)."""
    for output in _outputs(tree, captured=captured):
        marked: list[nodes.Expr] = []
        for piece in output.nodes:
            kind = "c" if isinstance(piece, nodes.TemplateData) else "e"
            text = f"{_OPEN}{file}:{piece.lineno}:{kind}{_CLOSE}"
            marked += [nodes.TemplateData(text, lineno=piece.lineno), piece]
        output.nodes = marked


def _outputs(node: nodes.Node, *, captured: bool) -> Iterator[nodes.Output]:
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Output):
            yield child
        elif captured or not isinstance(child, _CAPTURING):
            yield from _outputs(child, captured=captured)


def defined_in(source: str) -> Iterator[tuple[str, str, int]]:
    """The tag, the full name and the line of each macro, test and so on, without compiling."""
    source = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source)
    for found in _DEFINED.finditer(source):
        tag, name = found["tag"], found["name"]
        if tag == "test":
            name = f"test_{name}"
        elif tag == "materialization":
            name = f"materialization_{name}_{found['adapter'] or 'default'}"
        yield tag, name, source.count("\n", 0, found.start()) + 1


def template_line(error: BaseException) -> tuple[Path, int] | None:
    """The innermost line of a template that ``error`` passed through."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        variables = trace.tb_frame.f_globals
        template = variables.get("__jinja_template__")
        if template is not None:
            place = template.filename, template.get_corresponding_lineno(trace.tb_lineno)
        elif "__jinja_exception__" in variables:
            place = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        else:
            place = None, 0
        if place[0] not in {None, "<template>"}:  # the latter came out of YAML, not out of a file
            found = Path(place[0]), place[1]
        trace = trace.tb_next
    return found


def raised_here(error: BaseException) -> bool:
    """Whether ``error`` came out of this package's own code: then it is a bug, not a mistake."""
    trace = error.__traceback__
    last = ""
    while trace is not None:
        last = trace.tb_frame.f_code.co_filename
        trace = trace.tb_next
    return Path(__file__).parents[1] in Path(last).parents
