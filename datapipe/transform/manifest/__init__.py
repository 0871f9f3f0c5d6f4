"""Reads a whole project: every model, source and data test, each known by name, none missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation, ephemeral
from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.nodes import DataTest, Model, Source
from datapipe.transform.manifest.properties import (
    ModelProperties,
    Properties,
    TestProperties,
    read_all,
)
from datapipe.transform.manifest.references import Found, References
from datapipe.transform.manifest.unsupported import refuse_unsupported, refuse_unsupported_files
from datapipe.transform.project import Project, merged

_TAKEN = ("raw", "meta")
_LONGEST_NAME = 63  # what PostgreSQL keeps of an identifier, in bytes


@dataclass(frozen=True)
class Manifest:
    """A project as read; every ``ref`` and ``source`` in it is known to exist."""

    project: Project
    models: Mapping[str, Model]
    sources: Mapping[tuple[str, str], Source]
    tests: tuple[DataTest, ...]


def read(project: Project, renderer: Renderer) -> Manifest:
    """Read everything under the project's paths; sends nothing to PostgreSQL.

    Raises ProjectError for the first mistake, with file and line where they are known.
    """
    refuse_unsupported_files(project)
    reader = _Reader(project, renderer)
    models = reader.models()
    sources = reader.sources()
    tests = (*reader.generic_tests(models, sources), *reader.singular_tests())
    references = References(renderer, models, sources, disabled=reader.disabled)
    references.check(tests)
    return Manifest(project, models, sources, _named_apart(tests))


class _Reader:
    def __init__(self, project: Project, renderer: Renderer) -> None:
        self.project = project
        self.renderer = renderer
        self.target = renderer.target
        self.properties: Properties = read_all(project)
        self.disabled: set[str] = set()

    def models(self) -> dict[str, Model]:
        """Models and seeds, which ``ref`` does not tell apart."""
        models: dict[str, Model] = {}
        for folder, suffix, kind in (
            ("model-paths", ".sql", "model"),
            ("seed-paths", ".csv", "seed"),
        ):
            of_kind = self.properties.models if kind == "model" else self.properties.seeds
            described = dict(of_kind)
            for path, root in self.project.files(folder, suffix):
                model = self._model(path, root, described.pop(path.stem, None), kind)
                self._add(model, models)
            for unused in described.values():  # as with dbt, no reason to stop
                self.renderer.warnings.append(
                    f"{unused.path}:{unused.line}: There is no {kind} {unused.name} to describe or "
                    f"test.{near(unused.name, models)}"
                )
        _refuse_shared_relations(models)
        return models

    def _add(self, model: Model, models: dict[str, Model]) -> None:
        if not model.config.get("enabled", True):
            self.disabled.add(model.name)
            return
        other = models.get(model.name)
        if other is not None:
            both = f"two {model.resource_type}s called {model.name}"
            if other.resource_type != model.resource_type:
                both = f"a model and a seed called {model.name}"
            raise ProjectError(
                f"There are {both}: the other is {other.file}. Rename one of the files.",
                path=model.path,
                line=1,
                model=model.name,
            )
        models[model.name] = model

    def _model(
        self, path: Path, root: Path, properties: ModelProperties | None, kind: str
    ) -> Model:
        project, name = self.project, path.stem
        is_seed = kind == "seed"
        source = "" if is_seed else project.text(path)
        folders = path.relative_to(root).parent.parts
        fqn = (project.name, *folders, name)
        config: dict[str, Any] = {"materialized": "seed" if is_seed else "view", "enabled": True}
        for level, line in project.config_for(f"{kind}s", fqn):
            config = merged(config, self._rendered(level, project.path, line))
        if properties is not None:
            given = self._rendered(properties.config, properties.path, properties.line)
            config = merged(config, given)
        model = Model(
            name=name,
            path=path,
            file=project.relative(path),
            package=project.name,
            fqn=fqn,
            raw_code=source,
            config=config,
            relation=Relation(self.target["dbname"], self.target["schema"], name),
            description=properties.description if properties else "",
            columns=properties.columns if properties else {},
            described_in=project.relative(properties.path) if properties else "",
            resource_type=kind,
        )
        found = Found(self.target, model)
        if not is_seed:
            self.renderer.render(path, source, found.variables(), model=name)
        model = replace(
            model,
            config=merged(config, found.config.given),
            refs=tuple(found.refs),
            sources=tuple(found.sources),
        )
        refuse_unsupported(model)
        return _placed(model, self.renderer)

    def _rendered(self, config: Mapping[str, Any], path: Path, line: int) -> dict[str, Any]:
        return {
            key: self.renderer.value(value, {}, path=path, line=line)
            for key, value in config.items()
        }

    def sources(self) -> dict[tuple[str, str], Source]:
        sources: dict[tuple[str, str], Source] = {}
        for each in self.properties.sources:
            schema = self.renderer.value(each.schema, {}, path=each.path, line=each.line)
            table = self.renderer.value(each.identifier, {}, path=each.path, line=each.line)
            key = (each.source_name, each.name)
            if key in sources:
                raise ProjectError(
                    f"There are two sources called {'.'.join(key)}: the other is in "
                    f"{sources[key].path}. Remove one of them.",
                    path=each.path,
                    line=each.line,
                )
            sources[key] = Source(
                source_name=each.source_name,
                name=each.name,
                relation=Relation(self.target["dbname"], str(schema), str(table), "table"),
                path=each.path,
                line=each.line,
                description=each.description,
                columns=each.columns,
            )
        return sources

    def generic_tests(
        self, models: Mapping[str, Model], sources: Mapping[tuple[str, str], Source]
    ) -> Iterator[DataTest]:
        for test in self.properties.tests:
            if test.source is None:
                if test.of in models:
                    yield from self._generic(test, models[test.of].relation)
            else:
                yield from self._generic(test, sources[test.source].relation)

    def _generic(self, test: TestProperties, tested: Relation) -> Iterator[DataTest]:
        package, _, bare = test.test.rpartition(".")
        macro = f"{package}.test_{bare}" if package else f"test_{bare}"
        if not self.renderer.has_macro(macro):
            known = [
                name.removeprefix("test_")
                for name in self.renderer.macro_names()
                if name.startswith("test_")
            ]
            raise ProjectError(
                f"There is no generic test {test.test}.{near(test.test, known)}",
                path=test.path,
                line=test.line,
                model=test.of,
            )
        config = self._test_config(test.config, test.path, test.line)
        if config["enabled"]:
            found = Found(self.target)
            self.renderer.value(
                dict(test.arguments), found.variables(), path=test.path, line=test.line
            )
            yield DataTest(
                name=test.name,
                of=test.of,
                path=test.path,
                line=test.line,
                config=config,
                macro=macro,
                arguments=test.arguments,
                tested=tested,
                tested_model=None if test.source else test.of,
                refs=tuple(dict.fromkeys(([] if test.source else [test.of]) + found.refs)),
                sources=(*([test.source] if test.source else []), *found.sources),
            )

    def singular_tests(self) -> Iterator[DataTest]:
        for path, root in self.project.files("test-paths", ".sql"):
            if path.relative_to(root).parts[0] == "generic":
                continue
            source = self.project.text(path)
            found = Found(self.target)
            self.renderer.render(path, source, found.variables())
            config = self._test_config(
                merged(self.properties.singular_tests.get(path.stem, {}), found.config.given),
                path,
                1,
            )
            if config["enabled"]:
                yield DataTest(
                    name=path.stem,
                    of=found.refs[0] if found.refs else "",
                    path=path,
                    line=1,
                    config=config,
                    raw_code=source,
                    refs=tuple(found.refs),
                    sources=tuple(found.sources),
                )

    def _test_config(self, given: Mapping[str, Any], path: Path, line: int) -> dict[str, Any]:
        config: dict[str, Any] = {
            "enabled": True,
            "severity": "error",
            "fail_calc": "count(*)",
            "warn_if": "!= 0",
            "error_if": "!= 0",
        }
        for kind in ("tests", "data_tests"):
            for level, level_line in self.project.config_for(kind, (self.project.name,)):
                config = merged(config, self._rendered(level, self.project.path, level_line))
        config = merged(config, self._rendered(given, path, line))
        severity = config["severity"] = str(config["severity"]).lower()
        if severity not in {"error", "warn"}:
            raise ProjectError(f"severity is error or warn, not {severity}.", path=path, line=line)
        return config


def _placed(model: Model, renderer: Renderer) -> Model:
    """``model`` with the schema and the name that the project's macros give it."""

    def named(macro: str, setting: str) -> str:
        arguments = {f"custom_{setting}_name": model.config.get(setting), "node": node}
        given = renderer.call(
            macro, arguments, {"node": node}, path=model.path, line=None, model=model.name
        )
        name = str(given).strip()
        if len(name.encode()) > _LONGEST_NAME:
            raise ProjectError(
                f"The name {name} is longer than {_LONGEST_NAME} bytes, which is all that "
                "PostgreSQL keeps. Set a shorter one with config(alias=...).",
                path=model.path,
                line=1,
                model=model.name,
            )
        return name

    node = model.as_template_sees_it()
    kind = "table" if model.is_table else "view"
    if model.materialized == "ephemeral":
        return replace(model, relation=ephemeral(model.name))
    schema = named("generate_schema_name", "schema")
    if schema in _TAKEN:
        raise ProjectError(
            f"The schema {schema} holds what datapipe loads and remembers, so no model may go "
            "there. Set another one with config(schema=...).",
            path=model.path,
            line=1,
            model=model.name,
        )
    alias = named("generate_alias_name", "alias")
    return replace(model, relation=Relation(model.relation.database, schema, alias, kind))


def _refuse_shared_relations(models: Mapping[str, Model]) -> None:
    owners: dict[str, Model] = {}
    for model in models.values():
        other = owners.setdefault(model.relation.local, model)
        if other is not model:
            raise ProjectError(
                f"The models {other.name} and {model.name} would both be {model.relation.local}. "
                "Give one of them another alias or schema.",
                path=model.path,
                line=1,
                model=model.name,
            )


def _named_apart(tests: tuple[DataTest, ...]) -> tuple[DataTest, ...]:
    """``tests`` with a number after names that came before, as two tests may differ in config."""
    seen: dict[str, int] = {}
    apart = []
    for test in tests:
        count = seen[test.name] = seen.get(test.name, 0) + 1
        apart.append(test if count == 1 else replace(test, name=f"{test.name}_{count}"))
    return tuple(apart)
