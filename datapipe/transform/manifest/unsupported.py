"""What dbt knows and datapipe does not yet: refused before any statement is sent."""

from __future__ import annotations

from datapipe.errors import ProjectError
from datapipe.transform.jinja.context import near
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.project import Project

_SUPPORTED = ("view", "table", "incremental", "ephemeral")
_NOT_YET = ("materialized_view", "snapshot")
_STRATEGIES = ("append", "delete+insert", "merge")
_ON_SCHEMA_CHANGE = ("ignore", "fail", "append_new_columns", "sync_all_columns")
_SETTINGS_NOT_YET = ("pre_hook", "post_hook", "sql_header")


def refuse_unsupported(model: Model) -> None:
    """Raise ProjectError for a materialization or a setting that is not supported."""
    for setting in _SETTINGS_NOT_YET:
        if model.config.get(setting):
            raise ProjectError(
                f"The setting {setting} is not supported yet.",
                path=model.path,
                line=_line_of(model, setting),
                model=model.name,
            )
    if (model.config.get("contract") or {}).get("enforced"):
        raise ProjectError(
            "Enforced contracts are not supported yet.", path=model.path, model=model.name
        )
    if model.materialized == "incremental":
        _check(model, "incremental_strategy", _STRATEGIES)
        _check(model, "on_schema_change", _ON_SCHEMA_CHANGE)
    if model.materialized in _SUPPORTED or model.is_seed:
        return
    if model.materialized in _NOT_YET:
        message = f"The materialization {model.materialized} is not supported yet."
    else:
        message = (
            f"There is no materialization {model.materialized}."
            f"{near(model.materialized, (*_SUPPORTED, *_NOT_YET))}"
        )
    line = _line_of(model, "materialized")
    raise ProjectError(message, path=model.path, line=line, model=model.name)


def _check(model: Model, setting: str, known: tuple[str, ...]) -> None:
    value = model.config.get(setting)
    if value is not None and value not in known:
        raise ProjectError(
            f"{setting} is one of {', '.join(known)}, not {value}.",
            path=model.path,
            line=_line_of(model, setting),
            model=model.name,
        )


def refuse_unsupported_files(project: Project) -> None:
    """Raise ProjectError for the first file or key of a kind that is not supported."""
    for folder, suffixes, what in (
        ("snapshot-paths", (".sql", ".yml", ".yaml"), "Snapshots"),
        ("model-paths", (".py",), "Python models"),
    ):
        for path, _ in project.files(folder, *suffixes):
            if path.read_text(encoding="utf-8").strip():
                raise ProjectError(f"{what} are not supported yet.", path=path, line=1)


def _line_of(model: Model, word: str) -> int:
    lines = enumerate(model.raw_code.splitlines(), 1)
    return next((number for number, text in lines if word in text), 1)
