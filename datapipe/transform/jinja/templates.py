"""Jinja as dbt has it: templates, macros with ``return``, and names that are not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Literal, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.utils import missing

from datapipe.errors import ProjectError
from datapipe.transform.jinja import places, scope
from datapipe.transform.jinja.compiled import FORMAT, CompiledTemplates
from datapipe.transform.jinja.syntax import DbtParser, Materialization, Test

MACRO_PREFIX = "dbt_macro__"

# A mark is written where a piece of a template begins; PostgreSQL never sees it. The characters are
# from Unicode's private use area.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
MARK = re.compile(f"{_OPEN}(\\d+):(\\d+):([ec]){_CLOSE}")

# A gap, where a name is written that nothing sets, has a mark of its own, with a number.
_UNKNOWN_OPEN, _UNKNOWN_CLOSE = "\ue0f2", "\ue0f3"
UNKNOWN = re.compile(f"{_UNKNOWN_OPEN}(\\d+){_UNKNOWN_CLOSE}")

IN_YAML = Path("<yaml>")

Marked = Literal["nothing", "body", "all"]
_CAPTURING = (nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock)


def unmarked(sql: str) -> str:
    """``sql`` as it is without marks."""
    sql = MARK.sub("", sql) if _OPEN in sql else sql
    return UNKNOWN.sub("", sql) if _UNKNOWN_OPEN in sql else sql


class Return(Exception):
    """Carries the value that a macro gives to ``return``."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Missing(jinja2.Undefined):
    """A name that is not there.

    While a project is read, no question to the database is answered, so a name whose value hangs on
    an answer is not there either: it can be iterated and called, and comes to nothing. Later it is
    as in Jinja: it is written as an empty text, but has no attributes and cannot be called. A name
    that is set nowhere is noted when it is written, and cannot be iterated.
    """

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        return self if not scope.is_executing() else self._fail_with_undefined_error()

    def __getitem__(self, key: Any) -> Any:
        return self if not scope.is_executing() else self._fail_with_undefined_error()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self if not scope.is_executing() else self._fail_with_undefined_error()

    def __str__(self) -> str:
        if not self._is_a_mistake():
            self._note_if_not_given()
            return ""
        name = self._undefined_name or ""
        now = scope.current()
        now.unknown.append((name, places.writing(name)))
        return f"{_UNKNOWN_OPEN}{len(now.unknown) - 1}{_UNKNOWN_CLOSE}" if now.is_marked else ""

    def __iter__(self) -> Iterator[Any]:
        return self._fail_with_undefined_error() if self._is_a_mistake() else iter(())

    def _note_if_not_given(self) -> None:
        """Note a parameter that the call does not give, or an attribute that something lacks.

        dbt writes an empty text for it, as is done here; PostgreSQL may stumble over that.
        """
        is_parameter = str(self._undefined_hint).startswith("parameter ")
        if scope.is_executing() and (is_parameter or self._undefined_obj is not missing):
            through = places.calling()
            written = next(through, None)
            if written is not None:
                called = next(through, None) if is_parameter else written
                scope.current().not_given.append((str(self._undefined_name), written, called))

    def _is_a_mistake(self) -> bool:
        return scope.is_executing() and self.is_nowhere()

    def refuse(self) -> NoReturn:
        """Raise what Jinja raises for such a name."""
        self._fail_with_undefined_error()

    def is_nowhere(self) -> bool:
        """Whether neither the template nor anything around it ever sets the name."""
        if self._undefined_obj is not missing or self._undefined_hint:
            return False
        return not any(
            self._undefined_name in places.assigned(path) for path, _ in places.calling()
        )


class _Context(Context):
    """Finds a name in the variables of the rendering in one step."""

    def resolve_or_missing(self, key: str) -> Any:
        found = self.vars.get(key, missing)
        return self.parent.find(key) if found is missing else found  # type: ignore[attr-defined] # always Variables


class _OfCurrentScope:
    """The variables of whichever rendering calls a macro: so a macro is made only once."""

    def find(self, name: str) -> Any:
        return scope.current().variables.find(name)


class SqlEnvironment(jinja2.Environment):
    """Compiles models and macros.

    ``marked`` tells what gets marks: nothing, the text that goes straight into the SQL ("body"), or
    all, including what macros and blocks capture. ``files`` numbers the templates that have marks.
    """

    context_class = _Context

    def __init__(self, *, marked: Marked = "nothing", cache_dir: Path | None = None) -> None:
        super().__init__(
            undefined=Missing,
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols", Test, Materialization],
            bytecode_cache=CompiledTemplates(cache_dir / "templates") if cache_dir else None,
        )
        self.marked = marked
        self.files: list[Path] = []
        self.filters |= dict.fromkeys(("as_text", "as_bool", "as_native", "as_number"), _unchanged)
        self.filters["is_list"] = lambda value: isinstance(value, list)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        try:
            return DbtParser(self, source, name, filename).parse()
        except jinja2.TemplateSyntaxError as error:
            error.source = source
            raise

    def template(
        self, source: str, path: Path, *, name: str = "", macro: str = ""
    ) -> jinja2.Template:
        """The compiled template; raises TemplateSyntaxError if it cannot be read.

        ``name`` tells apart several templates of one file; ``macro`` is the macro that it defines.
        """
        if self.bytecode_cache is None:
            return jinja2.Template.from_code(self, self._code(source, path, macro), {})
        key = f"{FORMAT}|{name}|{macro}"
        bucket = self.bytecode_cache.get_bucket(self, key, str(path), source)
        if bucket.code is None:
            bucket.code = self._code(source, path, macro)
            self.bytecode_cache.set_bucket(bucket)
        return jinja2.Template.from_code(self, bucket.code, {})

    def _code(self, source: str, path: Path, macro: str) -> CodeType:
        """Compile; a macro is renamed, so that calls of it go through the rendering's variables.

        So do calls from within the macro: there it can be overridden, too, and its ``return``
        works.
        """
        tree = self._parse(source, None, str(path))
        if macro:
            for each in tree.find_all(nodes.Macro):
                each.name = MACRO_PREFIX + each.name
        if self.marked == "all" or (self.marked == "body" and not macro):
            self.files.append(path)
            _mark(tree, len(self.files) - 1, captured=self.marked == "all")
        with scope.nowhere():  # what does not depend on a rendering is worked out right away
            return self.compile(tree, None, str(path))

    def from_yaml(self, text: str, *, is_marked: bool = False) -> jinja2.Template:
        """A template of ``text``, which stands in a YAML file.

        If it ``is_marked``, and all is, its marks name the file IN_YAML.
        """
        tree = self._parse(text, None, None)
        if is_marked and self.marked == "all":
            self.files.append(IN_YAML)
            _mark(tree, len(self.files) - 1, captured=True)
        with scope.nowhere():
            return jinja2.Template.from_code(self, self.compile(tree), {})

    def text(self, template: jinja2.Template, variables: scope.Variables) -> str:
        """What ``template`` renders to."""
        pieces = [*self.pieces(template, variables)]
        try:
            return "".join(pieces)
        except TypeError:  # only what a {% call %} returns is left as it is
            given = next(piece for piece in pieces if not isinstance(piece, str))
            raise ProjectError(
                f"A {{% call %}} block comes to {given!r}, which is not text. "
                "Its macro returns that: call it in {{ ... }} or {% do ... %}."
            ) from None

    def macro(self, name: str, template: jinja2.Template) -> Callable[..., Any]:
        """The macro that ``template`` defines; it sees what the rendering that calls it sees."""
        context = self.context_class(self, _OfCurrentScope(), None, {})  # type: ignore[arg-type] # all that is asked of it is find()
        for _ in template.root_render_func(context):
            pass
        found: Callable[..., Any] = context.vars[MACRO_PREFIX + name]
        return found

    def parameters(self, source: str) -> dict[str, Any]:
        """The parameters of a macro with their defaults; ``...`` stands for none."""
        macro = self._parse(source, None, None).find(nodes.Macro)
        if macro is None:
            return {}
        names = [argument.name for argument in macro.args]
        defaults = [default.as_const() for default in macro.defaults]
        required = [...] * (len(names) - len(defaults))
        return dict(zip(names, [*required, *defaults], strict=True))

    def pieces(self, template: jinja2.Template, variables: scope.Variables) -> Iterator[Any]:
        """What each part of ``template`` renders to."""
        context = self.context_class(self, variables, template.name, template.blocks)  # type: ignore[arg-type] # it need not be a dict
        return iter(template.root_render_func(context))


def _unchanged(value: Any) -> Any:
    return value


def _mark(tree: nodes.Node, file: int, *, captured: bool) -> None:
    """Put a mark before every piece of text ("c") and every expression ("e")."""
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
