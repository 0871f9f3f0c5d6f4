"""``ref`` and ``source``, through which packages also get at the configuration of the project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from datapipe.transform.jinja.flags import Flags
from datapipe.transform.options import Options
from datapipe.transform.project import Project

_QUOTING = {"database": True, "schema": True, "identifier": True}
_TREES = (
    *("models", "seeds", "snapshots", "sources", "data_tests", "unit_tests", "metrics", "flags"),
    *("exposures", "functions", "semantic_models", "saved_queries", "selectors"),
)
# Of what a project may leave out, what dbt takes it to be.
_UNWRITTEN: Mapping[str, Any] = {
    "asset_paths": [],
    "clean_targets": ["target"],
    "config_version": 2,
    "dispatch": [],
    "log_path": "logs",
    "packages_install_path": "dbt_packages",
    "restrict_access": False,
    "target_path": "target",
    "version": None,
}


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
    """What dbt has as the configuration of a run; ``dependencies`` are those of all packages.

    Under ``args`` the flags are as the project sets them: what the run was asked for is told by
    ``flags`` itself.
    """
    flags = Flags(Options(), project.flags)
    found = {
        name: _config(each, project, target, flags)
        for name, each in sorted(project.all_packages.items())
    }
    for config in found.values():
        config.dependencies = found
    return found[project.name]


def _config(of: Project, root: Project, target: Mapping[str, Any], flags: Flags) -> SimpleNamespace:
    written = {str(key).replace("-", "_"): value for key, value in of.settings.items()}
    folders = {key.replace("-", "_"): list(names) for key, names in of.folders.items()}
    return SimpleNamespace(
        **{
            **_UNWRITTEN,
            **{key: {} for key in _TREES},
            **written,
            **folders,
            "on_run_start": [hook.sql for hook in of.own_hooks("on-run-start")],
            "on_run_end": [hook.sql for hook in of.own_hooks("on-run-end")],
            "args": flags,
            "cli_vars": dict(root.given),
            "credentials": SimpleNamespace(**target),
            "profile_name": target["profile_name"],
            "project_name": of.name,
            "project_root": str(of.directory),
            "quoting": {**_QUOTING, **(of.settings.get("quoting") or {})},
            "target_name": target["target_name"],
            "threads": target["threads"],
            "vars": _Declared(of),
        }
    )
