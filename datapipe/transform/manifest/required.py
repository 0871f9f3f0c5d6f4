"""``require-dbt-version``: what a project asks for, held against the dbt that is followed here."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator

from datapipe.transform.jinja.context import DBT_VERSION
from datapipe.transform.project import Project

_KEY = "require-dbt-version"
_SPEC = r"(>=|<=|>|<|=)?\s*(\d+)\.(\d+)\.(\d+)(?:[-+]\S+)?"
_HOLDS = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
_SPOKEN = tuple(map(int, DBT_VERSION.split(".")))


def unmet(project: Project) -> Iterator[str]:
    """A warning for each package that asks for another dbt; dbt itself would refuse it."""
    if project.flags.get("version_check") is False:
        return
    for package in project.all_packages.values():
        given = package.settings.get(_KEY) or []
        specs = [
            spec.strip()
            for text in (given if isinstance(given, list) else [given])
            for spec in str(text).split(",")
        ]
        at = f"{package.path}:{package.settings.line_of(_KEY)}"
        if wrong := [spec for spec in specs if not re.fullmatch(_SPEC, spec)]:
            yield f"{at}: {wrong[0]} is no version that dbt knows, such as >=1.6.0."
        elif not all(map(_holds, specs)):
            yield (
                f"{at}: {package.name} asks for dbt {', '.join(specs)}, and datapipe follows "
                f"dbt {DBT_VERSION}."
            )


def _holds(spec: str) -> bool:
    read = re.fullmatch(_SPEC, spec)
    return read is not None and _HOLDS[read[1] or "="](_SPOKEN, tuple(map(int, read.groups()[1:])))
