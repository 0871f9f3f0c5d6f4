"""How the commands speak: results to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from datapipe.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from datapipe.settings import Settings


def tell(message: str) -> None:
    """Say something that is not a result."""
    print(message, file=sys.stderr)  # noqa: T201 - the one place that speaks


def say(message: str) -> None:
    """Say a result."""
    print(message)  # noqa: T201 - the one place that speaks


def write(path: Path, text: str) -> None:
    """Write a result to a file, and make the folders above it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None


def settings(project_dir: Path | None = None, target_schema: str | None = None) -> Settings:
    """The settings, with what the command line says."""
    from datapipe.settings import Settings  # late, for the sake of --help

    return Settings.load(
        {
            "DATAPIPE_PROJECT_DIR": None if project_dir is None else str(project_dir),
            "DATAPIPE_TARGET_SCHEMA": target_schema,
        }
    )


def items(text: str | None) -> tuple[str, ...]:
    """The parts of a comma-separated option."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def variables(text: str | None) -> dict[str, object]:
    """The variables that ``--vars`` gives."""
    if not text:
        return {}
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--vars is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise UsageError("--vars takes a mapping, such as '{as_of: 2026-05-15}'.")
    return found
