"""What a run is asked for, with the selectors of the project resolved."""

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
    """A selection: ``include``, or everything if that is None, without ``exclude``.

    ``default`` is the name of the project's default selector, if that is used.
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
    """What ``include`` and ``exclude`` mean; ``selector:name`` stands in ``selectors.yml``.

    The ``renderer`` is needed only if that file has Jinja. Raises UsageError for a selection that
    cannot be read, and ProjectError for a mistake in the file.
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
