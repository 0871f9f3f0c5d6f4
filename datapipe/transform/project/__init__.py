"""A dbt project: its own file, the packages in it, and its YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datapipe.transform.project import project_file
from datapipe.transform.project.config import merged
from datapipe.transform.project.packages import installed
from datapipe.transform.project.project_file import FILE, Hook, Project

__all__ = ["FILE", "Hook", "Project", "load", "merged"]


def load(
    directory: Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    cache_dir: Path | None = None,
) -> Project:
    """The project whose ``dbt_project.yml`` lies in ``directory``, with its packages.

    ``overrides`` are variables of this run. Raises ProjectError for a package that the project asks
    for and that is not there.
    """
    own = project_file.read(directory, overrides or {}, cache_dir)
    return replace(own, packages=installed(own))
