"""YAML that remembers its lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from datapipe.errors import ProjectError

try:  # about eight times as fast, where PyYAML was built with libyaml
    from yaml import CSafeLoader as _SafeLoader
except ImportError:
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]


class Block(dict[str, Any]):
    """A mapping; ``lines`` has the line of each key."""

    line: int = 1
    lines: dict[str, int]

    def line_of(self, *keys: str) -> int:
        """The line of the first of ``keys`` that is there, else of the mapping."""
        return next((self.lines[key] for key in keys if key in self.lines), self.line)


class Items(list[Any]):
    """A sequence; ``lines`` has the line of each item."""

    lines: list[int]


class _Loader(_SafeLoader):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Block:
    loader.flatten_mapping(node)
    block = Block()
    block.line = node.start_mark.line + 1
    block.lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        block[key] = loader.construct_object(value_node, deep=True)
        block.lines[key] = key_node.start_mark.line + 1
    return block


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> Items:
    items = Items(loader.construct_object(child, deep=True) for child in node.value)
    items.lines = [child.start_mark.line + 1 for child in node.value]
    return items


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _sequence)


def read(path: Path) -> Block:
    """The mapping that the file at ``path`` holds; an empty one for an empty file."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ProjectError(
            f"This is not valid YAML: {error.problem or error.context}.", path=path, line=line
        ) from None
    except yaml.YAMLError as error:
        raise ProjectError(f"This is not valid YAML: {error}.", path=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"The file cannot be read: {error}.", path=path) from None
    if found is None:
        found = Block()
        found.lines = {}
    if not isinstance(found, Block):
        raise ProjectError("The file must hold a mapping of keys to values.", path=path, line=1)
    return found


def blocks(value: Any, path: Path, line: int, what: str) -> list[Block]:
    """``value`` as a list of mappings that each have a ``name``."""
    if value is None:
        return []
    if not isinstance(value, Items):
        raise ProjectError(f"{what} must be a list.", path=path, line=line)
    for item, item_line in zip(value, value.lines, strict=True):
        if not isinstance(item, Block) or not isinstance(item.get("name"), str):
            raise ProjectError(
                f"Each of {what} must be a mapping with a name.", path=path, line=item_line
            )
    return list(value)
