"""The files that define models, seeds, snapshots and functions, and what YAML says of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.manifest.files import blocks_of
from datapipe.transform.manifest.properties import NodeProperties, Properties
from datapipe.transform.project import Project

_FOLDERS = {
    "model": ("model-paths", ".sql", ".py"),
    "seed": ("seed-paths", ".csv"),
    "snapshot": ("snapshot-paths", ".sql"),
    "analysis": ("analysis-paths", ".sql"),
    "function": ("function-paths", ".sql", ".py"),
}


@frozen
class Written:
    """A node as its file has it, before anything is known of its settings."""

    kind: str
    name: str
    path: Path
    package: Project
    folders: tuple[str, ...]
    code: str
    line: int = 1


def written_in(package: Project) -> Iterator[Written]:
    """Every file of ``package`` that defines a node."""
    for kind, (folder, *suffixes) in _FOLDERS.items():
        for path, root in package.files(folder, *suffixes):
            folders = path.relative_to(root).parent.parts
            if kind == "snapshot":
                inner = (*folders, path.stem)
                for block in blocks_of("snapshot", package.text(path), path):
                    yield Written(kind, block.name, path, package, inner, block.padded, block.line)
                continue
            if kind == "analysis":
                folders = ("analysis", *folders)
            code = "" if kind == "seed" else package.text(path)
            yield Written(kind, path.stem, path, package, folders, code)


class Descriptions:
    """What YAML says of models, by the names of their files."""

    def __init__(self, properties: Mapping[str, Properties], written: Iterable[Written]) -> None:
        files: dict[tuple[str, str], set[str]] = {}
        for file in written:
            files.setdefault((file.package.name, file.kind), set()).add(file.name)
        self._known: dict[tuple[str, str, str], NodeProperties] = {}
        self._used: set[int] = set()
        for package, described in properties.items():
            for each in described.nodes:
                owner, file_name = package, each.file_name
                there = files.get((package, each.kind), set())
                if each.version is not None and file_name not in there:
                    # The latest version may lie in a file without a number.
                    if each.version == each.latest_version and each.name in there:
                        file_name = each.name
                elif file_name not in there:  # it may be of another package
                    others = [
                        other
                        for (other, kind), names in files.items()
                        if kind == each.kind and file_name in names
                    ]
                    owner = others[0] if len(others) == 1 else package
                self._add((owner, each.kind, file_name), each)

    def _add(self, key: tuple[str, str, str], properties: NodeProperties) -> None:
        other = self._known.setdefault(key, properties)
        if other is properties:
            return
        if properties.version != other.version:
            wrong = (
                f"The version {properties.version} of the model {properties.name} has no file: "
                f"write {properties.file_name}.sql, or name its file with defined_in."
            )
        else:
            wrong = (
                f"The {properties.kind} {properties.name} is described twice: also in "
                f"{other.path}, line {other.line}."
            )
        raise ProjectError(wrong, path=properties.path, line=properties.line, model=properties.name)

    def of(self, written: Written) -> NodeProperties | None:
        """What YAML says of a file; it counts as used then."""
        found = self._known.get((written.package.name, written.kind, written.name))
        if found is not None:
            self._used.add(id(found))
        return found

    def unused(self) -> list[NodeProperties]:
        """What YAML says of files that nobody has asked about: there are none."""
        return [each for each in self._known.values() if id(each) not in self._used]
