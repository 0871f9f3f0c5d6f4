"""Where a run finds each model: aside if the run builds it, else where it is published."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import psycopg

from datapipe.errors import ProjectError
from datapipe.transform.build import aside
from datapipe.transform.database import catalog, functions
from datapipe.transform.database.relation import Relation
from datapipe.transform.graph.select import Selection
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest


class Placement:
    """Knows it for the models of one run; one that is not selected is read as published.

    ``has_own_ref`` says whether the templates of a package call a macro ``ref`` instead of dbt's.
    That may lead to what others have built, so only PostgreSQL knows whether it exists.
    """

    def __init__(
        self, manifest: Manifest, selection: Selection, has_own_ref: Callable[[str], bool]
    ) -> None:
        self._manifest = manifest
        self._selection = selection
        self._has_own_ref = has_own_ref
        self._published: set[str] = set()

    def __call__(self, model: Model) -> Relation:
        if model.key not in self._selection.models or model.key in self._published:
            return model.relation
        return model.relation.at(aside.beside(model.relation.schema, aside.BUILD))

    def published(self, model: Model) -> None:
        """From now on ``model`` is read as published."""
        self._published.add(model.key)

    def tests(self, connection: psycopg.Connection) -> tuple[tuple[DataTest, ...], list[str]]:
        """The tests that can be run, and a warning for each that reads what does not exist.

        Raises ProjectError for a selected model that would read what was never published.
        """
        selected = [
            self._manifest.models[name]
            for name in self._manifest.models
            if name in self._selection.models
        ]
        nodes: list[Model | DataTest] = [*selected, *self._selection.tests]
        wanted = {read.key: read for node in nodes for read in self._elsewhere(node)}
        there = _there(connection, wanted.values())
        for model in selected:
            for read in self._elsewhere(model):
                if read.key not in there:
                    raise ProjectError(
                        f"The model {model.name} reads {read.name}, which is not selected and was "
                        f"never published: there is no {read.relation.local}. Select it, too "
                        f"(+{model.name} selects all that {model.name} reads), or run once "
                        "without a selection.",
                        path=model.path,
                        model=model.name,
                    )
        tests, warnings = [], []
        for test in self._selection.tests:
            missing = next(
                (read for read in self._elsewhere(test) if read.key not in there),
                None,
            )
            if missing is None:
                tests.append(test)
            else:
                warnings.append(
                    f"The test {test.name} was not run: it reads {missing.name}, which is not "
                    "selected and was never published."
                )
        return tuple(tests), warnings

    def _elsewhere(self, node: Model | DataTest) -> Iterator[Model]:
        """What ``node`` reads, itself or through ephemeral models, and the run does not build."""
        if self._has_own_ref(node.package):
            return
        for name in node.refs:
            model = self._manifest.models[name]
            if model.materialized == "ephemeral":
                yield from self._elsewhere(model)
            elif name not in self._selection.models:
                yield model


def _there(connection: psycopg.Connection, models: Collection[Model]) -> set[str]:
    """The keys of those ``models`` that are published."""
    of_relations = {model.relation.published: model for model in models if not model.is_function}
    of_functions = {model.relation.published: model for model in models if model.is_function}
    there = catalog.states(connection, of_relations).keys() if of_relations else set()
    callable_ = {state.standing for state in functions.states(connection, of_functions)}
    return {of_relations[name].key for name in there} | {
        of_functions[name].key for name in callable_
    }
