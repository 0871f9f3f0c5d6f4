"""What a YAML file holds, with its lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError


class Block(dict[str, Any]):
    """A mapping; ``lines`` has the line of each key."""

    line: int = 1
    lines: dict[str, int]

    def line_of(self, *keys: str) -> int:
        """The line of the first of ``keys`` that is there, or else the line of the mapping."""
        return next((self.lines[key] for key in keys if key in self.lines), self.line)


class Items(list[Any]):
    """A sequence; ``lines`` has the line of each item."""

    line: int = 1
    lines: list[int]


class File(Block):
    """The mapping that a file holds; ``repeated`` are the keys that stand twice in one mapping.

    The last one counts, as with dbt.
    """

    repeated: list[tuple[int, str]]


def named_blocks(value: Any, path: Path, line: int, what: str) -> list[Block]:
    """``value`` as a list of mappings, each of which has a text as its ``name``."""
    if value is None:
        return []
    if not isinstance(value, Items):
        raise ProjectError(f"{what} must be a list.", path=path, line=line)
    for item, item_line in zip(value, value.lines, strict=True):
        if not isinstance(item, Block):
            raise ProjectError(
                f"Each of {what} must be a mapping with a name.", path=path, line=item_line
            )
        if not isinstance(item.get("name"), str):
            missing = "has none" if "name" not in item else f"has {item['name']!r}"
            raise ProjectError(
                f"Each of {what} must have a name that is text; this one {missing}.",
                path=path,
                line=item.line_of("name"),
            )
    return list(value)
