"""What dbt knows and datapipe does not yet: refused before any statement is sent."""

from __future__ import annotations

from datapipe.errors import ProjectError
from datapipe.transform.context import near
from datapipe.transform.nodes import Model
from datapipe.transform.project import Project

_SUPPORTED = ("view", "table", "ephemeral")
_NOT_YET = ("incremental", "materialized_view", "snapshot", "seed")


def refuse_unsupported(model: Model) -> None:
    """Raise ProjectError for a materialization other than the supported ones."""
    if model.materialized in _SUPPORTED:
        return
    line = next(
        (
            number
            for number, text in enumerate(model.raw_code.splitlines(), 1)
            if "materialized" in text
        ),
        1,
    )
    if model.materialized in _NOT_YET:
        message = f"The materialization {model.materialized} is not supported yet."
    else:
        message = (
            f"There is no materialization {model.materialized}."
            f"{near(model.materialized, (*_SUPPORTED, *_NOT_YET))}"
        )
    raise ProjectError(message, path=model.path, line=line, model=model.name)


def refuse_unsupported_files(project: Project) -> None:
    """Raise ProjectError for the first file of a kind that is not supported."""
    for folder, suffixes, what in (
        ("seed-paths", (".csv",), "Seeds"),
        ("snapshot-paths", (".sql", ".yml", ".yaml"), "Snapshots"),
        ("model-paths", (".py",), "Python models"),
    ):
        for path, _ in project.files(folder, *suffixes):
            if folder == "seed-paths" or path.read_text(encoding="utf-8").strip():
                raise ProjectError(f"{what} are not supported yet.", path=path, line=1)
