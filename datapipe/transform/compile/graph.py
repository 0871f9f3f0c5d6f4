"""``graph``: all that the project has, as dbt shows it to templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import DataTest, Exposure, Model

_KINDS = (
    *("nodes", "sources", "exposures", "groups", "metrics", "semantic_models", "saved_queries"),
    "unit_tests",
)
_TESTS_OF_DBT = frozenset({"accepted_values", "not_null", "relationships", "unique"})


class Graph(Mapping[str, Any]):
    """The nodes by their unique ids; made when a template first looks, as few do."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def __getitem__(self, kind: str) -> Any:
        if kind not in _KINDS:
            raise KeyError(kind)
        return getattr(self, f"_{kind}", {})

    def __iter__(self) -> Iterator[str]:
        return iter(_KINDS)

    def __len__(self) -> int:
        return len(_KINDS)

    @cached_property
    def _nodes(self) -> dict[str, Any]:
        nodes: list[Model | DataTest] = [*self._manifest.models.values(), *self._manifest.tests]
        return {node.unique_id: with_parents(self._manifest, node) for node in nodes}

    @cached_property
    def _sources(self) -> dict[str, Any]:
        sources = self._manifest.sources.values()
        return {source.unique_id: source.as_template_sees_it() for source in sources}

    @cached_property
    def _exposures(self) -> dict[str, Any]:
        return self._others("exposure")

    @cached_property
    def _metrics(self) -> dict[str, Any]:
        return self._others("metric")

    @cached_property
    def _groups(self) -> dict[str, Any]:
        return {group["unique_id"]: dict(group) for group in self._manifest.groups.values()}

    def _others(self, kind: str) -> dict[str, Any]:
        return {
            each.unique_id: with_parents(self._manifest, each)
            for each in self._manifest.exposures
            if each.resource_type == kind
        }


class Seen(Mapping[str, Any]):
    """``model``: a node as its own template sees it, without what it has not."""

    def __init__(self, manifest: Manifest, node: Model | DataTest) -> None:
        self._manifest = manifest
        self._node = node

    def __getitem__(self, key: str) -> Any:
        return self._shown[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shown)

    def __len__(self) -> int:
        return len(self._shown)

    def __repr__(self) -> str:
        return repr(self._shown)

    @cached_property
    def _shown(self) -> dict[str, Any]:
        shown = with_parents(self._manifest, self._node)
        shown["config"] = _known(shown["config"])
        shown["refs"] = [_known(ref) for ref in shown.get("refs", ())]
        return _known(shown)


def with_parents(manifest: Manifest, node: Model | DataTest | Exposure) -> dict[str, Any]:
    """The node as ``graph`` has it."""
    parents = [manifest.sources[key].unique_id for key in node.sources]
    parents += [manifest.models[key].unique_id for key in node.refs]
    depends_on = {"macros": _macros(node), "nodes": parents}
    return {**node.as_template_sees_it(), "depends_on": depends_on}


def _macros(node: Model | DataTest | Exposure) -> list[str]:
    """What a generic test is a call of; of other nodes nobody is known to ask."""
    if not isinstance(node, DataTest) or not node.metadata:
        return []
    name, package = node.metadata["name"], node.metadata["namespace"]
    own = "dbt" if name in _TESTS_OF_DBT else node.package
    return [f"macro.{package or own}.test_{name}"]


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}
