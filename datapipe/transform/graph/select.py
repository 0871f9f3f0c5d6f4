"""dbt's selection: which models and tests of a project a run is about.

``--select`` and ``--exclude`` take names, folders and ``method:value``, with ``+`` and ``@`` for
what lies before and after; a space unites, a comma intersects. A test is selected with any model
that it reads, as dbt does by default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from datapipe.errors import UsageError
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import DataTest, Model

_CRITERION = re.compile(
    r"(?P<whole>@)?(?:(?P<before>\d*)(?P<parents>\+))?(?:(?P<method>[\w.]+):)?(?P<value>.*?)"
    r"(?:(?P<children>\+)(?P<after>\d*))?"
)
_METHODS = ("config", "file", "fqn", "package", "path", "resource_type", "source", "tag",
            "test_name", "test_type")  # fmt: skip
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Node:
    """What can be selected: a model, a seed, a source or a data test, by dbt's unique id."""

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

    @property
    def tags(self) -> list[str]:
        return [str(tag) for tag in self.config.get("tags") or []]


@dataclass(frozen=True)
class Selection:
    """What was selected, in the order of the project; ``warnings`` tell what matched nothing."""

    nodes: tuple[Node, ...]
    models: frozenset[str]
    tests: tuple[DataTest, ...]
    warnings: tuple[str, ...] = ()


@dataclass
class _Graph:
    """Every node, and who reads whom."""

    nodes: dict[str, Node] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=dict)

    def add(self, node: Node, parents: Iterable[str]) -> None:
        self.nodes[node.unique_id] = node
        for parent in parents:
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


def select(
    manifest: Manifest, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Selection:
    """What of the project ``include`` names, or all of it, without what ``exclude`` names.

    Raises UsageError for a criterion that cannot be read.
    """
    graph = _graph(manifest)
    warnings: list[str] = []
    included = _united(manifest, graph, include, warnings) if include else set(graph.nodes)
    selected = included - _united(manifest, graph, exclude, warnings)
    return Selection(
        nodes=tuple(node for key, node in graph.nodes.items() if key in selected),
        models=frozenset(
            name for name, model in manifest.models.items() if _id_of(model) in selected
        ),
        tests=tuple(test for test in manifest.tests if _id_of_test(manifest, test) in selected),
        warnings=tuple(warnings),
    )


def _united(
    manifest: Manifest, graph: _Graph, texts: Iterable[str], warnings: list[str]
) -> set[str]:
    united: set[str] = set()
    for text in (part for each in texts for part in each.split()):
        found = set.intersection(
            *(_matching(manifest, graph, criterion, warnings) for criterion in text.split(","))
        )
        if not found:
            warnings.append(f"The selection criterion '{text}' does not match any enabled nodes.")
        united |= found
    return united


def _matching(manifest: Manifest, graph: _Graph, criterion: str, warnings: list[str]) -> set[str]:
    read = _CRITERION.fullmatch(criterion)
    if read is None or not read["value"]:
        raise UsageError(f"The selection criterion '{criterion}' names nothing to select.")
    if read["whole"] and read["children"]:
        raise UsageError(f"In '{criterion}', the @ before and the + after do not go together.")
    method, _, argument = (read["method"] or _usual_method(read["value"])).partition(".")
    if method not in _METHODS:
        warnings.append(
            f"In '{criterion}', {method} is no method of selection that datapipe has. "
            f"There are {', '.join(_METHODS)}."
        )
        return set()
    if method == "path":
        found = _under_path(manifest, graph, read["value"])
    else:
        found = {
            key
            for key, node in graph.nodes.items()
            if _is_match(node, method, argument, read["value"], manifest.project.name)
        }
    near = set(found)
    if read["whole"]:
        near |= graph.reached(graph.reached(found, graph.children), graph.parents)
    if read["parents"]:
        near |= graph.reached(found, graph.parents, _depth(read["before"]))
    if read["children"]:
        near |= graph.reached(found, graph.children, _depth(read["after"]))
    return near | {
        child
        for key in near
        for child in graph.children.get(key, ())
        if graph.nodes[child].resource_type == "test"
    }


def _usual_method(value: str) -> str:
    if "/" in value:
        return "path"
    return "file" if value.lower().endswith((".sql", ".py", ".csv")) else "fqn"


def _depth(written: str | None) -> int | None:
    return int(written) if written else None


def _is_match(node: Node, method: str, argument: str, value: str, project: str) -> bool:
    is_source = node.resource_type == "source"
    match method:
        case "fqn":
            return not is_source and (_is_named(node.fqn, value) or _is_named(node.fqn[1:], value))
        case "tag":
            return any(fnmatch(tag, value) for tag in node.tags)
        case "file":
            file = Path(node.file)
            return fnmatch(file.name, value) or fnmatch(file.stem, value)
        case "package":
            return fnmatch(node.package, project if value == "this" else value)
        case "resource_type":
            return value == node.resource_type or (value == "all")
        case "source":
            return is_source and _is_source(node, value)
        case "test_type":
            return value in {node.test_type, "data" if node.test_type else ""}
        case "test_name":
            return node.resource_type == "test" and fnmatch(node.macro, value)
        case _:
            return _is_set(node.config, argument, value)


def _is_named(fqn: tuple[str, ...], value: str) -> bool:
    """Whether ``value`` is the node's name, or a folder it lies in, with dots and wildcards."""
    if fqn[-1] == value:
        return True
    flat = ".".join(fqn).split(".")
    wanted = value.split(".")
    if len(flat) < len(wanted):
        return False
    for number, part in enumerate(wanted):
        if _WILDCARDS & set(part):
            rest = fnmatch(".".join(flat[number:]), ".".join(wanted[number:]))
            return rest or (len(wanted) == 1 and fnmatch(fqn[-1], value))
        if flat[number] != part:
            return False
    return True


def _is_source(node: Node, value: str) -> bool:
    parts = value.split(".")
    if len(parts) > 3:
        raise UsageError(
            f"'source:{value}' has too many parts: a source is source_name, source_name.table or "
            "package.source_name.table."
        )
    if len(parts) == 3 and not fnmatch(node.package, parts.pop(0)):
        return False
    names = (*node.fqn[-2:],)
    return all(fnmatch(name, part) for name, part in zip(names, parts, strict=False))


def _is_set(config: Mapping[str, Any], argument: str, value: str) -> bool:
    """Whether the setting ``argument``, a path with dots, is ``value`` or has it."""
    found: Any = config
    for part in argument.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return False
        found = found[part]
    if argument == "severity":
        return str(found).lower() == value.lower()
    if isinstance(found, bool):
        return value.lower() == str(found).lower()
    if isinstance(found, list | Mapping):
        return value in map(str, found)
    return value == str(found)


def _under_path(manifest: Manifest, graph: _Graph, value: str) -> set[str]:
    root = manifest.project.directory
    try:
        paths = {path.relative_to(root) for path in root.glob(value)}
    except (ValueError, NotImplementedError):
        raise UsageError(
            f"'{value}' is no path within the project: write it from the project's folder on."
        ) from None
    return {
        key
        for key, node in graph.nodes.items()
        if {Path(node.file), *Path(node.file).parents} & paths
        or (node.described_in and Path(node.described_in) in paths)
    }


def _graph(manifest: Manifest) -> _Graph:
    graph, project = _Graph(), manifest.project
    for source in manifest.sources.values():
        file = project.relative(source.path)
        fqn = (project.name, *Path(file).parts[1:-1], source.source_name, source.name)
        unique_id = _id_of_source(project.name, (source.source_name, source.name))
        graph.add(
            Node(unique_id, "source", source.name, project.name, fqn, file, {"enabled": True}), ()
        )
    for model in manifest.models.values():
        graph.add(_node_of(model), _parents(manifest, model))
    for test in manifest.tests:
        file = project.relative(test.path)
        node = Node(
            unique_id=_id_of_test(manifest, test),
            resource_type="test",
            name=test.name,
            package=project.name,
            fqn=(project.name, *Path(file).parts[1:-1], test.name),
            file=file,
            config=test.config,
            test_type="singular" if test.macro is None else "generic",
            macro=(test.macro or "").rpartition(".")[2].removeprefix("test_"),
        )
        graph.add(node, _parents(manifest, test))
    return graph


def _node_of(model: Model) -> Node:
    return Node(
        unique_id=_id_of(model),
        resource_type=model.resource_type,
        name=model.name,
        package=model.package,
        fqn=model.fqn,
        file=model.file,
        config=model.config,
        described_in=model.described_in,
    )


def _parents(manifest: Manifest, node: Model | DataTest) -> list[str]:
    return [
        *(_id_of(manifest.models[name]) for name in node.refs),
        *(_id_of_source(manifest.project.name, key) for key in node.sources),
    ]


def _id_of(model: Model) -> str:
    return f"{model.resource_type}.{model.package}.{model.name}"


def _id_of_source(project: str, key: tuple[str, str]) -> str:
    return f"source.{project}.{'.'.join(key)}"


def _id_of_test(manifest: Manifest, test: DataTest) -> str:
    return f"test.{manifest.project.name}.{test.name}"
