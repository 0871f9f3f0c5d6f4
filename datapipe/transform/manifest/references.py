"""What templates refer to: collected while a project is read, then held against what there is."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.context import Config, asked_of_the_database, near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.nodes import DataTest, Model, Source


class Found:
    """What a template asked for while the project was read."""

    def __init__(self, target: Mapping[str, Any], model: Model | None = None) -> None:
        self.config = Config()
        self.refs: list[str] = []
        self.sources: list[tuple[str, str]] = []
        self._target = target
        self._model = model

    def ref(self, *names: str, **_: Any) -> Relation:
        name = referred(names)
        if name not in self.refs:
            self.refs.append(name)
        return Relation(self._target["dbname"], self._target["schema"], name)

    def source(self, source_name: str, name: str) -> Relation:
        if (source_name, name) not in self.sources:
            self.sources.append((source_name, name))
        return Relation(self._target["dbname"], source_name, name)

    def variables(self) -> dict[str, Any]:
        return {
            "ref": self.ref,
            "source": self.source,
            "config": self.config,
            "execute": False,
            "run_query": asked_of_the_database("run_query", execute=False),
            "statement": asked_of_the_database("statement", execute=False),
            "this": self._model.relation if self._model else None,
            "model": self._model.as_template_sees_it() if self._model else {},
        }


def referred(names: tuple[str, ...]) -> str:
    """The model's name out of the arguments of ``ref``: it may stand after a package's."""
    if not 1 <= len(names) <= 2 or not all(isinstance(name, str) for name in names):
        raise ProjectError("ref() takes the name of a model, or of a package and a model.")
    return names[-1]


class References:
    """Every name that a template gives to ``ref`` or ``source`` must stand for something."""

    def __init__(
        self,
        renderer: Renderer,
        models: Mapping[str, Model],
        sources: Mapping[tuple[str, str], Source],
        *,
        disabled: Set[str],
    ) -> None:
        self.renderer = renderer
        self.models = models
        self.sources = sources
        self.disabled = disabled

    def check(self, tests: tuple[DataTest, ...]) -> None:
        """Raise ProjectError, with the line of the reference, for the first that is unknown."""
        for model in self.models.values():
            if not self._are_known(model.refs, model.sources):
                self._render_again(model.path, model.raw_code, model)
        for test in tests:
            if test.macro is None:
                self._render_again(test.path, test.raw_code, None)
            elif not self._are_known(test.refs, ()):
                arguments = dict(test.arguments)
                refusing = self._refusing(None)
                self.renderer.value(arguments, refusing, path=test.path, line=test.line)

    def _are_known(self, refs: tuple[str, ...], sources: tuple[tuple[str, str], ...]) -> bool:
        return set(refs) <= self.models.keys() and set(sources) <= self.sources.keys()

    def _render_again(self, path: Path, source: str, model: Model | None) -> None:
        """Render with functions that refuse what is unknown: so the error knows its line."""
        name = model.name if model else ""
        self.renderer.render(path, source, self._refusing(model), model=name)

    def _refusing(self, model: Model | None) -> dict[str, Any]:
        found = Found(self.renderer.target, model)

        def ref(*names: str, **_: Any) -> Relation:
            name = referred(names)
            if name in self.disabled:
                raise ProjectError(f"The model {name} is disabled (enabled: false).")
            known(name, self.models)
            return found.ref(*names)

        def source(source_name: str, name: str) -> Relation:
            known_source((source_name, name), self.sources)
            return found.source(source_name, name)

        return {**found.variables(), "ref": ref, "source": source}


def known(name: str, models: Mapping[str, Model]) -> Model:
    """The model of that name; raises ProjectError, with the nearest name, if there is none."""
    if name not in models:
        raise ProjectError(f"There is no model {name}.{near(name, models)}")
    return models[name]


def known_source(key: tuple[str, str], sources: Mapping[tuple[str, str], Source]) -> Source:
    """The source of that name; raises ProjectError, with the nearest name, if there is none."""
    if key not in sources:
        hint = near(".".join(key), map(".".join, sources))
        raise ProjectError(
            f"There is no source {'.'.join(key)}.{hint or ' Declare it in YAML, under sources:.'}"
        )
    return sources[key]
