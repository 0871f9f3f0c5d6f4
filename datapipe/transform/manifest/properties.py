"""The YAML files of one package: what they say of models, seeds, snapshots and all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.jinja.context import Var
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.nodes import Column
from datapipe.transform.manifest.yaml_keys import (
    COLUMN_KEYS,
    FILE_KEYS,
    KEYS,
    near_keys,
    refuse_other_types,
)
from datapipe.transform.project import Project, merged, yaml_file
from datapipe.transform.project.blocks import Block, Items, named_blocks

_OUTSIDE = ("meta", "tags", "enabled", "docs", "group", "contract", "access", "freshness")
_UNRENDERED = frozenset({"description", "tests", "data_tests", "loaded_at_query"})
_HOOKS = frozenset({"pre_hook", "post_hook", "pre-hook", "post-hook"})


@frozen
class NodeProperties:
    """What YAML says of one model, seed or snapshot, or of one version of a model.

    ``file_name`` is what its file is called. ``tested`` are the mappings that tests are written
    under: first the columns, then the node itself.
    """

    name: str
    kind: str
    package: str
    path: Path
    line: int
    block: Block
    config: Mapping[str, Any]
    columns: Mapping[str, Column]
    constraints: tuple[Mapping[str, Any], ...]
    tested: tuple[Block, ...] = ()
    description: str = ""
    version: str | None = None
    latest_version: str | None = None
    file_name: str = ""
    deprecation_date: Any = None


@frozen
class Properties:
    """What all the YAML files of a package say together, list by list."""

    nodes: list[NodeProperties] = field(default_factory=list)
    blocks: dict[str, list[tuple[Path, Block]]] = field(default_factory=dict)


class Reader:
    """Reads the YAML files of one package."""

    def __init__(self, package: Project, renderer: Renderer) -> None:
        self.project = renderer.project
        self.package = package
        self.renderer = renderer
        self.own = {"var": Var(self.project.variables_for(package.name), is_final=True)}

    def read_all(self) -> Properties:
        """Read every YAML file under any of the package's paths."""
        found = Properties()
        for path in self.package.described(".yml", ".yaml"):
            file = yaml_file.read(path, self.project.cache_dir)
            for line, key in file.repeated:
                self.renderer.warnings.append(
                    f"{path}:{line}: The key {key} stands here for the second time; only this one "
                    "counts."
                )
            self._near(file, FILE_KEYS, path)
            for key, known in KEYS.items():
                for block in named_blocks(file.get(key), path, file.line_of(key), key):
                    if known:
                        self._near(block, known, path)
                    written = self.rendered(block, path)
                    found.blocks.setdefault(key, []).append((path, written))
        for kind in ("models", "seeds", "snapshots", "analyses", "functions"):
            for path, block in found.blocks.get(kind, ()):
                found.nodes.extend(self._nodes(block, kind, path))
        return found

    def rendered(self, block: Block, path: Path) -> Block:
        """``block`` with its Jinja rendered, except what dbt renders later."""
        return self._rendered(block, path, block.line) if _has_jinja(block) else block

    def _rendered(
        self, value: Any, path: Path, line: int, skip: frozenset[str] = frozenset()
    ) -> Any:
        if isinstance(value, Block):
            block = Block()
            block.line, block.lines = value.line, value.lines
            for key, each in value.items():
                late = key in _UNRENDERED or key in skip
                within = _HOOKS if key == "config" else frozenset[str]()
                at = value.lines[key]
                block[key] = each if late else self._rendered(each, path, at, within)
            return block
        if isinstance(value, Items):
            items = Items(
                self._rendered(each, path, at) for at, each in zip(value.lines, value, strict=True)
            )
            items.line, items.lines = value.line, value.lines
            return items
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            return self.renderer.value(value, self.own, path=path, line=line)
        return value

    def _near(self, block: Block, known: frozenset[str], path: Path) -> None:
        """Warn of a key that is nearly one of ``known``, in the project's own files."""
        if self.package is self.project:
            self.renderer.warnings += near_keys(block, known, path)

    def _nodes(self, block: Block, kind: str, path: Path) -> Iterator[NodeProperties]:
        name = block["name"]
        config = config_of(block, path)
        self._check_columns(block, path)
        common: dict[str, Any] = {
            "name": name,
            "kind": kind.removesuffix("s") if kind != "analyses" else "analysis",
            "package": self.package.name,
            "path": path,
            "block": block,
        }
        versions = block.get("versions")
        if not versions:
            columns = column_blocks(block, path)
            yield NodeProperties(
                **common,
                line=block.line,
                config=config,
                columns=columns_of(columns),
                constraints=_constraints(block, path),
                tested=(*columns, block),
                description=text(block.get("description")),
                file_name=name,
                deprecation_date=block.get("deprecation_date"),
            )
            return
        entries = self._versions(versions, path, block)
        latest = block.get("latest_version")
        if latest is None:
            latest = max((entry["v"] for entry in entries), key=_version_order)
        elif str(latest) not in {str(entry["v"]) for entry in entries}:
            known = ", ".join(str(entry["v"]) for entry in entries)
            raise ProjectError(
                f"latest_version must be one of the versions of {name} ({known}), not {latest}.",
                path=path,
                line=block.line_of("latest_version"),
                model=name,
            )
        for entry in entries:
            columns = _columns_of_version(block, entry, path)
            config_here = merged(config, config_of(entry, path))
            yield NodeProperties(
                **common,
                line=entry.line,
                config=config_here,
                columns=columns_of(columns),
                constraints=_constraints(entry if "constraints" in entry else block, path),
                tested=(*columns, entry if {"tests", "data_tests"} & entry.keys() else block),
                description=text(entry.get("description") or block.get("description")),
                version=str(entry["v"]),
                latest_version=str(latest),
                file_name=str(entry.get("defined_in") or f"{name}_v{entry['v']}"),
                deprecation_date=entry.get("deprecation_date") or block.get("deprecation_date"),
            )

    def _versions(self, versions: Any, path: Path, block: Block) -> list[Block]:
        if not isinstance(versions, Items):
            raise ProjectError(
                "versions must be a list.", path=path, line=block.line_of("versions")
            )
        for entry, line in zip(versions, versions.lines, strict=True):
            if not isinstance(entry, Block) or not isinstance(entry.get("v"), str | int | float):
                raise ProjectError(
                    "Each of versions must be a mapping with v: the version.", path=path, line=line
                )
        return list(versions)

    def _check_columns(self, block: Block, path: Path) -> None:
        seen = set()
        for column in column_blocks(block, path):
            self._near(column, COLUMN_KEYS, path)
            refuse_other_types(column, path)
            if column["name"] in seen:
                self.renderer.warnings.append(
                    f"{path}:{column.line}: The column {column['name']} is described twice; what "
                    "is said here counts."
                )
            seen.add(column["name"])


def _has_jinja(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, dict):
        return any(_has_jinja(each) for each in value.values())
    return isinstance(value, list) and any(_has_jinja(each) for each in value)


def config_of(block: Block, path: Path) -> dict[str, Any]:
    """The settings that ``block`` gives, under ``config:`` and beside it."""
    config = block.get("config") or {}
    if not isinstance(config, dict):
        raise ProjectError("config must be a mapping.", path=path, line=block.line_of("config"))
    refuse_other_types(block, path)
    outside = {key: block[key] for key in _OUTSIDE if key in block}
    if not outside:
        return config
    written = _with_lines(merged(outside, config), block)
    if isinstance(config, Block):
        written.lines = {**block.lines, **config.lines}
    return written


def _with_lines(config: Mapping[str, Any], block: Block) -> Block:
    written = Block(config)
    written.line, written.lines = block.line, block.lines
    return written


def column_blocks(block: Block, path: Path) -> list[Block]:
    return named_blocks(block.get("columns"), path, block.line_of("columns"), "columns")


def columns_of(blocks: list[Block]) -> dict[str, Column]:
    columns = {}
    for column in blocks:
        data_type, config = column.get("data_type"), column.get("config") or {}
        tags = [*_listed(column.get("tags")), *_listed(config.get("tags"))]
        columns[column["name"]] = Column(
            column["name"],
            text(column.get("description")),
            None if data_type is None else str(data_type),
            tuple(each for each in column.get("constraints") or () if isinstance(each, dict)),
            bool(column.get("quote")),
            {**(column.get("meta") or {}), **(config.get("meta") or {})},
            tuple(map(str, tags)),
            column.get("granularity"),
        )
    return columns


def _columns_of_version(model: Block, version: Block, path: Path) -> list[Block]:
    """The columns of a version: those of the model that it includes, and its own."""
    base = column_blocks(model, path)
    own = version.get("columns")
    if own is None:
        return base
    if not isinstance(own, Items):
        raise ProjectError("columns must be a list.", path=path, line=version.line_of("columns"))
    rules = [each for each in own if isinstance(each, Block) and "name" not in each]
    named = [each for each in own if isinstance(each, Block) and "name" in each]
    include, exclude = (
        (rules[0].get("include", "all"), rules[0].get("exclude")) if rules else ("all", None)
    )
    if include in {"all", "*"}:
        left_out = set(_listed(exclude)) | {each["name"] for each in named}
        return [each for each in base if each["name"] not in left_out] + named
    taken = set(_listed(include))
    return [each for each in base if each["name"] in taken] + named


def _constraints(block: Block, path: Path) -> tuple[Mapping[str, Any], ...]:
    given = block.get("constraints") or []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise ProjectError(
            "constraints must be a list of mappings with a type.",
            path=path,
            line=block.line_of("constraints"),
        )
    return tuple(given)


def _version_order(version: Any) -> tuple[int, float, str]:
    try:
        return 1, float(version), ""
    except ValueError:
        return 0, 0.0, str(version)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def text(value: Any) -> str:
    return "" if value is None else str(value)
