"""The file ``dbt_project.yml``: what a project is called, where its parts lie, how they are set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.project import config, ignored, yaml_file
from datapipe.transform.project.blocks import Block, Items

FILE = "dbt_project.yml"

_MAPPINGS = (
    *("vars", "models", "seeds", "snapshots", "tests", "data_tests", "unit_tests", "sources"),
    *("functions", "exposures", "metrics", "semantic-models", "saved-queries", "quoting", "flags"),
)
_FOLDERS = {
    "model-paths": ("models",),
    "macro-paths": ("macros",),
    "test-paths": ("tests",),
    "seed-paths": ("seeds",),
    "snapshot-paths": ("snapshots",),
    "analysis-paths": ("analyses",),
    "function-paths": ("functions",),
}
_FORMER = {"model-paths": "source-paths", "seed-paths": "data-paths"}
_DOCS = "docs-paths"
_CALL = re.compile(
    r"\{\{\s*(?P<what>env_var|var)\(\s*(['\"])(?P<name>[^'\"]+)\2\s*"
    r"(?:,\s*(['\"])(?P<default>[^'\"]*)\4\s*)?\)\s*\}\}"
)
_TREES = {"tests": ("data_tests", "tests"), "data_tests": ("data_tests", "tests")}


@frozen
class Hook:
    """One statement of ``on-run-start`` or ``on-run-end``, and where it is written."""

    package: str
    sql: str
    path: Path
    line: int


@frozen
class Project:
    """A dbt project as its own file describes it, with the packages that lie in it.

    ``given`` are the variables of this run, from the command line. ``cache_dir`` keeps what was
    made of files, as Python keeps its compiled modules.
    """

    directory: Path
    name: str
    folders: Mapping[str, tuple[str, ...]]
    settings: Block
    given: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[Project, ...] = ()
    cache_dir: Path | None = None

    @property
    def path(self) -> Path:
        return self.directory / FILE

    @property
    def flags(self) -> Mapping[str, Any]:
        """The options of the command line that the project sets, for where they are not given."""
        flags = self.settings.get("flags")
        return flags if isinstance(flags, Mapping) else {}

    @property
    def variables(self) -> Mapping[str, Any]:
        """What ``var`` knows in this project's own templates."""
        return self.variables_for(self.name)

    @cached_property
    def all_packages(self) -> Mapping[str, Project]:
        """This project and its packages, by name."""
        return {each.name: each for each in (self, *self.packages)}

    def package(self, name: str) -> Project:
        """The package of that name; without a name, this project."""
        return self.all_packages[name] if name else self

    def variables_for(self, package: str) -> Mapping[str, Any]:
        """What ``var`` knows in templates of ``package``; what this project sets counts first."""
        known = self._variables.get(package)
        if known is None:
            known = {}
            for project in (self.package(package), self):
                declared = project.settings.get("vars") or {}
                own = declared.get(package)
                known = {**known, **declared, **(own if isinstance(own, dict) else {})}
            known = self._variables[package] = {**known, **self.given}
        return known

    @cached_property
    def _variables(self) -> dict[str, Mapping[str, Any]]:
        return {}

    @cached_property
    def _is_ignored(self) -> Any:
        return ignored.reader(self.directory)

    def setting(self, key: str, default: str) -> str:
        """A text in the project's file, in which one call of ``var`` or ``env_var`` may stand."""
        given = self.settings.get(key)
        return _plain(given, self.given) if isinstance(given, str) else default

    def files(self, folder: str, *suffixes: str) -> Iterator[tuple[Path, Path]]:
        """The files under ``folder`` (such as ``model-paths``), with the roots they lie under."""
        for name in self.folders[folder]:
            yield from self.files_under(self.directory / name, *suffixes)

    def files_under(self, root: Path, *suffixes: str) -> Iterator[tuple[Path, Path]]:
        """The files under ``root`` that have one of ``suffixes``, in the order of their paths."""
        found: list[Path] = []
        for directory, folders, names in os.walk(root, followlinks=True):
            folders.sort()
            found += [Path(directory, name) for name in names if name.lower().endswith(suffixes)]
        for path in sorted(found):
            if not self._is_ignored(self.relative(path)):
                yield path, root

    def described(self, *suffixes: str) -> Iterator[Path]:
        """The files of all folders, or of docs-paths for ``.md``, each once."""
        names = [name for names in self.folders.values() for name in names]
        if suffixes == (".md",) and isinstance(self.settings.get(_DOCS), list):
            names = self.settings[_DOCS]
        seen: set[Path] = set()
        for name in dict.fromkeys(names):
            for path, _ in self.files_under(self.directory / name, *suffixes):
                if path not in seen:
                    seen.add(path)
                    yield path

    def text(self, path: Path) -> str:
        """What the file at ``path`` holds; raises ProjectError if it is not UTF-8."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise yaml_file.unreadable(path, error) from None
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            raise ProjectError("A null byte stands here. Take it out.", path=path, line=line)
        return text

    def relative(self, path: Path) -> str:
        """``path`` relative to the project's folder, with forward slashes."""
        root = str(self.directory)
        text = str(path)
        if text.startswith(root + os.sep):  # ten times as fast as relative_to
            return text[len(root) + 1 :].replace(os.sep, "/")
        return os.path.relpath(text, root).replace(os.sep, "/")

    def inside(self, path: Path) -> str:
        """``path`` relative to the folder, such as ``models``, that it was found in."""
        file = self.relative(path)
        for root in self._roots:
            if file.startswith(root):
                return file[len(root) :]
        return file

    @cached_property
    def _roots(self) -> list[str]:
        """The folders that files are read from; a folder within another goes before it."""
        names = {name for names in self.folders.values() for name in names}
        roots = {self.relative(Path(os.path.normpath(self.directory / name))) for name in names}
        return sorted((f"{root}/" for root in roots - {"."}), key=len, reverse=True)

    def config_for(self, kind: str, fqn: Sequence[str]) -> Iterator[tuple[dict[str, Any], Block]]:
        """What the tree under ``models:`` (or ``data_tests:``) says of ``fqn``, general first.

        Each level comes with where it stands.
        """
        names = _TREES.get(kind, (kind,))
        tree = next((self.settings[name] for name in names if name in self.settings), None)
        return config.levels(tree, fqn)

    def hooks(self, moment: str) -> list[Hook]:
        """The statements of ``on-run-start`` or ``on-run-end``: those of packages come first."""
        packages = sorted(self.packages, key=lambda package: package.name)
        return [hook for each in (*packages, self) for hook in each.own_hooks(moment)]

    def own_hooks(self, moment: str) -> Iterator[Hook]:
        given = self.settings.get(moment)
        line = self.settings.line_of(moment)
        statements = given if isinstance(given, list) else [] if given is None else [given]
        lines = given.lines if isinstance(given, Items) else [line]
        for statement, at in zip(statements, lines, strict=False):
            if not isinstance(statement, str):
                raise ProjectError(
                    f"{moment} must be SQL, or a list of statements.", path=self.path, line=at
                )
            yield Hook(self.name, statement, self.path, at)


def read(directory: Path, given: Mapping[str, Any], cache_dir: Path | None) -> Project:
    """The project in ``directory`` without its packages."""
    path = directory / FILE
    if not path.is_file():
        raise ProjectError(f"There is no {FILE} in {directory}. Name a folder that has one.")
    settings = yaml_file.read(path, cache_dir)
    name = settings.get("name")
    if not isinstance(name, str):
        raise ProjectError(
            "The project has no name. Add a line such as name: prices.",
            path=path,
            line=settings.line_of("name"),
        )
    if not re.fullmatch(r"[^\W\d]\w*", name):
        raise ProjectError(
            f"The name of a project must be of letters, digits and underscores, unlike {name}.",
            path=path,
            line=settings.line_of("name"),
            about=name,
        )
    for key in _MAPPINGS:
        if not isinstance(settings.get(key) or {}, dict):
            raise ProjectError(
                f"{key} must be a mapping of names to values.",
                path=path,
                line=settings.line_of(key),
            )
    orders = settings.get("dispatch") or []
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise ProjectError(
            "dispatch must be a list of mappings with macro_namespace and search_order.",
            path=path,
            line=settings.line_of("dispatch"),
        )
    folders = _folders(settings, path, given)
    return Project(directory, name, folders, settings, given, cache_dir=cache_dir)


def _folders(settings: Block, path: Path, given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    folders = {}
    docs = settings.get(_DOCS)
    if isinstance(docs, list) and not all(isinstance(name, str) for name in docs):
        line = settings.line_of(_DOCS)
        raise ProjectError(f"{_DOCS} must be a list of folders.", path=path, line=line)
    for key, default in _FOLDERS.items():
        former = _FORMER.get(key, key)
        key_given = former if former in settings and key not in settings else key
        names = settings.get(key_given, default)
        listed = names is None or isinstance(names, list | tuple)
        if not listed or not all(isinstance(name, str) for name in names or ()):
            raise ProjectError(
                f"{key} must be a list of folders, such as [{default[0]}].",
                path=path,
                line=settings.line_of(key_given),
            )
        folders[key] = tuple(_plain(name, given) for name in names or default)
    return folders


def _plain(text: str, given: Mapping[str, Any]) -> str:
    """``text`` with its calls of ``env_var`` and ``var`` answered, before any macro is read."""

    def answer(call: re.Match[str]) -> str:
        known = os.environ if call["what"] == "env_var" else given
        return str(known.get(call["name"], call["default"] or ""))

    return _CALL.sub(answer, text)
