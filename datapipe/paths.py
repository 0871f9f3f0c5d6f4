"""Where the files lie that are not Python: those that travel with the package, and SQL projects.

In a wheel the former are inside the package; in a checkout (an editable install), beside it.
"""

from __future__ import annotations

import re
from pathlib import Path

from datapipe.errors import ProjectError

_PROJECT_FILE = "dbt_project.yml"
# The project that datapipe ships, and those that `datapipe init` wrote, keep its name.
_OF_DATAPIPE = re.compile(rb"^name:\s*['\"]?datapipe\b", re.MULTILINE)

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The path of ``migrations``, ``sql_models`` or ``.env.example`` as installed."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name


def project_dir(named: Path | None) -> Path:
    """The folder of the SQL project: ``named``, ``sql_models`` in this folder, or the shipped one.

    Raises ProjectError where there is none.
    """
    if named is None:
        own = Path.cwd() / "sql_models"
        named = own if own.is_dir() else shipped("sql_models")
    for folder in (named, named / "sql_models"):
        if (folder / _PROJECT_FILE).is_file():
            return folder
    raise ProjectError(
        f"There is no {_PROJECT_FILE} in {named}. `datapipe init` writes a project that works."
    )


def is_of_datapipe(project: Path) -> bool:
    """Whether the SQL project is made for what datapipe itself extracts and loads."""
    return _OF_DATAPIPE.search((project / _PROJECT_FILE).read_bytes()) is not None
