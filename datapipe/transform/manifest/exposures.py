"""Reads exposures, groups, and what dbt's semantic layer has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import dbt_keys
from datapipe.transform.manifest.configs import Configs, layer
from datapipe.transform.manifest.found import Found, written_ref
from datapipe.transform.manifest.names import Names
from datapipe.transform.manifest.nodes import Ref
from datapipe.transform.manifest.other_nodes import Exposure
from datapipe.transform.manifest.properties import config_of
from datapipe.transform.project import Project
from datapipe.transform.project.blocks import Block

_TYPES = ("dashboard", "notebook", "analysis", "ml", "application")


def exposures_of(
    renderer: Renderer,
    package: str,
    blocks: Sequence[tuple[Path, Block]],
    configs: Configs,
    names: Names,
) -> Iterator[Exposure]:
    """The exposures that are enabled; what they depend on is known to exist."""
    places: dict[str, Path] = {}
    for path, block in blocks:
        name, owner = str(block["name"]), renderer.project.package(package)
        file, inside = owner.relative(path), owner.inside(path)
        if name in places:
            raise ProjectError(
                f"There are two exposures called {name}: the other is in {places[name]}. Rename "
                "one of them.",
                path=path,
                line=block.line,
            )
        places[name] = path
        if block.get("type") not in _TYPES:
            raise ProjectError(
                f"The type of the exposure {name} must be one of {', '.join(_TYPES)}.",
                path=path,
                line=block.line_of("type"),
            )
        if not isinstance(block.get("depends_on") or [], list):
            raise ProjectError(
                "depends_on must be a list.", path=path, line=block.line_of("depends_on")
            )
        if not isinstance(block.get("owner"), dict):
            raise ProjectError(
                f"The exposure {name} has no owner. Add owner: with a name or an email.",
                path=path,
                line=block.line_of("owner"),
            )
        fqn = (package, *Path(inside).parts[:-1], name)
        given = layer(config_of(block, path), path, block.line)
        config, _ = configs.of("exposure", package, fqn, given)
        if not config["enabled"]:
            continue
        depends = block.get("depends_on") or []
        lines = getattr(depends, "lines", [block.line_of("depends_on")])
        refs: dict[str, None] = {}
        sources: dict[tuple[str, str], None] = {}
        asked: tuple[Ref, ...] = ()
        for text, line in zip(depends, lines, strict=False):
            found = Found(renderer.target)
            renderer.value(text, found.variables(), path=path, line=line)
            asked = (*asked, *found.refs)
            try:
                refs |= {names.model(ref, package).key: None for ref in found.refs}
                sources |= {names.source(key, package).key: None for key in found.sources}
            except ProjectError as error:
                raise ProjectError(str(error), path=path, line=line, about=error.about) from None
        yield Exposure(
            name, path, block.line, package, file, fqn, config, tuple(refs), tuple(sources), block,
            asked=asked, written=configs.as_written("exposure", package, fqn, given),
            inside=inside,
        )  # fmt: skip


def semantics_of(
    project: Project,
    package: str,
    blocks: Mapping[str, list[tuple[Path, Block]]],
    names: Names,
) -> Iterator[Exposure]:
    """Metrics, semantic models and saved queries: dbt's semantic layer has them, no table does."""
    for kind, name in (
        ("metrics", "metric"),
        ("semantic_models", "semantic_model"),
        ("saved_queries", "saved_query"),
    ):
        for path, block in blocks.get(kind, ()):
            owner = project.package(package)
            file, inside = owner.relative(path), owner.inside(path)
            fqn = (package, *Path(inside).parts[:-1], str(block["name"]))
            given = config_of(block, path)
            config: dict[str, Any] = {"enabled": True, "group": None, "meta": {}, **given}
            asked = written_ref(block.get("model"))
            found = asked and names.find(asked, package)
            if config["enabled"] is not False:
                yield Exposure(
                    str(block["name"]), path, block.line, package, file, fqn, config,
                    refs=(found.key,) if found else (), described=block, resource_type=name,
                    asked=(asked,) if asked else (), written=given, inside=inside,
                )  # fmt: skip


def groups_of(
    project: Project, blocks: Mapping[str, Sequence[tuple[Path, Block]]]
) -> dict[str, Mapping[str, Any]]:
    """The groups by name, those of each package; raises ProjectError for one without an owner."""
    groups: dict[str, Mapping[str, Any]] = {}
    for package, path, block in (
        (package, path, block) for package, of in blocks.items() for path, block in of
    ):
        owner = block.get("owner")
        if not isinstance(owner, dict) or not {"name", "email"} & owner.keys():
            raise ProjectError(
                f"The group {block['name']} needs an owner with a name or an email.",
                path=path,
                line=block.line_of("owner"),
            )
        if block["name"] in groups:
            raise ProjectError(
                f"There are two groups called {block['name']}. Rename one of them.",
                path=path,
                line=block.line,
            )
        owner = project.package(package)
        groups[block["name"]] = {
            **block,
            "resource_type": "group",
            "package_name": package,
            "unique_id": f"group.{package}.{block['name']}",
            "path": owner.inside(path),
            "original_file_path": owner.relative(path),
            "description": block.get("description"),
            "owner": dbt_keys.owner(block),
            "config": {"meta": {}, **config_of(block, path)},
        }
    return groups
