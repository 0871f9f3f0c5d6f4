"""Selections that a project has names for: the file ``selectors.yml``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

from datapipe.errors import ProjectError, UsageError
from datapipe.transform.graph.methods import METHODS
from datapipe.transform.graph.spec import Criterion, Group, Spec, criterion
from datapipe.transform.jinja.context import Var, near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.options import Indirect
from datapipe.transform.project import Project, yaml_file
from datapipe.transform.project.blocks import Block, Items, named_blocks

FILE = "selectors.yml"
_SETS = ("union", "intersection")


class Selectors:
    """The selections that ``project`` names; each may name those above it.

    Raises ProjectError for one that cannot be read.
    """

    def __init__(
        self, project: Project, renderer: Callable[[], Renderer], indirect: Indirect
    ) -> None:
        self.default = ""
        self._project = project
        self._path = project.directory / FILE
        self._renderer = renderer
        self._indirect = indirect
        self._known: dict[str, Spec] = {}
        if self._path.is_file():
            file = yaml_file.read(self._path, project.cache_dir)
            line = file.line_of("selectors")
            for block in named_blocks(file.get("selectors"), self._path, line, "selectors"):
                self._read(block)

    def named(self, name: str) -> Spec:
        """The selection called ``name``; raises UsageError, with the nearest, if there is none."""
        if name not in self._known:
            raise UsageError(
                f"There is no selector {name} in {FILE}.{near(name, self._known)} "
                f"There are {', '.join(self._known) or 'none'}."
            )
        return self._known[name]

    def _read(self, block: Block) -> None:
        name = block["name"]
        if "definition" not in block:
            raise self._mistake(f"The selector {name} has no definition.", block.line)
        definition, line = block["definition"], block.line_of("definition")
        if isinstance(definition, Block) and {*_SETS} & {*definition} and len(definition) > 1:
            raise self._mistake(
                f"The definition of {name} must be one union or one intersection, and nothing "
                f"beside it: it has {', '.join(definition)}.",
                definition.line,
            )
        self._known[name] = self._spec(definition, line)
        line = block.line_of("default")
        default = self._rendered(block.get("default", False), line)
        if not isinstance(default, bool):
            raise self._mistake(f"default must be true or false, not {default!r}.", line)
        if default and self.default:
            raise self._mistake(f"There is a default already: {self.default}. Keep one.", line)
        if default:
            self.default = name

    def _spec(self, definition: Any, line: int) -> Spec:
        if isinstance(definition, str):
            return self._text(definition, line)
        if not isinstance(definition, Block) or not definition:
            raise self._mistake(f"A selection must be text or a mapping, not {definition!r}.", line)
        for how in _SETS:
            if how in definition:
                return self._set(how, definition[how], definition.line_of(how))
        if definition.get("method") == "selector":  # beside which nothing counts, as in dbt
            line = definition.line_of("value")
            return self._another(str(self._rendered(definition.get("value"), line)), line)
        base = self._criterion(definition)
        return self._without(base, definition) if "exclude" in definition else base

    def _set(self, how: Any, parts: Any, line: int) -> Spec:
        """Of a part with an exclude only that counts, for all of the set, as in dbt."""
        included: list[Spec] = []
        exclude: Block | None = None
        for part, at in self._listed(parts, line, how):
            if not isinstance(part, Block) or "exclude" not in part:
                included.append(self._spec(part, at))
            elif exclude is None:
                exclude = part
            else:
                raise self._mistake(f"This {how} has an exclude already: join them.", at)
        base = Group(how, tuple(included))
        return base if exclude is None else self._without(base, exclude)

    def _without(self, base: Spec, block: Block) -> Spec:
        parts = self._listed(block["exclude"], block.line_of("exclude"), "exclude")
        left_out = tuple(self._spec(part, at) for part, at in parts)
        return Group("difference", (base, Group("union", left_out)))

    def _listed(self, parts: Any, line: int, what: str) -> Iterator[tuple[Any, int]]:
        if not isinstance(parts, Items):
            raise self._mistake(f"{what} must be a list.", line)
        return zip(parts, parts.lines, strict=True)

    def _text(self, text: str, line: int) -> Spec:
        """The selection that a text stands for, which is written as on the command line."""
        try:
            found = criterion(str(self._rendered(text, line)), self._indirect)
        except UsageError as error:
            raise self._mistake(str(error), line) from None
        if found.method == "selector":
            return self._another(found.value, line)
        self._check_method(found.method, line)
        return replace(found, place=f"{FILE}:{line}: ")

    def _another(self, name: str, line: int) -> Spec:
        try:
            return self.named(name)
        except UsageError as error:
            raise self._mistake(str(error), line) from None

    def _criterion(self, block: Block) -> Spec:
        """The selection that a mapping stands for: a method with other keys, or with its value."""
        first = next(iter(block))
        if "method" not in block and len(block) > 1:
            raise self._mistake(
                f"A selection must have a method, or one key alone: it has {', '.join(block)}.",
                block.line,
            )
        at = block.line_of("method", first)
        name = str(self._rendered(block.get("method", first), at))
        method, _, argument = name.partition(".")
        self._check_method(method, at)
        key = "value" if "method" in block else first
        if key not in block:
            raise self._mistake(f"The method {name} has no value. Give it a value:.", at)
        line = block.line_of(key)
        value = self._rendered(block[key], line)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if method == "state":
            text, _, argument = text.partition(".")
        return Criterion(
            f"{name}:{text}",
            method,
            argument,
            text,
            whole=bool(block.get("childrens_parents")),
            parents=bool(block.get("parents")),
            before=self._depth(block, "parents_depth"),
            children=bool(block.get("children")),
            after=self._depth(block, "children_depth"),
            indirect=self._indirect_of(block),
            place=f"{FILE}:{line}: ",
        )

    def _depth(self, block: Block, key: str) -> int | None:
        if block.get(key) is None:
            return None
        try:
            return int(self._rendered(block[key], block.line_of(key)))
        except (ValueError, TypeError):
            raise self._mistake(f"{key} must be a number.", block.line_of(key)) from None

    def _indirect_of(self, block: Block) -> Indirect:
        how: Any = block.get("indirect_selection", self._indirect)
        if how not in get_args(Indirect):
            raise self._mistake(
                f"indirect_selection must be one of {', '.join(get_args(Indirect))}, not {how}.",
                block.line_of("indirect_selection"),
            )
        found: Indirect = how
        return found

    def _check_method(self, method: str, line: int) -> None:
        if method not in METHODS:
            raise self._mistake(
                f"There is no method of selection {method}.{near(method, METHODS)} "
                f"There are {', '.join(METHODS)}.",
                line,
            )

    def _rendered(self, value: Any, line: int) -> Any:
        """``value`` with its Jinja rendered; a renderer is made only if there is any."""
        if not isinstance(value, str) or "{" not in value:
            return value
        own = {"var": Var(self._project.given, is_final=True)}
        return self._renderer().value(value, own, path=self._path, line=line)

    def _mistake(self, message: str, line: int) -> ProjectError:
        return ProjectError(message, path=self._path, line=line)
