"""The methods of selection: which nodes ``method:value`` stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from datapipe.errors import UsageError
from datapipe.frozen import frozen
from datapipe.transform.graph.nodes import Graph, Node
from datapipe.transform.manifest import Manifest

METHODS = (
    "access", "config", "exposure", "file", "fqn", "group", "metric", "package", "path",
    "resource_type", "result", "saved_query", "semantic_model", "source", "source_status",
    "state", "tag", "test_name", "test_type", "unit_test", "version",
)  # fmt: skip
_TYPES = (
    "model", "seed", "snapshot", "test", "source", "unit_test", "analysis", "exposure", "metric",
    "semantic_model", "saved_query", "macro", "operation", "documentation", "group", "function",
)  # fmt: skip
_BY_NAME = ("exposure", "metric", "saved_query", "semantic_model", "unit_test")
_TEST_TYPES: Mapping[str, tuple[str, ...]] = {
    "generic": ("generic",),
    "schema": ("generic",),
    "singular": ("singular",),
    "data": ("generic", "singular"),
    "unit": ("unit",),
}
_CONFIGURED = frozenset({"model", "seed", "snapshot", "test", "analysis"})
_STATES = ("new", "old", "modified", "unmodified")
_PARTS = ("body", "configs", "persisted_descriptions", "relation", "macros", "contract")
_WILDCARDS = frozenset("*?[]")


@frozen
class Facts:
    """What is known of earlier runs, for ``state:`` and ``result:``; keys are unique ids.

    ``modified`` has the parts of a node that have changed; of a new node, all of them.
    """

    new: frozenset[str]
    modified: Mapping[str, frozenset[str]]
    results: Mapping[str, str]


@frozen
class Earlier:
    """What a selection may ask about earlier runs; None is not known.

    ``fresher`` are the sources with newer rows, for ``source_status:``.
    """

    facts: Facts | None = None
    fresher: frozenset[str] | None = None


def matching(
    manifest: Manifest,
    graph: Graph,
    method: str,
    argument: str,
    value: str,
    earlier: Earlier,
) -> set[str]:
    """The unique ids of the nodes that ``method.argument:value`` stands for."""
    if method == "path":
        return _under_path(manifest, graph, value)
    if method in {"state", "result"}:
        value = f"{value}.{argument}" if argument else value
        return _of_earlier(graph, method, value, earlier.facts)
    if method == "source_status":
        return _of_status(graph, value, earlier.fresher)
    matches = _test(manifest, method, argument, value)
    return {key for key, node in graph.nodes.items() if matches(node)}


def _test(manifest: Manifest, method: str, argument: str, value: str) -> Callable[[Node], bool]:
    if method in _BY_NAME:
        return _named(method, value)
    match method:
        case "fqn":
            return lambda node: (
                node.resource_type != "source"
                and (_is_at(node, node.fqn, value) or _is_at(node, node.fqn[1:], value))
            )
        case "tag":
            return lambda node: any(fnmatchcase(tag, value) for tag in node.tags)
        case "file":
            return lambda node: (
                fnmatchcase(Path(node.file).name, value) or fnmatchcase(Path(node.file).stem, value)
            )
        case "package":
            package = manifest.project.name if value == "this" else value
            return lambda node: fnmatchcase(node.package, package)
        case "resource_type":
            _check("resource_type", value, _TYPES)
            return lambda node: node.resource_type == value
        case "test_type":
            _check("test_type", value, _TEST_TYPES)
            return lambda node: node.test_type in _TEST_TYPES[value]
        case "test_name":
            return lambda node: fnmatchcase(
                node.name if node.resource_type == "unit_test" else node.macro, value
            )
        case "source":
            return _source(value)
        case "group":
            return lambda node: (
                node.resource_type in {*_CONFIGURED, "metric"}
                and bool(node.config.get("group"))
                and fnmatchcase(str(node.config["group"]), value)
            )
        case "access":
            return lambda node: node.resource_type == "model" and node.config.get("access") == value
        case "version":
            _check("version", value, ("latest", "prerelease", "old", "none"))
            return lambda node: node.resource_type == "model" and _age(node) == value
        case _:
            return lambda node: (
                node.resource_type in {*_CONFIGURED, "source"}
                and _is_set(node.config, argument, value)
            )


def _check(method: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise UsageError(f"There is no {method} {value}: there are {', '.join(known)}.")


def _named(kind: str, value: str) -> Callable[[Node], bool]:
    parts = value.split(".")
    if len(parts) > 2:
        raise UsageError(f"'{kind}:{value}' has too many parts: write name, or package.name.")
    package = parts[0] if len(parts) == 2 else "*"
    return lambda node: (
        node.resource_type == kind
        and fnmatchcase(node.package, package)
        and fnmatchcase(node.name, parts[-1])
    )


def _source(value: str) -> Callable[[Node], bool]:
    parts = value.split(".")
    if len(parts) > 3:
        raise UsageError(
            f"'source:{value}' has too many parts: a source is source_name, source_name.table or "
            "package.source_name.table."
        )
    package = parts.pop(0) if len(parts) == 3 else "*"
    return lambda node: (
        node.resource_type == "source"
        and fnmatchcase(node.package, package)
        and all(fnmatchcase(name, part) for name, part in zip(node.fqn[-2:], parts, strict=False))
    )


def _is_at(node: Node, fqn: tuple[str, ...], value: str) -> bool:
    """Whether ``value`` is the node's name, or a folder it lies in, with dots and wildcards."""
    wanted = value.split(".")
    name = fqn[-1]
    if node.version is not None:  # its fqn ends with the name and then the version
        name = fqn[-2]
        if "_".join(fqn[-2:]) == "_".join(wanted[-2:]):
            return True
    if name == value:
        return True
    flat = ".".join(fqn).split(".")
    if len(flat) < len(wanted):
        return False
    for number, part in enumerate(wanted):
        if _WILDCARDS & set(part):
            rest = fnmatchcase(".".join(flat[number:]), ".".join(wanted[number:]))
            return rest or (len(wanted) == 1 and fnmatchcase(name, value))
        if flat[number] != part:
            return False
    return True


def _age(node: Node) -> str:
    """What a version is, compared with the latest: latest, prerelease or old."""
    if node.version is None or node.latest_version is None:
        return "none"
    if node.version == node.latest_version:
        return "latest"
    try:
        is_newer = float(node.version) > float(node.latest_version)
    except ValueError:
        is_newer = node.version > node.latest_version
    return "prerelease" if is_newer else "old"


def _is_set(config: Mapping[str, Any], argument: str, value: str) -> bool:
    """Whether the setting ``argument``, a path with dots, is ``value`` or a list that has it."""
    found: Any = config
    for part in argument.split("."):
        if not isinstance(found, Mapping):
            return False
        name = part if part in found else part.replace("-", "_")
        if name not in found:
            return False
        found = found[name]
    if argument == "severity":
        return str(found).lower() == value.lower()
    truth = {"true": True, "false": False}.get(value.lower())
    if isinstance(found, list):
        return value in found or (truth is not None and any(each is truth for each in found))
    return bool(found == value) or (truth is not None and found is truth)


def _under_path(manifest: Manifest, graph: Graph, value: str) -> set[str]:
    root = manifest.project.directory
    try:
        paths = {manifest.project.relative(path) for path in root.glob(value.rstrip("/") or value)}
    except (ValueError, NotImplementedError, IndexError):
        raise UsageError(
            f"'{value}' is no path within the project: write it relative to the project's folder."
        ) from None
    return {
        key
        for key, node in graph.nodes.items()
        if node.described_in in paths or any(_above(node.file, paths))
    }


def _above(file: str, paths: set[str]) -> Iterable[bool]:
    yield file in paths
    for parent in Path(file).parents:
        yield str(parent) in paths


def _of_status(graph: Graph, value: str, fresher: frozenset[str] | None) -> set[str]:
    _check("source_status", value, ("fresher",))
    if fresher is None:
        raise UsageError(
            f"'source_status:{value}' compares the last two runs of `datapipe freshness`, and "
            "there were not two yet. Run it before what is new is loaded, and again after that."
        )
    return {key for key in graph.nodes if key in fresher}


def _of_earlier(graph: Graph, method: str, value: str, facts: Facts | None) -> set[str]:
    state, _, part = value.partition(".")
    if method == "state":
        _check("state", state, _STATES)
        if part:
            _check("state:modified.", part, _PARTS)
    if facts is None:
        raise UsageError(
            f"'{method}:{value}' compares with an earlier run, and none is recorded yet. Run "
            "`datapipe transform` once without it."
        )
    if method == "result":
        return {key for key in graph.nodes if facts.results.get(key) == value}
    found = set()
    for key in graph.nodes:
        is_new, parts = key in facts.new, facts.modified.get(key, frozenset())
        is_modified = part in parts if part else bool(parts) or is_new
        if {
            "new": is_new,
            "old": not is_new,
            "modified": is_modified,
            "unmodified": not is_modified,
        }[state]:
            found.add(key)
    return found
