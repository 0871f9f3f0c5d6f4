"""The file ``.dbtignore``: what of a project's folders is not read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

FILE = ".dbtignore"


def reader(directory: Path) -> Callable[[str], bool]:
    """A function that tells whether a path is ignored, given from ``directory`` on with slashes."""
    try:
        text = (directory / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return lambda path: False
    rules = [rule for line in text.splitlines() if (rule := _rule(line)) is not None]

    def is_ignored(path: str) -> bool:
        ignored = False
        for pattern, ignores in rules:  # the last that matches decides
            if pattern.match(path):
                ignored = ignores
        return ignored

    return is_ignored


def _rule(line: str) -> tuple[re.Pattern[str], bool] | None:
    """A line in git's grammar as a pattern for whole paths, and whether it ignores them."""
    line = line.rstrip()
    if not line or line.startswith("#"):
        return None
    ignores = not line.startswith("!")
    line = line.removeprefix("!").removeprefix("\\")
    # A slash at the start or within says that the line is meant from the project's folder on.
    prefix = "" if "/" in line.rstrip("/") else "(?:.*/)?"
    return re.compile(f"{prefix}{_pattern(line.strip('/'))}(?:/.*)?\\Z", re.DOTALL), ignores


def _pattern(glob: str) -> str:
    pieces = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    written = []
    for piece in re.findall(r"\*\*/|/\*\*\Z|\*\*|\*|\?|\[[^]]*\]|.", glob):
        if piece.startswith("[") and piece.endswith("]"):
            written.append(piece.replace("[!", "[^"))
        else:
            written.append(pieces.get(piece) or re.escape(piece))
    return "".join(written)
