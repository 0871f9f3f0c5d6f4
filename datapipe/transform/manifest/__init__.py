"""Reads a whole project: every model, source and test, each known by name, none missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import cached_property
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.database.catalog import Name
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import (
    exposures,
    generic_tests,
    models,
    operations,
    required,
    singular_tests,
    sources,
    unit_tests,
)
from datapipe.transform.manifest.configs import Configs
from datapipe.transform.manifest.deprecation import warn_of_deprecated
from datapipe.transform.manifest.docs import Docs
from datapipe.transform.manifest.found import asked, asked_function, asked_source
from datapipe.transform.manifest.names import Names
from datapipe.transform.manifest.nodes import Model, Source, SourceKey
from datapipe.transform.manifest.other_nodes import Exposure, Operation
from datapipe.transform.manifest.primary_keys import primary_keys
from datapipe.transform.manifest.project_checks import check_project, check_trees
from datapipe.transform.manifest.properties import Properties, Reader
from datapipe.transform.manifest.references import References
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.project import Project
from datapipe.transform.project.blocks import Block


@frozen
class Manifest:
    """A project as it was read; every ``ref`` and ``source`` in it is known to exist.

    Models and sources are known by keys, which nearly always are their names. ``analyses`` are
    compiled, but never built.
    """

    project: Project
    models: Mapping[str, Model]
    sources: Mapping[SourceKey, Source]
    tests: tuple[DataTest, ...]
    names: Names
    unit_tests: tuple[UnitTest, ...] = ()
    analyses: tuple[Model, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    docs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    disabled: tuple[Model, ...] = ()
    seeds: Mapping[SourceKey, str] = field(default_factory=dict)
    operations: tuple[Operation, ...] = ()

    @cached_property
    def primary_keys(self) -> Mapping[str, list[str]]:
        """The primary keys of the models that have one, by the models' unique ids."""
        return primary_keys(self.models.values(), self.tests)

    @cached_property
    def grown(self) -> frozenset[Name]:
        """The published names of the tables that grow."""
        kinds = {"incremental", "snapshot"}
        models = self.models.values()
        return frozenset(each.relation.published for each in models if each.materialized in kinds)

    @cached_property
    def schemas(self) -> frozenset[str]:
        """The schemas that the models are published in, as templates write them."""
        return frozenset(
            each.relation.schema for each in self.models.values() if each.relation.schema
        )

    def ref(self, names: tuple[Any, ...], *, package: str, version: Any = None) -> Model:
        """The model that ``ref(*names)`` means in ``package``; raises ProjectError if none."""
        return self.models[self.names.model(asked(names, version), package).key]

    def function(self, names: tuple[Any, ...], *, package: str) -> Model:
        """The one that ``function(*names)`` means in ``package``; ProjectError if there is none."""
        return self.models[self.names.model(asked_function(names), package).key]

    def seed_of(self, source: Source) -> Model | None:
        """The seed of this project that fills ``source``: that is then read in its place."""
        key = self.seeds.get(source.key)
        return self.models[key] if key is not None else None

    def parents(self, node: Model | DataTest | Exposure | Operation) -> list[str]:
        """The unique ids of what ``node`` reads, as dbt counts it.

        A seed that is read only as a source is not among them; the source is.
        """
        filled = {self.seeds[key] for key in node.sources if key in self.seeds}
        named = {ref.name for ref in node.asked}
        return [
            *(self.sources[key].unique_id for key in node.sources),
            *(
                self.models[key].unique_id
                for key in node.refs
                if key not in filled or self.models[key].name in named
            ),
        ]

    def source(self, *names: Any, package: str) -> Source:
        """The source that ``source(*names)`` means in ``package``; raises ProjectError if none."""
        return self.sources[self.names.source(asked_source(names), package).key]


def read(renderer: Renderer) -> Manifest:
    """Read everything under the paths of the renderer's project; sends nothing to PostgreSQL.

    Raises ProjectError for the first mistake, with file and line where they are known.
    """
    project = renderer.project
    check_project(renderer)
    renderer.warnings += required.unmet(project)
    properties = {
        name: Reader(package, renderer).read_all() for name, package in project.all_packages.items()
    }
    configs, docs = Configs(renderer), Docs(renderer)
    groups = exposures.groups_of(
        project, {package: of.blocks.get("groups", []) for package, of in properties.items()}
    )
    found = models.Reader(renderer, configs, docs, properties)
    found.read()
    check_trees(renderer, [*found.models, *found.disabled])
    read_sources = _sources(renderer, configs, docs, properties)
    names = Names(project, found.models, read_sources.found, found.disabled, read_sources.disabled)
    references = References(renderer, names, _seeds_of(read_sources, found.models))
    known = {model.key: references.of_model(model) for model in found.models}
    warn_of_deprecated(known.values(), renderer)
    tests = generic_tests.Reader(renderer, configs, docs, names)
    singular = singular_tests.Reader(renderer, configs, docs)
    written = [
        *tests.of_nodes(properties),
        *map(references.with_seeds, tests.of_sources(read_sources.tests)),
        *filter(None, map(references.of_test, singular.read(properties))),
    ]
    units = unit_tests.Reader(renderer, configs, names, found.models)
    return Manifest(
        project,
        known,
        {source.key: source for source in read_sources.found},
        _told_apart(written),
        names,
        unit_tests=tuple(
            test
            for package, of in properties.items()
            for test in units.read(package, of.blocks.get("unit_tests", ()))
        ),
        analyses=tuple(references.of_model(each) for each in found.analyses),
        exposures=tuple(
            each
            for package, of in properties.items()
            for each in (
                *exposures.exposures_of(
                    renderer, package, of.blocks.get("exposures", ()), configs, names
                ),
                *exposures.semantics_of(project, package, of.blocks, names),
            )
        ),
        groups=groups,
        docs=docs.blocks,
        disabled=tuple(found.disabled),
        seeds=references.seeds,
        operations=tuple(operations.operations_of(renderer, configs, names)),
    )


def _blocks(kind: str, properties: Mapping[str, Properties]) -> list[Any]:
    return [each for of in properties.values() for each in of.blocks.get(kind, ())]


def _sources(
    renderer: Renderer,
    configs: Configs,
    docs: Docs,
    properties: Mapping[str, Properties],
) -> sources.Sources:
    """The sources of all packages, with what the root overrides of them."""
    overrides: dict[Any, Block] = {
        (block["overrides"], block["name"]): block
        for _, block in _blocks("sources", properties)
        if "overrides" in block
    }
    reader = sources.Reader(renderer, configs, docs)
    for package, of in properties.items():
        reader.read(package, of.blocks.get("sources", []), overrides)
    read = reader.sources
    owners: dict[SourceKey, str] = {}
    for source in read.found:
        if source.key not in owners or source.package == renderer.project.name:
            owners[source.key] = source.package
    keyed = {
        source.unique_id: source
        if owners[source.key] == source.package
        else replace(source, key=(f"{source.package}.{source.source_name}", source.name))
        for source in read.found
    }
    tests = [(keyed[source.unique_id], test) for source, test in read.tests]
    return sources.Sources(list(keyed.values()), read.disabled, tests)


def _seeds_of(read: sources.Sources, models: Iterable[Model]) -> dict[SourceKey, str]:
    """The keys of seeds by the sources that they fill: both are the same table."""
    seeds = {model.relation.local: model.key for model in models if model.is_seed}
    return {
        source.key: seeds[source.relation.local]
        for source in read.found
        if source.relation.local in seeds
    }


def _told_apart(tests: Iterable[DataTest]) -> tuple[DataTest, ...]:
    """All of ``tests``; several may have the same name, but not the same id.

    Raises ProjectError for two that differ only in their config.
    """
    ids: dict[str, DataTest] = {}
    for test in tests:
        other = ids.setdefault(test.unique_id, test)
        if other is not test:
            raise ProjectError(
                f"There are two tests called {test.name}: the other is in {other.path}, line "
                f"{other.line}. Remove one, or give one a name: of its own.",
                path=test.path,
                line=test.line,
                model=test.of,
            )
    return tuple(ids.values())
