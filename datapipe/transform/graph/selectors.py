"""Selections that a project has names for: the file ``selectors.yml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from datapipe.errors import ProjectError, UsageError
from datapipe.transform.graph.spec import Criterion, Group, Spec, criterion
from datapipe.transform.jinja.context import near
from datapipe.transform.options import Indirect
from datapipe.transform.project import yaml_file
from datapipe.transform.project.blocks import Block, named_blocks

FILE = "selectors.yml"
_SETS = ("union", "intersection")


def selectors_of(directory: Path, indirect: Indirect = "eager") -> dict[str, Spec]:
    """The selections that the project in ``directory`` names.

    Raises ProjectError for one that cannot be read.
    """
    path = directory / FILE
    if not path.is_file():
        return {}
    file = yaml_file.read(path)
    found: dict[str, Spec] = {}
    for block in named_blocks(file.get("selectors"), path, file.line_of("selectors"), "selectors"):
        if "definition" not in block:
            raise ProjectError(
                f"The selector {block['name']} has no definition.", path=path, line=block.line
            )
        try:
            found[block["name"]] = _spec(block["definition"], found, indirect)
        except (UsageError, ValueError, TypeError) as error:
            raise ProjectError(
                f"The selector {block['name']} cannot be read: {error}",
                path=path,
                line=block.line_of("definition"),
            ) from None
    return found


def named(selectors: Mapping[str, Spec], name: str) -> Spec:
    """The selection called ``name``; raises UsageError, with the nearest, if there is none."""
    if name not in selectors:
        raise UsageError(
            f"There is no selector {name} in {FILE}.{near(name, selectors)} "
            f"There are {', '.join(selectors) or 'none'}."
        )
    return selectors[name]


def _spec(definition: Any, known: Mapping[str, Spec], indirect: Indirect) -> Spec:
    if isinstance(definition, str):
        return criterion(definition, indirect)
    if not isinstance(definition, Block):
        raise UsageError(f"{definition!r} is neither text nor a mapping.")
    for how in _SETS:
        if how in definition:
            return _set(how, definition[how], known, indirect)
    exclude = definition.get("exclude")
    if "method" in definition:
        if definition["method"] == "selector":
            base = named(known, str(definition.get("value")))
        else:
            base = _criterion(definition, indirect)
    elif len(definition) == 1:
        ((method, value),) = definition.items()
        base = _criterion({"method": method, "value": value}, indirect)
    else:
        raise UsageError(f"It has neither a method nor one key: {', '.join(definition)}.")
    return _without(base, exclude, known, indirect)


def _set(how: Any, parts: Any, known: Mapping[str, Spec], indirect: Indirect) -> Spec:
    if not isinstance(parts, list):
        raise UsageError(f"{how} must be a list.")
    included, excluded = [], None
    for part in parts:
        if isinstance(part, Block) and set(part) == {"exclude"}:
            excluded = part["exclude"]
        else:
            included.append(_spec(part, known, indirect))
    return _without(Group(how, tuple(included)), excluded, known, indirect)


def _without(
    base: Spec, exclude: Sequence[Any] | None, known: Mapping[str, Spec], indirect: Indirect
) -> Spec:
    if exclude is None:
        return base
    if not isinstance(exclude, list):
        raise UsageError("exclude must be a list.")
    left_out = tuple(_spec(part, known, indirect) for part in exclude)
    return Group("difference", (base, Group("union", left_out)))


def _criterion(given: Mapping[str, Any], indirect: Indirect) -> Criterion:
    if "value" not in given:
        raise UsageError(f"The method {given['method']} has no value.")
    method, _, argument = str(given["method"]).partition(".")
    value = given["value"]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if method == "state":
        text, _, argument = text.partition(".")
    how = given.get("indirect_selection", indirect)
    if how not in get_args(Indirect):
        raise UsageError(f"indirect_selection is {', '.join(get_args(Indirect))}, and no {how}.")
    before, after = given.get("parents_depth"), given.get("children_depth")
    return Criterion(
        f"{given['method']}:{text}",
        method,
        argument,
        text,
        whole=bool(given.get("childrens_parents")),
        parents=bool(given.get("parents")),
        before=None if before is None else int(before),
        children=bool(given.get("children")),
        after=None if after is None else int(after),
        indirect=how,
    )
