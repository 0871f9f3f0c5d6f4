"""Docs blocks, and descriptions that call ``doc()``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.transform.jinja.context import Var, near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.files import blocks_of
from datapipe.transform.manifest.nodes import Column


class Docs:
    """All docs blocks of a project and its packages, by package and name."""

    def __init__(self, renderer: Renderer) -> None:
        self.project = renderer.project
        self.renderer = renderer
        self.blocks: dict[tuple[str, str], str] = {}
        for package in self.project.all_packages.values():
            places: dict[str, Path] = {}
            for path in package.described(".md"):
                text = package.text(path)
                if "{%" not in text:
                    continue
                for block in blocks_of("docs", text, path, jinja=False):
                    if block.name in places:
                        raise ProjectError(
                            f"There are two docs blocks called {block.name}: the other is in "
                            f"{places[block.name]}. Rename one of them.",
                            path=path,
                            line=block.line,
                        )
                    places[block.name] = path
                    self.blocks[package.name, block.name] = block.text.strip()

    def text(self, description: str, package: str, path: Path, line: int) -> str:
        """``description`` with the text of the docs block in place of each ``doc()``."""
        return self.read(description, package, path, line)[0]

    def read(
        self, description: str, package: str, path: Path, line: int
    ) -> tuple[str, tuple[str, ...]]:
        """The same as ``text``, and dbt's ids of the blocks."""
        if "{{" not in description and "{%" not in description:
            return description, ()
        named: list[str] = []

        def doc(*names: str) -> str:
            owner, name = self._block(names, package)
            named.append(f"doc.{owner}.{name}")
            return self.blocks[owner, name]

        var = Var(self.project.variables_for(package), is_final=True)
        own = {"doc": doc, "var": var}
        text = str(self.renderer.value(description, own, path=path, line=line))
        return text, tuple(named)

    def columns(
        self, columns: Mapping[str, Column], package: str, path: Path, lines: Mapping[str, int]
    ) -> Mapping[str, Column]:
        """``columns`` with their descriptions as ``read`` gives them."""
        if not any("{" in column.description for column in columns.values()):
            return columns
        found = {}
        for name, column in columns.items():
            text, blocks = self.read(column.description, package, path, lines.get(name, 1))
            found[name] = replace(column, description=text, doc_blocks=blocks)
        return found

    def _block(self, names: tuple[str, ...], package: str) -> tuple[str, str]:
        if not 1 <= len(names) <= 2:
            raise ProjectError("doc() takes the name of a docs block, or a package and a name.")
        name = names[-1]
        order = (names[0],) if len(names) == 2 else (self.project.name, package)
        for each in order:
            if (each, name) in self.blocks:
                return each, name
        if len(names) == 1:
            for owner, known in self.blocks:
                if known == name:
                    return owner, known
        hint = near(name, (known for _, known in self.blocks))
        raise ProjectError(
            f"There is no docs block {name}.{hint} "
            f"Write one in a .md file: {{% docs {name} %}} ... {{% enddocs %}}."
        )
