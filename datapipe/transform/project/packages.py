"""The packages of a project: other projects that lie in ``dbt_packages/``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.project import project_file, yaml_file
from datapipe.transform.project.blocks import Block
from datapipe.transform.project.project_file import FILE, Project

_KINDS = ("package", "git", "local", "tarball", "private")
_LISTS = ("packages.yml", "dependencies.yml")


def installed(root: Project) -> tuple[Project, ...]:
    """The packages that ``root`` has, in the order of their folders.

    A ``local:`` package is read where it lies, if it was not copied. Raises ProjectError where a
    package is asked for and not there, and where two have one name.
    """
    folder = root.directory / root.setting("packages-install-path", "dbt_packages")
    found: dict[str, Project] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.is_dir() and not path.name.startswith("__"):
            _add(project_file.read(path, {}, root.cache_dir), root, found)
    folders = {package.directory.name for package in found.values()}
    missing = []
    for asked, file in _asked(root.directory, root):
        name = _name(asked)
        if not asked.keys() & {*_KINDS}:
            raise ProjectError(
                f"This does not say where the package is from. Give one of {', '.join(_KINDS)}.",
                path=file,
                line=asked.line,
            )
        if not name or {name, name.replace("-", "_")} & {*folders, *found}:
            continue
        local = root.directory / str(asked["local"]) if "local" in asked else None
        if local is not None and (local / FILE).is_file():
            for package in _local(local.resolve(), root):
                if package.name not in found:
                    found[package.name] = package
            continue
        missing.append((name, asked, file))
    # A folder may have another name than what was asked for: as with dbt, their number decides.
    if missing and len(found) < sum(1 for _ in _asked(root.directory, root)):
        name, asked, file = missing[0]
        raise ProjectError(
            f"The package {name} is not in {folder.name}/. Fetch the packages of this project with "
            f"`dbt deps`, or copy {name} to {folder.name}/{name}.",
            path=file,
            line=asked.line,
        )
    return tuple(found.values())


def _add(package: Project, root: Project, found: dict[str, Project]) -> None:
    other = root if package.name == root.name else found.get(package.name)
    if other is not None:
        raise ProjectError(
            f"There are two projects called {package.name}: the other is in {other.directory}. "
            "Remove one of them.",
            path=package.path,
            line=package.settings.line_of("name"),
        )
    found[package.name] = package


def _local(directory: Path, root: Project) -> Iterator[Project]:
    """The package in ``directory``, and those that it asks for by where they lie, too."""
    package = project_file.read(directory, {}, root.cache_dir)
    if package.name == root.name:
        return
    yield package
    for asked, _ in _asked(directory, root):
        inner = directory / str(asked.get("local", ""))
        if "local" in asked and (inner / FILE).is_file():
            yield from _local(inner.resolve(), root)


def _asked(directory: Path, root: Project) -> Iterator[tuple[Block, Path]]:
    """What the project in ``directory`` lists as its packages, with the file that lists it."""
    for name in _LISTS:
        path = directory / name
        if not path.is_file():
            continue
        listed: Any = yaml_file.read(path, root.cache_dir).get("packages")
        for asked in listed if isinstance(listed, list) else ():
            if isinstance(asked, Block):
                yield asked, path


def _name(asked: Block) -> str:
    """The folder that a package most likely lies in: the last part of where it comes from."""
    for key in _KINDS:
        if isinstance(asked.get(key), str):
            given = asked["name"] if key == "tarball" and "name" in asked else asked[key]
            return str(given).rstrip("/").rpartition("/")[2].removesuffix(".git")
    return ""
