"""Every node of a project as selection sees it, and who reads whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import field
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.manifest import Manifest

TESTS = frozenset({"test", "unit_test"})
_BY_FQN = frozenset({"model", "seed", "snapshot", "test", "analysis", "function"})


@frozen
class Node:
    """What can be selected: a model, a seed, a source, a test and so on, by dbt's unique id."""

    unique_id: str
    resource_type: str
    name: str
    package: str
    fqn: tuple[str, ...]
    file: str
    config: Mapping[str, Any]
    described_in: str = ""
    test_type: str = ""
    macro: str = ""
    version: str | None = None
    latest_version: str | None = None
    depends_on: tuple[str, ...] = ()

    @property
    def tags(self) -> list[str]:
        return [str(tag) for tag in self.config.get("tags") or []]

    @property
    def selector(self) -> str:
        """What to write to select just this node."""
        if self.resource_type in _BY_FQN:
            return ".".join(self.fqn)
        return f"{self.resource_type}:{self.package}.{self.search_name}"

    @property
    def search_name(self) -> str:
        """The name without the package, by which dbt looks it up."""
        if self.resource_type == "source":
            return ".".join(self.fqn[-2:])
        if self.resource_type == "unit_test":
            return self.unique_id.rpartition(".")[2]
        return self.name if self.version is None else f"{self.name}.v{self.version}"


@frozen
class Graph:
    """Every node, and who reads whom."""

    nodes: dict[str, Node] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        self.nodes[node.unique_id] = node
        for parent in node.depends_on:
            self.parents.setdefault(node.unique_id, set()).add(parent)
            self.children.setdefault(parent, set()).add(node.unique_id)

    def reached(
        self, start: Set[str], edges: Mapping[str, set[str]], depth: int | None = None
    ) -> set[str]:
        """``start``, and what lies at most so many edges away from it."""
        found, edge = set(start), set(start)
        while edge and (depth is None or depth > 0):
            edge = {far for near in edge for far in edges.get(near, ())} - found
            found |= edge
            depth = None if depth is None else depth - 1
        return found


def graph_of(manifest: Manifest) -> Graph:
    """The graph of all that is enabled."""
    graph = Graph()
    for source in manifest.sources.values():
        graph.add(_node(source, "source", ()))
    for model in (*manifest.models.values(), *manifest.analyses):
        node = _node(
            model,
            model.resource_type,
            manifest.parents(model),
            described_in=model.described_in,
            version=model.version,
            latest_version=model.latest_version,
        )
        graph.add(node)
    for test in manifest.tests:
        node = _node(
            test,
            "test",
            manifest.parents(test),
            described_in=test.described_in,
            test_type="singular" if test.macro is None else "generic",
            macro=(test.macro or "").rpartition(".")[2].removeprefix("test_"),
        )
        graph.add(node)
    for unit in manifest.unit_tests:
        tested = manifest.models[unit.model].unique_id
        graph.add(_node(unit, "unit_test", (tested,), test_type="unit"))
    for each in manifest.exposures:
        graph.add(_node(each, each.resource_type, manifest.parents(each)))
    return graph


def _node(of: Any, resource_type: str, parents: Iterable[str], **more: Any) -> Node:
    return Node(
        of.unique_id,
        resource_type,
        of.name,
        of.package,
        of.fqn,
        of.file,
        of.config,
        depends_on=tuple(dict.fromkeys(parents)),
        **more,
    )
