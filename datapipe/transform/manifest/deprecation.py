"""Models that are to be given up, or should have been: ``deprecation_date`` in YAML."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from datapipe.errors import ProjectError
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import dbt_keys
from datapipe.transform.manifest.nodes import Model


def warn_of_deprecated(models: Collection[Model], renderer: Renderer) -> None:
    """Warn of models whose date is past, and of those that read one that has a date, as dbt does.

    Raises ProjectError where it is no date.
    """
    for model in models:
        until = _date_of(model)
        if until is None:
            continue
        path, line = model.described_at or (model.path, model.line)
        name = _versioned(model)
        is_past = until < datetime.now(UTC)
        if is_past:
            renderer.warnings.append(
                f"{path}:{line}: The model {name} has passed its deprecation_date, "
                f"{until:%Y-%m-%d}. Disable it, or remove it."
            )
        newer = ""
        if model.version is not None and not model.is_latest_version:
            newer = f" The latest version is {model.latest_version}."
        for reader in models:
            if model.key in reader.refs and reader.resource_type == "model":
                at = _line_of_ref(reader, model.name)
                renderer.warnings.append(
                    f"{reader.path}:{at}: {_versioned(reader)} reads {name}, which "
                    f"{'was' if is_past else 'is'} to be given up by {until:%Y-%m-%d}.{newer}"
                )


def _date_of(model: Model) -> datetime | None:
    written = dbt_keys.date(model.deprecation_date)
    if written is None:
        return None
    try:
        until = datetime.fromisoformat(written)
    except ValueError:
        path, line = model.described_at or (model.path, model.line)
        message = f"deprecation_date is a date such as 2030-12-31, not {written}."
        raise ProjectError(message, path=path, line=line, model=model.name) from None
    return until if until.tzinfo else until.replace(tzinfo=UTC)


def _line_of_ref(reader: Model, name: str) -> int:
    """The first line of ``reader`` that has ``ref`` and ``name``, or else its first."""
    for number, line in enumerate(reader.raw_code.splitlines(), 1):
        if "ref" in line and name in line:
            return number
    return reader.line


def _versioned(model: Model) -> str:
    return model.name if model.version is None else f"{model.name}.v{model.version}"
