"""From the template of a model or a test to the SQL that PostgreSQL gets.

Where something is wrong with that SQL, ``locate`` finds the way back to the template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Any

from datapipe.transform.compile import ctes, literals
from datapipe.transform.compile.as_text import AsText
from datapipe.transform.compile.known import Known
from datapipe.transform.compile.pieces import Compiled, Piece, Place, Unbuilt, parts
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja import scope
from datapipe.transform.jinja.adapter import Adapter
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.gaps import Where
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.options import Options

__all__ = ["Compiled", "Compiler", "Piece", "Place", "Unbuilt"]


class Compiler:
    """Compiles models and tests; a ``ref`` becomes the relation that ``place`` gives.

    ``increments`` are the models for which ``is_incremental()`` holds. ``own`` and ``replaced`` are
    values and macros that templates see in place of the usual ones. ``options`` are those of the
    run. For a node that ``waits``, Unbuilt is raised where its SQL names, without ``ref``, what the
    run has still to build.
    """

    def __init__(
        self,
        manifest: Manifest,
        renderer: Renderer,
        place: Place,
        *,
        increments: Set[str] = frozenset(),
        options: Options | None = None,
        own: Mapping[str, Any] | None = None,
        replaced: Mapping[str, Any] | None = None,
        waits: Callable[[Model | DataTest], bool] = lambda node: False,
    ) -> None:
        self.manifest = manifest
        self.renderer = renderer
        self.place = place
        self.increments = increments
        self.options = options or Options()
        self._own = own or {}
        self._replaced = replaced or {}
        self._waits = waits
        self._known = Known(manifest, renderer, place, increments, self.options, self._own)
        self._ephemeral: dict[str, tuple[str, tuple[str, ...]]] = {}

    def at(self, place: Place) -> Compiler:
        """The same compiler with another ``place``."""
        return self._changed(place=place)

    def standing_in(self, own: Mapping[str, Any], macros: Mapping[str, Any]) -> Compiler:
        """The same compiler; its templates see ``own`` and ``macros`` instead of the usual ones."""
        return self._changed(own={**self._own, **own}, replaced={**self._replaced, **macros})

    def growing(self, keys: Iterable[str]) -> Compiler:
        """The same compiler, with ``is_incremental()`` holding for these models."""
        return self._changed(increments=frozenset(keys))

    def with_renderer(self, renderer: Renderer) -> Compiler:
        return self._changed(renderer=renderer)

    def waiting(self, waits: Callable[[Model | DataTest], bool]) -> Compiler:
        """The same compiler, where the nodes that can wait for what they name are others."""
        return self._changed(waits=waits)

    def _changed(self, **options: Any) -> Compiler:
        known: dict[str, Any] = {
            "manifest": self.manifest,
            "renderer": self.renderer,
            "place": self.place,
            "increments": self.increments,
            "options": self.options,
            "own": self._own,
            "replaced": self._replaced,
            "waits": self._waits,
        }
        return Compiler(**{**known, **options})

    def model(self, model: Model, *, this: Relation | None = None) -> Compiled:
        """The SQL of ``model``; ``this`` is its own relation, if it is not where ``place`` says."""
        return self.with_ctes(model, *self.rendered(model, this=this))

    def test(self, test: DataTest, *, this: Relation | None = None) -> Compiled:
        return self.with_ctes(test, *self.rendered(test, this=this))

    def text(
        self,
        model: Model,
        text: str,
        *,
        this: Relation | None = None,
        where: Where | None = None,
        compiled: Callable[[], str] | None = None,
    ) -> str:
        """``text``, such as a hook, rendered with what the template of ``model`` sees, and its SQL.

        ``where`` tells where it is written, if somebody has to know.
        """
        own = self._known.of(model, [], this)
        late = None
        if compiled is not None:
            own["model"] = self._known.node(model, compiled)
            late = scope.Late({"compiled_code": compiled, "sql": compiled})
        at: dict[str, Any] = {"path": model.path, "line": None, "model": model.name}
        return self.renderer.text(text, own, late=late, where=where, **at, **self._as(model))

    def is_selected(self, model: Model) -> bool:
        """Whether the run was asked for ``model``, even if that need not be built again."""
        return model.unique_id in self._own.get("selected_resources", ())

    @property
    def looks(self) -> int:
        """How often templates have asked for relations that may be built later."""
        return self._known.database.looks

    def reading(self, sql: str) -> str:
        """What to send before ``sql``, so that bare names in it find the run's relations, too."""
        return self._known.database.reading(sql)

    def made_in(self) -> str:
        """The schema of what a statement makes under a bare name; empty if it is not published."""
        return self._known.database.made_in

    def with_names_aside(self, statement: str) -> str:
        """``statement`` with names aside for the published names of what stands aside."""
        connection = scope.connection()
        return self._as_text.replaced(connection, statement) if connection else statement

    def with_catalog(self, statement: str) -> str:
        """``statement`` with the catalog as it will be when the run is published."""
        return self._known.database.with_catalog(statement) if scope.connection() else statement

    def call(
        self,
        model: Model | DataTest,
        macro: str,
        values: Sequence[Any] = (),
        *,
        this: Relation | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Any:
        """What a macro returns that sees what the template of ``model`` sees, and ``own``."""
        return self.renderer.call(
            macro,
            {},
            {**self._known.of(model, [], this), **(own or {})},
            values=values,
            path=model.path,
            line=None,
            model=model.name,
            **self._as(model),
        )

    def is_overridden(self, name: str) -> bool:
        """Whether the project has a macro of its own for dbt's ``name``."""
        return self.renderer.macros.overriding(name) is not None

    def seen(self, node: Model | DataTest, compiled: Compiled | None) -> dict[str, Any]:
        """The node as templates see it when it has been compiled, if it could be."""
        own = {"compiled_code": compiled.sql, "compiled_sql": compiled.sql} if compiled else {}
        return {**self._known.node(node), **own}

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of ``relation`` where it stands, on the connection of this thread."""
        adapter: Adapter = self._known.asking["adapter"]
        return adapter.columns(relation)

    def hook(
        self, text: str, path: Path, line: int, known: Mapping[str, Any], package: str = ""
    ) -> str:
        """A statement of the project that belongs to no model, rendered."""
        own = {**self._known.of_project(package), **known}
        return self.renderer.text(text, own, path=path, line=line, package=package)

    def materialization(self, node: Model | DataTest) -> str | None:
        """The macro, not dbt's own, that makes ``node``; None if dbt's does."""
        kind = str(node.config["materialized"])
        return self.renderer.macros.materialization(kind, node.package)

    def rendered(
        self, node: Model | DataTest, *, this: Relation | None = None
    ) -> tuple[str, tuple[str, ...]]:
        """What the node's own template renders to, and the ephemeral models that it refers to."""
        needed: list[str] = []
        own = self._known.of(node, needed, this)
        if isinstance(node, Model) or node.macro is None:
            if isinstance(node, Model):
                name, code = node.name, node.template
            else:
                name, code = node.of, node.raw_code
            text = self.renderer.render(node.path, code, own, model=name, **self._as(node))
            text = _without_margins(text, code)
        else:
            text = self._generic(node, node.macro, own, needed)
        return literals.published(text, self._known.asides), tuple(needed)

    def _generic(self, test: DataTest, macro: str, own: dict[str, Any], needed: list[str]) -> str:
        at: dict[str, Any] = {"path": test.path, "line": test.line}
        as_: dict[str, Any] = {**at, "model": test.of, **self._as(test)}
        arguments = self.renderer.value(dict(test.arguments), own, **at, package=test.package)
        tested = test.tested
        if test.tested_model is not None:
            tested = self._known.relation(self.manifest.models[test.tested_model], needed)
        elif test.sources and tested == self.manifest.sources[test.sources[0]].relation:
            tested = self._known.source(self.manifest.sources[test.sources[0]])
        rows = self.renderer.call("get_where_subquery", {}, own, values=[tested], **as_)
        return str(self.renderer.call(macro, {"model": rows, **arguments}, own, **as_))

    def _as(self, node: Model | DataTest) -> dict[str, Any]:
        return {"package": node.package, "replaced": self._replaced}

    @cached_property
    def _as_text(self) -> AsText:
        return AsText(self.manifest, self.place, self._known.asides, self._waits)

    def with_ctes(
        self, node: Model | DataTest, text: str, needed: tuple[str, ...] = ()
    ) -> Compiled:
        """The SQL of ``node``, with the ephemeral models that it needs in front."""
        names: list[str] = []
        for name in needed:
            self._gather(name, names)
        ephemeral = [(self.manifest.models[name], self._ephemeral[name][0]) for name in names]
        return self._as_it_stands(node, ctes.in_front(node, text, ephemeral))

    def _as_it_stands(self, node: Model | DataTest, pieces: list[Piece]) -> Compiled:
        """The SQL in ``pieces``, with the names aside in place of published names in its text."""
        connection = scope.connection()
        if not self._known.asides or connection is None:
            return Compiled(node, tuple(pieces))
        named = self._as_text.instead(connection, node, pieces)
        catalog = not (isinstance(node, Model) and node.keeps_its_words)
        now: list[Piece] = []
        for piece, instead in zip(pieces, named, strict=True):
            if catalog:
                instead += self._known.database.catalog_in(piece.text)
            now += parts(piece, instead)
        return Compiled(node, tuple(now))

    def _gather(self, name: str, names: list[str]) -> None:
        if name not in self._ephemeral:
            self._ephemeral[name] = self.rendered(self.manifest.models[name])
        for inner in self._ephemeral[name][1]:
            self._gather(inner, names)
        if name not in names:
            names.append(name)


def _without_margins(text: str, source: str) -> str:
    """``text`` without the white space around the ``source`` that it was rendered from."""
    before = source[: len(source) - len(source.lstrip())]
    after = source[len(source.rstrip()) :].removesuffix("\n")  # that one Jinja leaves out
    return text.removeprefix(before).removesuffix(after)
