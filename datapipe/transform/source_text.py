"""What a file of the project holds, for those who search it for an error."""

from __future__ import annotations

from pathlib import Path


def text_of(path: Path) -> str:
    """The text of the file; nothing if it cannot be read, as that is told elsewhere."""
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""


def line_of(path: Path, line: int | None) -> str:
    """A line of the file; empty if there is no such line."""
    lines = text_of(path).split("\n")
    return lines[line - 1] if line and line <= len(lines) else ""
