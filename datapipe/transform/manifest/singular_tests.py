"""Reads singular data tests: each is a file of SQL under the test paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.jinja import scope
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.configs import Configs, Layer
from datapipe.transform.manifest.docs import Docs
from datapipe.transform.manifest.found import Found
from datapipe.transform.manifest.generic_tests import check_settings
from datapipe.transform.manifest.properties import Properties, config_of, text
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.project import Project


class Reader:
    """Reads the singular tests of a project and its packages."""

    def __init__(self, renderer: Renderer, configs: Configs, docs: Docs) -> None:
        self.project = renderer.project
        self.renderer = renderer
        self.configs = configs
        self.docs = docs

    def read(self, properties: Mapping[str, Properties]) -> Iterator[DataTest]:
        """The tests of all packages; ``properties`` is what YAML says of them."""
        for package in self.project.all_packages.values():
            described = {
                block["name"]: (path, block)
                for key in ("data_tests", "tests")
                for path, block in properties[package.name].blocks.get(key, ())
            }
            places: dict[str, Path] = {}
            for path, root in package.files("test-paths", ".sql"):
                folders = path.relative_to(root).parent.parts
                if folders[:1] in {("generic",), ("fixtures",)}:
                    continue
                if path.stem in places:
                    raise ProjectError(
                        f"There are two tests called {path.stem}: the other is "
                        f"{places[path.stem]}. Rename one of the files.",
                        path=path,
                        line=1,
                    )
                places[path.stem] = path
                yield from self._test(package, path, folders, described.get(path.stem))

    def _test(
        self, package: Project, path: Path, folders: tuple[str, ...], described: Any
    ) -> Iterator[DataTest]:
        name, source = path.stem, package.text(path)
        fqn = (package.name, *folders, name)
        found = Found(
            self.renderer.target,
            self.project.variables_for(package.name),
            None,
            {"name": name, "resource_type": "test", "package_name": package.name},
        )
        with scope.noting(found.calls):
            self.renderer.render(path, source, found.variables(), package=package.name)
        layers = [Layer(found.config.given, path, 1, {}, source, found.config.called)]
        description, described_in = "", ""
        if described is not None:
            yaml_path, block = described
            config_given = config_of(block, yaml_path)
            layers.insert(0, Layer(config_given, yaml_path, block.line, block.lines))
            description = self.docs.text(
                text(block.get("description")), package.name, yaml_path, block.line
            )
            described_in = package.relative(yaml_path)
        as_written = self.configs.as_written("test", package.name, fqn, *layers)
        config, layers = self.configs.of("test", package.name, fqn, *layers)
        check_settings(config, layers, path)
        if not config["enabled"]:
            return
        yield DataTest(
            name=name,
            of=found.refs[0].name if found.refs else "",
            path=path,
            line=1,
            config=config,
            raw_code=source,
            sources=tuple(found.sources),
            package=package.name,
            file=package.relative(path),
            inside=package.inside(path),
            fqn=fqn,
            unique_id=f"test.{package.name}.{name}",
            alias=str(config.get("alias") or name),
            description=description,
            asked=tuple(found.refs),
            described_in=described_in,
            macros=tuple(found.calls.macros),
            written=as_written,
        )
