"""How settings of several places come together: the rules that dbt has for each key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datapipe.transform.project.blocks import Block

_APPENDED = frozenset({"tags", "pre_hook", "post_hook", "packages"})
_MERGED = frozenset(
    {"meta", "quoting", "column_types", "docs", "contract", "snapshot_meta_column_names"}
)
_HYPHENS = {"pre-hook": "pre_hook", "post-hook": "post_hook"}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` on top: tags and hooks add up, meta merges, most keys replace."""
    result = dict(base)
    for given, value in over.items():
        key = _HYPHENS.get(given, given)
        if key in _APPENDED:
            result[key] = [*_listed(result.get(key)), *_listed(value)]
        elif key in _MERGED and isinstance(value, Mapping):
            result[key] = {**(result.get(key) or {}), **value}
        elif key == "grants" and key in result and isinstance(value, Mapping):
            result[key] = _granted(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | set) else [value]


def _granted(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Grants replace those of the same privilege, or add to them where ``+`` stands before it."""
    result = {privilege: _listed(to) for privilege, to in base.items()}
    for given, to in over.items():
        privilege = given.lstrip("+")
        before = result.get(privilege, []) if given.startswith("+") else []
        result[privilege] = [*before, *_listed(to)]
    return result


def levels(tree: Any, fqn: Sequence[str]) -> Iterator[tuple[dict[str, Any], Block]]:
    """What a tree such as ``models:`` sets for ``fqn``, the general first, and where it stands.

    A key with ``+`` is a setting, and so is one that holds no mapping; any other is a folder.
    """
    level = tree
    for folder in (*fqn, None):
        if not isinstance(level, Block):
            return
        own = {
            key.removeprefix("+").strip(): value
            for key, value in level.items()
            if isinstance(key, str) and (key.startswith("+") or not isinstance(value, dict))
        }
        if own:
            yield own, level
        level = level.get(folder) if folder is not None else None
