"""From a template to the SQL that PostgreSQL gets, and from there back to the template."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.context import KnownConfig, asked_of_the_database
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.templates import Marked
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import DataTest, Model
from datapipe.transform.manifest.references import known, known_source, referred

Place = Callable[[Model], Relation]

_LEADING = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_WITH = re.compile(r"with\s+(?:recursive\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """A stretch of compiled SQL that one template rendered to, from ``start`` of its own text."""

    text: str
    node: Model | DataTest | None = None
    start: int = 0


@dataclass(frozen=True)
class Compiled:
    """SQL without a line of Jinja left; ``pieces`` tell whose text it is."""

    node: Model | DataTest
    pieces: tuple[Piece, ...]

    @property
    def sql(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def origin(self, offset: int) -> tuple[Model | DataTest, int]:
        """Whose text stands at ``offset``, and where in what its own template rendered to."""
        for piece in self.pieces:
            if offset < len(piece.text) and piece.node is not None:
                return piece.node, piece.start + offset
            offset -= len(piece.text)
        last = [piece for piece in self.pieces if piece.node is not None][-1]
        return self.node, last.start + max(0, len(last.text.rstrip()) - 1)


class Compiler:
    """Compiles models and tests, with every ``ref`` standing for where ``place`` says.

    ``increments`` are the models for which ``is_incremental()`` holds.
    """

    def __init__(
        self,
        manifest: Manifest,
        renderer: Renderer,
        place: Place,
        *,
        increments: Set[str] = frozenset(),
        full_refresh: bool = False,
    ) -> None:
        self.manifest = manifest
        self.renderer = renderer
        self.place = place
        self.increments = increments
        self.full_refresh = full_refresh
        self._ephemeral: dict[str, tuple[str, tuple[str, ...]]] = {}

    def model(self, model: Model) -> Compiled:
        return self._with_ctes(model, *self.rendered(model))

    def test(self, test: DataTest) -> Compiled:
        return self._with_ctes(test, *self.rendered(test))

    def hook(self, text: str, path: Path, line: int, known: Mapping[str, Any]) -> str:
        """A statement of the project that belongs to no model, without a line of Jinja left."""
        own = {**self._named([]), "execute": True, "config": KnownConfig({}), **known}
        return str(self.renderer.value(text, own, path=path, line=line))

    def rendered(self, node: Model | DataTest) -> tuple[str, tuple[str, ...]]:
        """What the node's own template renders to, and the ephemeral models that it names."""
        ctes: list[str] = []
        own = self._variables(node, ctes)
        if isinstance(node, Model) or node.macro is None:
            name = node.name if isinstance(node, Model) else node.of
            text = self.renderer.render(node.path, node.raw_code, own, model=name)
        else:
            text = self._generic(node, node.macro, own)
        return text.strip("\n"), tuple(ctes)

    def _generic(self, test: DataTest, macro: str, own: dict[str, Any]) -> str:
        at: dict[str, Any] = {"path": test.path, "line": test.line}
        arguments = self.renderer.value(dict(test.arguments), own, **at)
        tested = own["ref"](test.tested_model) if test.tested_model else test.tested
        rows = self.renderer.call(
            "get_where_subquery", {"relation": tested}, own, **at, model=test.of
        )
        call = {"model": rows, **arguments}
        return str(self.renderer.call(macro, call, own, **at, model=test.of))

    def _named(self, ctes: list[str]) -> dict[str, Any]:
        """What turns names into relations; ephemeral models are added to ``ctes``."""

        def ref(*names: str, **_: Any) -> Relation:
            model = known(referred(names), self.manifest.models)
            if model.materialized != "ephemeral":
                return self.place(model)
            if model.name not in ctes:
                ctes.append(model.name)
            return model.relation

        def source(source_name: str, name: str) -> Relation:
            return known_source((source_name, name), self.manifest.sources).relation

        return {
            "ref": ref,
            "source": source,
            "run_query": asked_of_the_database("run_query", execute=True),
            "statement": asked_of_the_database("statement", execute=True),
        }

    def _variables(self, node: Model | DataTest, ctes: list[str]) -> dict[str, Any]:
        own = node.config.get("full_refresh")
        full_refresh = self.full_refresh if own is None else bool(own)
        return {
            **self._named(ctes),
            "config": KnownConfig(node.config),
            "execute": True,
            "flags": SimpleNamespace(
                FULL_REFRESH=self.full_refresh, STORE_FAILURES=False, WHICH="build"
            ),
            "is_incremental": lambda: isinstance(node, Model) and node.name in self.increments,
            "should_full_refresh": lambda: full_refresh,
            "this": node.relation if isinstance(node, Model) else None,
            "model": node.as_template_sees_it(),
        }

    def _with_ctes(self, node: Model | DataTest, text: str, ctes: tuple[str, ...]) -> Compiled:
        """The SQL of ``node`` with the ephemeral models that it needs written in front."""
        names: list[str] = []
        for name in ctes:
            self._gather(name, names)
        if not names:
            return Compiled(node, (Piece(text, node),))
        leading = _LEADING.match(text)
        start = leading.end() if leading else 0
        with_ = _WITH.match(text, start)
        start = with_.end() if with_ else start
        pieces = [Piece(text[:start], node), Piece("" if with_ else "with ")]
        for number, name in enumerate(names):
            pieces += [
                Piece(f"{', ' if number else ''}{self.manifest.models[name].relation} as (\n"),
                Piece(self._ephemeral[name][0], self.manifest.models[name]),
                Piece("\n)"),
            ]
        pieces += [Piece(", " if with_ else "\n"), Piece(text[start:], node, start)]
        return Compiled(node, tuple(pieces))

    def _gather(self, name: str, names: list[str]) -> None:
        if name not in self._ephemeral:
            self._ephemeral[name] = self.rendered(self.manifest.models[name])
        for inner in self._ephemeral[name][1]:
            self._gather(inner, names)
        if name not in names:
            names.append(name)


def marked_again(
    compiler: Compiler, node: Model | DataTest, marked: Marked
) -> tuple[str, list[Path]]:
    """What ``node`` renders to with marks in it, and the files that the marks number."""
    project, target = compiler.renderer.project, compiler.renderer.target
    renderer = Renderer(project, target, marked=marked)
    again = Compiler(
        compiler.manifest,
        renderer,
        compiler.place,
        increments=compiler.increments,
        full_refresh=compiler.full_refresh,
    )
    text, _ = again.rendered(node)
    return text, renderer.environment.files
