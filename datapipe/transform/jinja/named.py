"""``ref`` and ``source``, through which packages also get at the configuration of the project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from datapipe.transform.project import Project

_QUOTING = {"database": True, "schema": True, "identifier": True}


class Named:
    """``ref`` or ``source``; ``config`` is the configuration of the whole project."""

    __slots__ = ("_find", "config")

    def __init__(self, find: Callable[..., Any], config: SimpleNamespace) -> None:
        self._find = find
        self.config = config

    def __call__(self, *names: Any, **options: Any) -> Any:
        return self._find(*names, **options)


class _Declared:
    """The ``vars`` of dbt_project.yml, without the variables of the run."""

    def __init__(self, project: Project) -> None:
        self.vars: dict[str, Any] = dict(project.settings.get("vars") or {})

    def to_dict(self) -> dict[str, Any]:
        return dict(self.vars)


def config_of(project: Project, target: Mapping[str, Any]) -> SimpleNamespace:
    """The configuration of a run as dbt has it, as far as packages ask for it."""
    return SimpleNamespace(
        project_name=project.name,
        project_root=str(project.directory),
        version=project.settings.get("version"),
        vars=_Declared(project),
        cli_vars=dict(project.given),
        quoting={**_QUOTING, **(project.settings.get("quoting") or {})},
        profile_name=target["profile_name"],
        target_name=target["target_name"],
        threads=target["threads"],
        credentials=SimpleNamespace(**target),
    )
