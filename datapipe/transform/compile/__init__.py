"""From a template to the SQL that PostgreSQL gets, and from there back to the template."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.compile import ctes, literals
from datapipe.transform.compile.as_text import AsText
from datapipe.transform.compile.graph import Graph, Seen
from datapipe.transform.compile.naming import name_of_test
from datapipe.transform.compile.pieces import Compiled, Piece, Place, Unbuilt, parts
from datapipe.transform.database.relation import Relation, parts_of
from datapipe.transform.jinja import scope
from datapipe.transform.jinja.adapter import Adapter
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.context import Flags, KnownConfig
from datapipe.transform.jinja.database import Database
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model, Source
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.options import Options

__all__ = ["Compiled", "Compiler", "Piece", "Place", "Unbuilt"]


class Compiler:
    """Compiles models and tests, with every ``ref`` standing for where ``place`` says.

    ``increments`` are the models for which ``is_incremental()`` holds; ``own`` is what templates
    see in place of what they would, ``replaced`` are macros in place of others. ``options`` are
    those of the run. For a node that ``waits``, Unbuilt is raised where its SQL names, without
    ``ref``, what the run is still to build.
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
        self._ephemeral: dict[str, tuple[str, tuple[str, ...]]] = {}

    def at(self, place: Place) -> Compiler:
        """The same compiler, with every ``ref`` standing elsewhere."""
        return self._changed(place=place)

    def standing_in(self, own: Mapping[str, Any], macros: Mapping[str, Any]) -> Compiler:
        """A compiler whose templates see ``own`` and ``macros`` in place of what they would see."""
        return self._changed(own={**self._own, **own}, replaced={**self._replaced, **macros})

    def growing(self, keys: Iterable[str]) -> Compiler:
        """The same compiler, with ``is_incremental()`` holding for these models."""
        return self._changed(increments=frozenset(keys))

    def with_renderer(self, renderer: Renderer) -> Compiler:
        return self._changed(renderer=renderer)

    def waiting(self, waits: Callable[[Model | DataTest], bool]) -> Compiler:
        """The same compiler, for nodes that can wait for what they name."""
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
        """The SQL of ``model``; ``this`` is its own relation, where that stands elsewhere."""
        return self.with_ctes(model, *self.rendered(model, this=this))

    def test(self, test: DataTest, *, this: Relation | None = None) -> Compiled:
        return self.with_ctes(test, *self.rendered(test, this=this))

    def text(
        self,
        model: Model,
        text: str,
        *,
        this: Relation | None = None,
        line: int | None = None,
        compiled: Callable[[], str] | None = None,
    ) -> str:
        """``text``, such as a hook, with what the template of ``model`` sees, and its SQL."""
        own = self._variables(model, [], this)
        late = None
        if compiled is not None:
            own["model"] = self._seen(model, compiled)
            late = scope.Late({"compiled_code": compiled, "sql": compiled})
        at: dict[str, Any] = {"path": model.path, "line": line, "model": model.name}
        return self.renderer.text(text, own, late=late, **at, **self._as(model))

    @property
    def looks(self) -> int:
        """How often templates have looked around for relations that may not be there yet."""
        return self._database.looks

    def reading(self, sql: str) -> str:
        """What goes before ``sql``, for bare names in it to mean what this run has."""
        return self._database.reading(sql)

    def made_in(self) -> str:
        """The schema for what a statement makes by a bare name, where ``reading`` hides it."""
        return self._database.made_in

    def standing(self, statement: str) -> str:
        """``statement`` with what it names as it is published called as this run has it aside."""
        connection = scope.connection()
        return self._as_text.read(connection, statement) if connection else statement

    def call(
        self,
        model: Model | DataTest,
        macro: str,
        values: Sequence[Any] = (),
        *,
        this: Relation | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Any:
        """What a macro gives back that sees what the template of ``model`` sees, and ``own``."""
        return self.renderer.call(
            macro,
            {},
            {**self._variables(model, [], this), **(own or {})},
            values=values,
            path=model.path,
            line=None,
            model=model.name,
            **self._as(model),
        )

    def has_macro(self, name: str) -> bool:
        """Whether there is a macro ``name`` or ``package.name``, dbt's own among them."""
        return self.renderer.has_macro(name)

    def is_overridden(self, name: str) -> bool:
        """Whether the project has a macro of its own for dbt's ``name``."""
        return self.renderer.macros.overriding(name) is not None

    def seen(self, node: Model | DataTest, compiled: Compiled | None) -> dict[str, Any]:
        """The node as templates see it once it is compiled, where there is anything to compile."""
        own = {"compiled_code": compiled.sql, "compiled_sql": compiled.sql} if compiled else {}
        return {**self._seen(node), **own}

    def _seen(self, node: Model | DataTest, compiled: Callable[[], str] | None = None) -> Seen:
        stores = self.options.store_failures
        return Seen(self.manifest, node, self.renderer, stores=stores, compiled=compiled)

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of ``relation`` where it stands, on the connection of this thread."""
        adapter: Adapter = self._asking["adapter"]
        return adapter.columns(relation)

    def hook(
        self, text: str, path: Path, line: int, known: Mapping[str, Any], package: str = ""
    ) -> str:
        """A statement of the project that belongs to no model, without a line of Jinja left."""
        own = {**self._named(package, []), **self._asking, "execute": True}
        own |= {"config": KnownConfig({}), **self._own, **known}
        return self.renderer.text(text, own, path=path, line=line, package=package)

    def materialization(self, node: Model | DataTest) -> str | None:
        """The macro of the project's own, or of a package, that makes what ``node`` is."""
        kind = str(node.config["materialized"])
        return self.renderer.macros.materialization(kind, node.package)

    def materialize(
        self,
        model: Model,
        compiled: Compiled | None,
        *,
        this: Relation | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> list[Relation]:
        """Run the materialization of the project's own; gives the relations that it made.

        ``compiled`` is the model, whose template may write and is rendered once; None for a seed.
        Its statements go over the connection that the renderer uses.
        """
        macro = self.materialization(model)
        if macro is None:
            raise ProjectError(f"There is no materialization {model.materialized}.")
        node = self.seen(model, compiled)
        code = compiled and compiled.sql
        known = {"sql": code, "compiled_code": code, "model": node, **(own or {})}
        result = self.call(model, macro, this=this, own=known)
        relations = result.get("relations") if isinstance(result, Mapping) else None
        if relations is None:
            raise ProjectError(
                f"The materialization {model.materialized} returned no relations. "
                "End it with {{ return({'relations': [target_relation]}) }}.",
                path=model.path,
                model=model.name,
            )
        return list(relations)

    def rendered(
        self, node: Model | DataTest, *, this: Relation | None = None
    ) -> tuple[str, tuple[str, ...]]:
        """What the node's own template renders to, and the ephemeral models that it names."""
        needed: list[str] = []
        own = self._variables(node, needed, this)
        if isinstance(node, Model) or node.macro is None:
            if isinstance(node, Model):
                name, code = node.name, node.template
            else:
                name, code = node.of, node.raw_code
            text = self.renderer.render(node.path, code, own, model=name, **self._as(node))
        else:
            text = self._generic(node, node.macro, own, needed)
        return literals.published(text.strip("\n"), self._asides), tuple(needed)

    def _generic(self, test: DataTest, macro: str, own: dict[str, Any], needed: list[str]) -> str:
        at: dict[str, Any] = {"path": test.path, "line": test.line}
        as_: dict[str, Any] = {**at, "model": test.of, **self._as(test)}
        arguments = self.renderer.value(dict(test.arguments), own, **at, package=test.package)
        tested = test.tested
        if test.tested_model is not None:
            tested = self._relation(self.manifest.models[test.tested_model], needed)
        elif test.sources and tested == self.manifest.sources[test.sources[0]].relation:
            tested = self._source(self.manifest.sources[test.sources[0]])
        rows = self.renderer.call("get_where_subquery", {}, own, values=[tested], **as_)
        return str(self.renderer.call(macro, {"model": rows, **arguments}, own, **as_))

    def _as(self, node: Model | DataTest) -> dict[str, Any]:
        return {"package": node.package, "replaced": self._replaced}

    @cached_property
    def _asides(self) -> dict[str, str]:
        """For published schemas, those in which the run keeps what it builds."""
        asides = {}
        for model in self.manifest.models.values():
            if model.materialized == "ephemeral":
                continue
            stands_in, published = self.place(model).standing[0], model.relation.published[0]
            if stands_in != published:
                asides[published] = stands_in
        return asides

    @cached_property
    def _as_text(self) -> AsText:
        return AsText(self.manifest, self.place, self._asides, self._waits)

    @cached_property
    def _database(self) -> Database:
        return Database(str(self.renderer.target["dbname"]), self._asides, self.manifest.grown)

    @cached_property
    def _asking(self) -> dict[str, Any]:
        """What asks the database, which is seen as it will be when the run is published."""
        given = self.manifest.project.settings.get("quoting")
        renderer = self.renderer
        adapter = Adapter(
            renderer.macros.dispatched,
            renderer.target,
            self._database,
            parts_of(given or {}),
            overriding=renderer.macros.overriding,
        )
        api = SimpleNamespace(Relation=adapter.Relation, Column=Column)
        graph = Graph(self.manifest, renderer, stores=self.options.store_failures)
        return {"adapter": adapter, "api": api, "graph": graph}

    def _named(self, package: str, needed: list[str]) -> dict[str, Any]:
        """What turns names into relations; ephemeral models are added to ``needed``."""

        def ref(*names: str, version: Any = None, v: Any = None) -> Relation:
            wanted = version if version is not None else v
            model = self.manifest.ref(names, package=package, version=wanted)
            found = self._relation(model, needed)
            # What it is, dbt tells of what it has looked up only.
            return found if found.is_cte else replace(found, type=None)

        def source(*names: str) -> Relation:
            return replace(self._source(self.manifest.source(*names, package=package)), type=None)

        def function(*names: str) -> Relation:
            return self.place(self.manifest.function(names, package=package))

        return {"ref": ref, "source": source, "function": function}

    def _source(self, source: Source) -> Relation:
        """Where ``source`` stands; one that a seed of this project fills is where the seed is."""
        seed = self.manifest.seed_of(source)
        return source.relation.at(self.place(seed).standing[0]) if seed else source.relation

    def _relation(self, model: Model, needed: list[str]) -> Relation:
        """Where ``model`` is read; an ephemeral one is added to ``needed``."""
        if model.materialized != "ephemeral":
            return self.place(model)
        if model.key not in needed:
            needed.append(model.key)
        return model.relation

    def _variables(
        self, node: Model | DataTest, needed: list[str], this: Relation | None
    ) -> dict[str, Any]:
        """What the template of ``node`` sees besides what all see."""
        config = node.config
        own = config.get("full_refresh")
        full_refresh = self.options.full_refresh if own is None else bool(own)
        stores = config.get("store_failures")
        stores = self.options.store_failures if stores is None else bool(stores)
        if isinstance(node, Model):
            named = node.named or node.relation  # an ephemeral model is told where it would stand
        else:
            named = name_of_test(node, self.renderer)
        relation = this or named
        flags = Flags(self.options)
        return {
            **self._named(node.package, needed),
            **self._asking,
            "config": KnownConfig({**config, **_columns_of_snapshot(node)}),
            "database": self.renderer.target["dbname"],
            "execute": True,
            "flags": flags,
            "invocation_args_dict": flags.as_dict(),
            "is_incremental": lambda: isinstance(node, Model) and node.key in self.increments,
            "model": self._seen(node),
            "post_hooks": config.get("post_hook") or [],
            "pre_hooks": config.get("pre_hook") or [],
            "schema": relation.schema,
            "sql": None,
            "compiled_code": None,
            "should_full_refresh": lambda: full_refresh,
            "should_store_failures": lambda: stores,
            "this": relation,
            **self._own,
        }

    def with_ctes(
        self, node: Model | DataTest, text: str, needed: tuple[str, ...] = ()
    ) -> Compiled:
        """The SQL of ``node`` with the ephemeral models that it needs written in front."""
        names: list[str] = []
        for name in needed:
            self._gather(name, names)
        ephemeral = [(self.manifest.models[name], self._ephemeral[name][0]) for name in names]
        return self._as_it_stands(node, ctes.in_front(node, text, ephemeral))

    def _as_it_stands(self, node: Model | DataTest, pieces: list[Piece]) -> Compiled:
        """``pieces``, with what they name without ``ref`` as this run has it, and the catalog."""
        connection = scope.connection()
        if not self._asides or connection is None:
            return Compiled(node, tuple(pieces))
        named = self._as_text.instead(connection, node, pieces)
        catalog = not (isinstance(node, Model) and node.keeps_its_words)
        now: list[Piece] = []
        for piece, instead in zip(pieces, named, strict=True):
            if catalog:
                instead += self._database.catalog_in(piece.text)
            now += parts(piece, instead)
        return Compiled(node, tuple(now))

    def _gather(self, name: str, names: list[str]) -> None:
        if name not in self._ephemeral:
            self._ephemeral[name] = self.rendered(self.manifest.models[name])
        for inner in self._ephemeral[name][1]:
            self._gather(inner, names)
        if name not in names:
            names.append(name)


def _columns_of_snapshot(node: Model | DataTest) -> dict[str, Any]:
    """What ``config`` also knows of a snapshot: how the columns are called that dbt adds."""
    if not isinstance(node, Model) or node.resource_type != "snapshot":
        return {}
    return {"snapshot_table_column_names": node.snapshot_columns}
