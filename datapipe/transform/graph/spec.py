"""Selections as they are written: criteria, and what combines them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from datapipe.errors import UsageError
from datapipe.frozen import frozen
from datapipe.transform.options import Indirect

_CRITERION = (
    r"(?P<whole>@)?(?:(?P<before>\d*)(?P<parents>\+))?(?:(?P<method>[\w.]+):)?(?P<value>.*?)"
    r"(?:(?P<children>\+)(?P<after>\d*))?"
)


@frozen
class Criterion:
    """One criterion, such as ``2+tag:nightly+``.

    ``place`` begins a message about it, if it is not from the command line.
    """

    raw: str
    method: str
    argument: str
    value: str
    whole: bool = False
    parents: bool = False
    before: int | None = None
    children: bool = False
    after: int | None = None
    indirect: Indirect = "eager"
    place: str = ""


@frozen
class Group:
    """Criteria that are united, intersected, or taken away from the first of them.

    ``expected`` is what a warning names if nothing is found.
    """

    how: Literal["union", "intersection", "difference"]
    parts: tuple[Spec, ...]
    indirect: Indirect = "eager"
    expected: str = ""


Spec = Criterion | Group


def united(texts: Iterable[str], indirect: Indirect) -> Group:
    """The union of ``texts``, each of which may name several things with spaces between them.

    No tests are added to what a selector of the project names, as in dbt.
    """
    words = [word for text in texts for word in text.split()]
    parts = tuple(
        Group(
            "intersection",
            tuple(criterion(part, indirect) for part in word.split(",")),
            "eager" if word.startswith("selector:") else indirect,
            word,
        )
        for word in words
    )
    return Group("union", parts, parts[0].indirect if len(parts) == 1 else indirect)


def criterion(text: str, indirect: Indirect) -> Criterion:
    """The criterion that ``text`` is; raises UsageError if it is none."""
    read = re.fullmatch(_CRITERION, text)
    if read is None or not read["value"]:
        raise UsageError(f"The selection criterion '{text}' names nothing to select.")
    if read["whole"] and read["children"]:
        raise UsageError(
            f"In '{text}', the @ before and the + after do not go together. Use one of them."
        )
    method, _, argument = (read["method"] or usual_method(read["value"])).partition(".")
    value = read["value"]
    if method == "state":
        value, _, argument = value.partition(".")
    return Criterion(
        text,
        method,
        argument,
        value,
        whole=bool(read["whole"]),
        parents=bool(read["parents"]),
        before=int(read["before"]) if read["before"] else None,
        children=bool(read["children"]),
        after=int(read["after"]) if read["after"] else None,
        indirect=indirect,
    )


def criteria(spec: Spec) -> Iterator[Criterion]:
    """All criteria in ``spec``."""
    if isinstance(spec, Criterion):
        yield spec
    else:
        for part in spec.parts:
            yield from criteria(part)


def usual_method(value: str) -> str:
    """The method that is meant if none is written."""
    if "/" in value:
        return "path"
    return "file" if value.lower().endswith((".sql", ".py", ".csv")) else "fqn"
