"""The line that an error is about, shown below its message."""

from __future__ import annotations

from datapipe.errors import ProjectError


def shown(error: ProjectError) -> ProjectError:
    """``error`` with the line of the file at which it stands, unless that is shown already."""
    if error.path is None or error.line is None or f"\n  {error.line} | " in str(error):
        return error
    try:
        lines = error.path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return error
    if error.line <= len(lines):
        error.args = (f"{error}\n  {error.line} | {lines[error.line - 1]}",)
    return error
