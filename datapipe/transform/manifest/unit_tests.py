"""Reads unit tests: rows given to a model, and the rows that it must make of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.configs import Configs, layer
from datapipe.transform.manifest.found import Found
from datapipe.transform.manifest.names import Names
from datapipe.transform.manifest.nodes import Model, Ref
from datapipe.transform.manifest.properties import config_of, text
from datapipe.transform.manifest.tests import Given, Rows, UnitTest
from datapipe.transform.manifest.yaml_keys import KEYS
from datapipe.transform.project.blocks import Block, Items

_FORMATS = ("dict", "csv", "sql")
_OVERRIDES = ("macros", "vars", "env_vars")
_INPUT = re.compile(r"\s*(?:this|(?:ref|source)\s*\(.+\))\s*\Z", re.DOTALL)


class Reader:
    """Reads the ``unit_tests:`` of YAML files."""

    def __init__(
        self,
        renderer: Renderer,
        configs: Configs,
        names: Names,
        models: Sequence[Model],
    ) -> None:
        self.project = renderer.project
        self.renderer = renderer
        self.configs = configs
        self.names = names
        self.models = models
        self._fixtures: dict[str, dict[str, Path]] = {}

    def read(self, package: str, blocks: Sequence[tuple[Path, Block]]) -> Iterator[UnitTest]:
        """The enabled unit tests; of a model with versions there is one for each version."""
        seen: dict[tuple[str, str], int] = {}
        for path, block in blocks:
            name, of = str(block["name"]), block.get("model")
            if not isinstance(of, str) or not of.split():
                raise ProjectError(
                    f"The unit test {name} names no model. Add a line such as model: prices.",
                    path=path,
                    line=block.line_of("model"),
                )
            if (of, name) in seen:
                raise ProjectError(
                    f"There are two unit tests called {name} for {of}: the other is in line "
                    f"{seen[of, name]}. Rename one of them.",
                    path=path,
                    line=block.line,
                )
            seen[of, name] = block.line
            for key in block.keys() - KEYS["unit_tests"]:  # dbt refuses these
                raise ProjectError(
                    f"A unit test has no {key}.{near(key, KEYS['unit_tests'])}",
                    path=path,
                    line=block.line_of(key),
                    about=key,
                )
            yield from self._tests(package, path, block, name, of)

    def _tests(
        self, package: str, path: Path, block: Block, name: str, of: str
    ) -> Iterator[UnitTest]:
        model = self._model(package, path, block, name, of)
        file = self.project.package(package).relative(path)
        fqn = (package, *Path(file).parts[1:-1], of, name)
        config, _ = self.configs.of(
            "unit_test", package, fqn, layer(config_of(block, path), path, block.line)
        )
        given = tuple(self._given(package, path, block, name))
        if "expect" not in block:
            raise ProjectError(
                f"The unit test {name} expects nothing. Add expect: with rows.",
                path=path,
                line=block.line,
            )
        expect = self._rows(package, path, block, "expect", name)
        overrides = self._overrides(path, block, name)
        if model is None or not config["enabled"]:
            return
        self._tell_of_macros(path, overrides, model, name)
        for each in self._versions(path, block, model, name):
            suffix = f"_v{each.version}" if each.version is not None else ""
            yield UnitTest(
                name=name,
                model=each.key,
                path=path,
                line=block.line,
                given=given,
                expect=expect,
                config=config,
                overrides=overrides,
                description=text(block.get("description")),
                package=package,
                file=file,
                fqn=fqn,
                unique_id=f"unit_test.{package}.{of}.{name}{suffix}",
            )

    def _model(self, package: str, path: Path, block: Block, name: str, of: str) -> Model | None:
        """The model that is tested; None if it is disabled."""
        words = of.split()
        ref = Ref(words[0], None, words[1] if len(words) == 2 else None)
        if self.names.is_disabled(ref, package):
            return None
        try:
            model = self.names.model(ref, package)
        except ProjectError as error:
            raise ProjectError(
                f"The unit test {name}: {error}", path=path, line=block.line_of("model"), model=of
            ) from None
        if model.resource_type != "model":
            raise ProjectError(
                f"The unit test {name} is of {of}, which is a {model.resource_type}: only models "
                "have unit tests.",
                path=path,
                line=block.line_of("model"),
                model=of,
            )
        return model

    def _versions(self, path: Path, block: Block, model: Model, name: str) -> list[Model]:
        chosen = block.get("versions")
        if model.version is None:
            if chosen:
                raise ProjectError(
                    f"The unit test {name} chooses versions, and {model.name} has none. Take "
                    "versions out.",
                    path=path,
                    line=block.line_of("versions"),
                    model=model.name,
                )
            return [model]
        versions = [
            each for each in self.models if (each.package, each.name) == (model.package, model.name)
        ]
        if not isinstance(chosen, dict):
            return versions
        include, exclude = chosen.get("include"), chosen.get("exclude")
        wanted = {str(each) for each in (exclude or include or ())}
        return [each for each in versions if (each.version in wanted) == (not exclude)]

    def _given(self, package: str, path: Path, block: Block, name: str) -> Iterator[Given]:
        given = block.get("given")
        if given is None:
            return
        if not isinstance(given, Items):
            raise ProjectError(
                "given must be a list of inputs with rows.", path=path, line=block.line_of("given")
            )
        for each, line in zip(given, given.lines, strict=True):
            if not isinstance(each, Block) or not isinstance(each.get("input"), str):
                raise ProjectError(
                    f"Each of given must have an input, such as ref('{block['model']}').",
                    path=path,
                    line=line,
                )
            if not _INPUT.match(each["input"]):
                raise ProjectError(
                    f"An input must be ref(...), source(...) or this, not {each['input']}.",
                    path=path,
                    line=each.line_of("input"),
                    model=str(block["model"]),
                )
            self._check_input(package, path, each, name)
            yield Given(each["input"].strip(), self._rows(package, path, each, None, name))

    def _check_input(self, package: str, path: Path, block: Block, name: str) -> None:
        """Raise ProjectError if what ``input`` refers to does not exist."""
        if block["input"].strip() == "this":
            return
        found, line = Found(self.renderer.target), block.line_of("input")
        self.renderer.value(block["input"], found.variables(), path=path, line=line)
        try:
            for ref in found.refs:
                self.names.model(ref, package)
            for key in found.sources:
                self.names.source(key, package)
        except ProjectError as error:
            raise ProjectError(f"The unit test {name}: {error}", path=path, line=line) from None

    def _rows(self, package: str, path: Path, block: Block, key: str | None, name: str) -> Rows:
        """The rows that ``block`` has, or that it has under ``key``."""
        written = block if key is None else block[key]
        if not isinstance(written, Block):
            raise ProjectError(
                f"{key} must be a mapping with rows.", path=path, line=block.line_of(key or "")
            )
        form = str(written.get("format") or "dict").lower()
        if form not in _FORMATS:
            raise ProjectError(
                f"The format of rows must be one of {', '.join(_FORMATS)}, not {form}.",
                path=path,
                line=written.line_of("format"),
            )
        rows, line = written.get("rows"), written.line_of("rows", "fixture")
        fixture = written.get("fixture")
        if fixture is not None:
            if form == "dict":
                raise ProjectError(
                    "A fixture is a file of csv or sql: say which with format:.",
                    path=path,
                    line=written.line_of("fixture"),
                )
            return Rows(form, self._fixture(package, path, written, str(fixture), form), line)
        if form == "dict":
            if rows is not None and not _are_rows(rows):
                raise ProjectError(
                    f"The rows of the unit test {name} must be a list of mappings, as their format "
                    "is dict.",
                    path=path,
                    line=line,
                )
            if rows is None and key == "expect":
                raise ProjectError(
                    f"The unit test {name} expects no rows: write rows: [] to say so.",
                    path=path,
                    line=line,
                )
        elif not isinstance(rows, str):
            raise ProjectError(
                f"The rows of the unit test {name} must be text, as their format is {form}.",
                path=path,
                line=line,
            )
        return Rows(form, rows, line)

    def _fixture(self, package: str, path: Path, block: Block, name: str, form: str) -> str:
        owner = self.project.package(package)
        known = self._fixtures.get(package)
        if known is None:
            known = self._fixtures[package] = {
                file.name: file
                for folder in owner.folders["test-paths"]
                for file, _ in owner.files_under(
                    owner.directory / folder / "fixtures", ".csv", ".sql"
                )
            }
        wanted = f"{name}.{form}"
        if wanted not in known:
            raise ProjectError(
                f"There is no fixture {wanted} under {owner.folders['test-paths'][0]}/fixtures."
                f"{near(wanted, known)}",
                path=path,
                line=block.line_of("fixture"),
            )
        return owner.text(known[wanted])

    def _tell_of_macros(
        self, path: Path, overrides: Mapping[str, Mapping[str, Any]], model: Model, name: str
    ) -> None:
        """Warn of an override of what is no macro, and is named by neither model nor macro."""
        macros = overrides.get("macros") or {}
        for key in macros:
            bare = str(key).rpartition(".")[2]
            known = self.renderer.macros.has(str(key)) or self.renderer.macros.has(bare)
            if known or bare in model.raw_code or self.renderer.macros.mention(bare):
                continue
            line = macros.line_of(key) if isinstance(macros, Block) else 1
            self.renderer.warnings.append(
                f"{path}:{line}: The unit test {name} overrides {key}, which {model.name} does not "
                f"call.{near(bare, re.findall(r'[a-z_]+', model.raw_code))}"
            )

    def _overrides(self, path: Path, block: Block, name: str) -> Mapping[str, Mapping[str, Any]]:
        given = block.get("overrides") or {}
        line = block.line_of("overrides")
        if not isinstance(given, dict):
            raise ProjectError("overrides must be a mapping.", path=path, line=line)
        for key, value in given.items():
            at = given.line_of(key) if isinstance(given, Block) else line
            if key not in _OVERRIDES or not isinstance(value or {}, dict):
                raise ProjectError(
                    f"The unit test {name} overrides {key}: there are {', '.join(_OVERRIDES)}, "
                    f"each a mapping.{near(str(key), _OVERRIDES)}",
                    path=path,
                    line=at,
                )
        return {key: given.get(key) or {} for key in _OVERRIDES if given.get(key)}


def _are_rows(rows: Any) -> bool:
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
