"""The settings of a node, out of every place that dbt takes them from, in its order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.jinja.context import Var
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.project import Project, merged
from datapipe.transform.project.blocks import Block

_COMMON: dict[str, Any] = {
    "enabled": True, "alias": None, "schema": None, "database": None, "tags": [], "meta": {},
    "group": None, "static_analysis": None,
}  # fmt: skip
_BUILT: dict[str, Any] = {
    **_COMMON, "materialized": "view", "incremental_strategy": None, "batch_size": None,
    "lookback": 1, "begin": None, "persist_docs": {}, "post_hook": [], "pre_hook": [],
    "quoting": {}, "column_types": {}, "full_refresh": None, "unique_key": None,
    "on_schema_change": "ignore", "on_configuration_change": "apply", "grants": {},
    "packages": [], "docs": {"show": True, "node_color": None},
    "contract": {"enforced": False, "alias_types": True}, "event_time": None,
    "concurrent_batches": None,
}  # fmt: skip
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "model": {**_BUILT, "access": "protected", "freshness": None},
    "analysis": _BUILT,
    "seed": {**_BUILT, "materialized": "seed", "quote_columns": None, "delimiter": ","},
    "snapshot": {
        **_BUILT, "materialized": "snapshot", "strategy": None, "target_schema": None,
        "target_database": None, "updated_at": None, "check_cols": None,
        "snapshot_meta_column_names": {}, "dbt_valid_to_current": None,
    },
    "function": {
        **_BUILT, "materialized": "function", "type": "scalar", "volatility": None,
        "runtime_version": None, "entry_point": None,
    },
    "source": {
        "enabled": True, "event_time": None, "freshness": {}, "loaded_at_field": None,
        "loaded_at_query": None, "meta": {}, "tags": [], "static_analysis": None,
    },
    "test": {
        **_COMMON, "schema": "dbt_test__audit", "materialized": "test", "severity": "ERROR",
        "store_failures": None, "store_failures_as": None, "where": None, "limit": None,
        "fail_calc": "count(*)", "warn_if": "!= 0", "error_if": "!= 0",
    },
    "unit_test": {"enabled": True, "tags": [], "meta": {}, "static_analysis": None},
    "exposure": {"enabled": True, "tags": [], "meta": {}},
}  # fmt: skip
_TREES = {"analysis": "models", "test": "data_tests"}
_HOOKS = ("pre_hook", "post_hook")
_LATE = frozenset({*_HOOKS, "pre-hook", "post-hook"})

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "enabled": ((bool,), "true or false"),
    "full_refresh": ((bool,), "true or false"),
    "store_failures": ((bool,), "true or false"),
    "materialized": ((str,), "a name, such as table"),
    "incremental_strategy": ((str,), "a name, such as merge"),
    "on_schema_change": ((str,), "a name, such as append_new_columns"),
    "meta": ((Mapping,), "a mapping"),
    "grants": ((Mapping,), "a mapping of privileges to roles"),
    "persist_docs": ((Mapping,), "a mapping of relation and columns to true or false"),
    "column_types": ((Mapping,), "a mapping of columns to types"),
    "contract": ((Mapping,), "a mapping with enforced"),
    "docs": ((Mapping,), "a mapping"),
    "unique_key": ((str, list, tuple), "a column or a list of columns"),
    "schema": ((str,), "a name"),
    "alias": ((str,), "a name"),
    "database": ((str,), "a name"),
    "group": ((str,), "the name of a group"),
    "limit": ((int,), "a number"),
    "indexes": ((list, tuple), "a list of mappings with columns"),
    "where": ((str,), "a condition in SQL"),
    "warn_if": ((str,), "a condition such as '!= 0'"),
    "error_if": ((str,), "a condition such as '!= 0'"),
    "fail_calc": ((str,), "an expression in SQL"),
}


@frozen
class Layer:
    """The settings that are given in one place; ``text`` is the template, if they are in one.

    ``written`` are the settings with their Jinja, if they have any.
    """

    values: Mapping[str, Any]
    path: Path
    line: int
    lines: Mapping[str, int]
    text: str = ""
    written: Mapping[str, Any] | None = None

    def line_of(self, key: str) -> int:
        for spelling in (key, f"+{key}", key.replace("_", "-"), f"+{key.replace('_', '-')}"):
            if spelling in self.lines:
                return self.lines[spelling]
        for number, text in enumerate(self.text.splitlines(), 1):
            if key in text:
                return number
        return self.line


def layer(block: Mapping[str, Any], path: Path, line: int) -> Layer:
    """The settings that a YAML file gives in ``block``."""
    return Layer(block, path, line, getattr(block, "lines", {}))


class Configs:
    """Works out settings: the project's tree counts least, then YAML, then the file itself.

    For nodes of a package, what the root project's tree says counts most.
    """

    def __init__(self, renderer: Renderer) -> None:
        self.project = renderer.project
        self.renderer = renderer
        self._own = {"var": Var(self.project.given, is_final=True)}
        self._levels: dict[int, Layer] = {}
        self._known: dict[tuple[object, ...], tuple[dict[str, Any], list[Layer]]] = {}

    def of(
        self, kind: str, package: str, fqn: Sequence[str], *given: Layer
    ) -> tuple[dict[str, Any], list[Layer]]:
        """The settings of a node, and the places they came from; checks their types."""
        config, layers = self._tree(kind, package, fqn)
        layers = [*layers, *given]
        if package != self.project.name:
            given = (*given, *self._project(self.project, _TREES.get(kind, f"{kind}s"), fqn))
        for each in given:
            _check(each)
            config = merged(config, each.values)
        for key in _HOOKS:
            if config.get(key):
                at = place_of(key, layers, self.project.path)
                config = {**config, key: [_hook(each, *at) for each in config[key]]}
        return dict(config), layers

    def as_written(
        self, kind: str, package: str, fqn: Sequence[str], *given: Layer
    ) -> Mapping[str, Any]:
        """The settings of a node with their Jinja; of each, the last place counts, as to dbt."""
        tree = _TREES.get(kind, f"{kind}s")
        layers = [*self._project(self.project.package(package), tree, fqn), *given]
        if package != self.project.name:
            layers += self._project(self.project, tree, fqn)
        found: dict[str, Any] = {}
        for each in layers:
            found |= each.values if each.written is None else each.written
        return found

    def before(self, kind: str, package: str, fqn: Sequence[str]) -> Mapping[str, Any]:
        """The settings that a node has before its own file is read."""
        return self._tree(kind, package, fqn)[0]

    def _tree(
        self, kind: str, package: str, fqn: Sequence[str]
    ) -> tuple[dict[str, Any], list[Layer]]:
        """What the package's own tree says; worked out once for all nodes that share it."""
        tree = _TREES.get(kind, f"{kind}s")
        layers = list(self._project(self.project.package(package), tree, fqn))
        key = (kind, *map(id, layers))
        known = self._known.get(key)
        if known is None:
            config = dict(DEFAULTS[kind])
            for each in layers:
                _check(each)
                config = merged(config, each.values)
            known = self._known[key] = config, layers
        return known

    def _project(self, project: Project, tree: str, fqn: Sequence[str]) -> Iterator[Layer]:
        for level, block in project.config_for(tree, fqn):
            found = self._levels.get(id(block))
            if found is None:
                found = self._levels[id(block)] = self._rendered(level, block, project)
            yield found

    def _rendered(self, level: Mapping[str, Any], block: Block, project: Project) -> Layer:
        values = {}
        for key, value in level.items():
            line = block.lines.get(key, block.lines.get(f"+{key}", block.line))
            values[key] = (
                value
                if key in _LATE
                else self.renderer.value(value, self._own, path=project.path, line=line)
            )
        return Layer(values, project.path, block.line, block.lines, written=level)


def place_of(key: str, layers: Sequence[Layer], path: Path) -> tuple[Path, int]:
    """The file and the line that set ``key``; the first line of ``path`` if nothing does."""
    for each in reversed(layers):
        if (
            (key == "config(" and each.text)
            or key in each.values
            or key.replace("_", "-") in each.values
        ):
            return each.path, each.line_of(key)
    return path, 1


def _check(given: Layer) -> None:
    for key, value in given.values.items():
        kinds = _KINDS.get(key)
        if kinds is not None and value is not None and not isinstance(value, kinds[0]):
            raise ProjectError(
                f"The setting {key} must be {kinds[1]}, and is {value!r}.",
                path=given.path,
                line=given.line_of(key),
                about=key,
            )
        enforced = value.get("enforced") if key == "contract" and isinstance(value, Block) else None
        if enforced is not None and not isinstance(enforced, bool):
            raise ProjectError(
                f"The setting enforced of a contract must be true or false, not {enforced!r}.",
                path=given.path,
                line=value.line_of("enforced"),
            )
        if key == "tags" and not _are_texts(value):
            raise ProjectError(
                f"The setting tags must be text or a list of it, and is {value!r}.",
                path=given.path,
                line=given.line_of(key),
            )


def _are_texts(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, list | tuple | set) and all(isinstance(each, str) for each in value)


def _hook(given: Any, path: Path, line: int) -> dict[str, Any]:
    """A hook as a mapping; dbt's ``before_begin`` and ``after_commit`` write it as JSON."""
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except ValueError:
            found = None
        given = found if isinstance(found, dict) and "sql" in found else {"sql": given}
    if not isinstance(given, Mapping) or not isinstance(given.get("sql"), str):
        raise ProjectError(
            f"A hook is SQL, or a mapping with sql and transaction, not {given!r}.",
            path=path,
            line=line,
        )
    return {"transaction": True, "index": None, **given}
