"""What a run is asked for, in full: with what the project's selectors stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from datapipe.frozen import frozen
from datapipe.transform.graph.selectors import Selectors
from datapipe.transform.graph.spec import Group, Spec, criteria, united
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.options import Indirect
from datapipe.transform.project import Project


@frozen
class Asked:
    """``include`` of all that there is, or all of it, without ``exclude``.

    ``default`` names the selector that the project has for where nothing is asked for.
    """

    include: Spec | None = None
    exclude: Spec | None = None
    default: str = ""

    def asks(self, *methods: str) -> bool:
        """Whether any criterion is of one of ``methods``."""
        there = [spec for spec in (self.include, self.exclude) if spec is not None]
        return any(each.method in methods for spec in there for each in criteria(spec))


def asked(
    project: Project,
    renderer: Callable[[], Renderer],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    indirect: Indirect = "eager",
) -> Asked:
    """What ``include`` and ``exclude`` come to; ``selector:name`` is in ``selectors.yml``.

    The ``renderer`` is only needed where that file has Jinja. Raises UsageError for what cannot be
    read, and ProjectError for what cannot be read in the file.
    """
    selectors = cache(lambda: Selectors(project, renderer, indirect))

    def resolved(spec: Spec) -> Spec:
        if isinstance(spec, Group):
            return replace(spec, parts=tuple(map(resolved, spec.parts)))
        return selectors().named(spec.value) if spec.method == "selector" else spec

    if include or exclude:
        return Asked(
            resolved(united(include, indirect)) if include else None,
            resolved(united(exclude, indirect)) if exclude else None,
        )
    default = selectors().default
    return Asked(selectors().named(default), default=default) if default else Asked()
