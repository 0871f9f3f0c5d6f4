"""The file ``dbt_project.yml``: what a project is called, where its parts lie, how they are set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.project import yaml_file
from datapipe.transform.project.yaml_file import Block

FILE = "dbt_project.yml"

_FOLDERS = {
    "model-paths": ("models",),
    "macro-paths": ("macros",),
    "test-paths": ("tests",),
    "seed-paths": ("seeds",),
    "snapshot-paths": ("snapshots",),
    "analysis-paths": ("analyses",),
}

# Settings that hold a mapping themselves: below models:, any other mapping is a folder.
_MAPPINGS = {"meta", "grants", "persist_docs", "column_types", "docs", "contract"}
_MERGED = {"meta", "grants"}
_APPENDED = {"tags", "pre_hook", "post_hook"}


@dataclass(frozen=True)
class Project:
    """A dbt project as its own file describes it, with the variables of this run."""

    directory: Path
    name: str
    folders: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Any]
    settings: Block

    @property
    def path(self) -> Path:
        return self.directory / FILE

    def files(self, folder: str, *suffixes: str) -> Iterator[tuple[Path, Path]]:
        """The files under ``folder`` (such as ``model-paths``), with the roots they lie under."""
        for name in self.folders[folder]:
            root = self.directory / name
            for path in sorted(root.rglob("*")):
                if path.suffix in suffixes and path.is_file():
                    yield path, root

    def text(self, path: Path) -> str:
        """What the file at ``path`` holds; raises ProjectError if it is not UTF-8."""
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError(f"The file cannot be read: {error}.", path=path) from None

    def relative(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()

    def config_for(self, kind: str, fqn: Sequence[str]) -> Iterator[tuple[dict[str, Any], int]]:
        """What the tree under ``models:`` (or ``data_tests:``) says of ``fqn``, general first.

        Each level comes with its line.
        """
        level = self.settings.get(kind)
        for folder in (*fqn, None):
            if not isinstance(level, Block):
                return
            own = {
                key.removeprefix("+"): value
                for key, value in level.items()
                if key.startswith("+") or not isinstance(value, dict) or key in _MAPPINGS
            }
            if own:
                yield own, level.line
            level = level.get(folder) if folder is not None else None


def load(directory: Path, overrides: Mapping[str, Any] | None = None) -> Project:
    """The project whose ``dbt_project.yml`` lies in ``directory``."""
    path = directory / FILE
    if not path.is_file():
        raise ProjectError(f"There is no {FILE} in {directory}. Name a folder that has one.")
    settings = yaml_file.read(path)
    name = settings.get("name")
    if not isinstance(name, str):
        raise ProjectError("The project has no name. Add a line such as name: prices.", path=path)
    declared = settings.get("vars") or {}
    if not isinstance(declared, dict):
        raise ProjectError(
            "vars must be a mapping of names to values.", path=path, line=settings.line_of("vars")
        )
    own = declared.get(name)
    variables = {**declared, **(own if isinstance(own, dict) else {}), **(overrides or {})}
    return Project(directory, name, _folders(settings, path), variables, settings)


def _folders(settings: Block, path: Path) -> dict[str, tuple[str, ...]]:
    folders = {}
    for key, default in _FOLDERS.items():
        names = settings.get(key, default)
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ProjectError(
                f"{key} must be a list of folders, such as [{default[0]}].",
                path=path,
                line=settings.line_of(key),
            )
        folders[key] = tuple(names)
    return folders


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` on top, as dbt does: tags and hooks add up, meta and grants merge."""
    result = dict(base)
    for given, value in over.items():
        key = given.replace("-", "_")
        if key in _APPENDED:
            result[key] = [
                *result.get(key, []),
                *([value] if isinstance(value, str) else value or []),
            ]
        elif key in _MERGED and isinstance(value, Mapping):
            result[key] = {**result.get(key, {}), **value}
        else:
            result[key] = value
    return result
