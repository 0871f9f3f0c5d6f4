"""What the template of a node sees beside what all see, such as ``ref`` and ``this``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from datapipe.transform.compile.graph import Graph, Seen
from datapipe.transform.compile.naming import name_of_test
from datapipe.transform.compile.pieces import Place
from datapipe.transform.database.relation import Relation, parts_of
from datapipe.transform.jinja.adapter import Adapter
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.context import KnownConfig
from datapipe.transform.jinja.database import Database
from datapipe.transform.jinja.flags import Flags
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model, Source
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.options import Options


class Known:
    """What the templates of one compiler see; its arguments are the compiler's."""

    def __init__(
        self,
        manifest: Manifest,
        renderer: Renderer,
        place: Place,
        increments: Set[str],
        options: Options,
        own: Mapping[str, Any],
    ) -> None:
        self.manifest = manifest
        self.renderer = renderer
        self.place = place
        self.increments = increments
        self.options = options
        self._own = own

    def of(
        self, node: Model | DataTest, needed: list[str], this: Relation | None
    ) -> dict[str, Any]:
        """What the template of ``node`` sees beside what all see.

        ``this`` is its own relation, if that is not where ``place`` says. The ephemeral models that
        the template refers to are added to ``needed``.
        """
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
        return {
            **self.named(node.package, needed),
            **self.asking,
            **self.flags,
            "config": KnownConfig({**config, **_columns_of_snapshot(node)}),
            "database": self.renderer.target["dbname"],
            "execute": True,
            "is_incremental": lambda: isinstance(node, Model) and node.key in self.increments,
            "model": self.node(node),
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

    def of_project(self, package: str) -> dict[str, Any]:
        """What a statement sees that belongs to the project or a package, and to no node."""
        own = {**self.named(package, []), **self.asking, **self.flags, "execute": True}
        own |= {"config": KnownConfig({}), "this": None, "pre_hooks": [], "post_hooks": []}
        return {**own, **self._own}

    def node(self, node: Model | DataTest, compiled: Callable[[], str] | None = None) -> Seen:
        """``model``, as the template of ``node`` sees it; ``compiled`` gives its SQL."""
        stores = self.options.store_failures
        return Seen(self.manifest, node, self.renderer, stores=stores, compiled=compiled)

    def relation(self, model: Model, needed: list[str]) -> Relation:
        """Where to read ``model``; an ephemeral one is added to ``needed``."""
        if model.materialized != "ephemeral":
            return self.place(model)
        if model.key not in needed:
            needed.append(model.key)
        return model.relation

    def source(self, source: Source) -> Relation:
        """Where to read ``source``; if a seed of this project fills it, where the seed is."""
        seed = self.manifest.seed_of(source)
        return source.relation.at(self.place(seed).standing[0]) if seed else source.relation

    def named(self, package: str, needed: list[str]) -> dict[str, Any]:
        """``ref``, ``source`` and ``function``; ephemeral models are added to ``needed``."""

        def ref(*names: str, version: Any = None, v: Any = None) -> Relation:
            wanted = version if version is not None else v
            model = self.manifest.ref(names, package=package, version=wanted)
            found = self.relation(model, needed)
            # What it is, dbt tells of what it has looked up only.
            return found if found.is_cte else replace(found, type=None)

        def source(*names: str) -> Relation:
            return replace(self.source(self.manifest.source(*names, package=package)), type=None)

        def function(*names: str) -> Relation:
            return self.place(self.manifest.function(names, package=package))

        return {"ref": ref, "source": source, "function": function}

    @cached_property
    def asides(self) -> dict[str, str]:
        """For each published schema the one that the run builds in."""
        asides = {}
        for model in self.manifest.models.values():
            if model.materialized == "ephemeral":
                continue
            stands_in, published = self.place(model).standing[0], model.relation.published[0]
            if stands_in != published:
                asides[published] = stands_in
        return asides

    @cached_property
    def database(self) -> Database:
        return Database(str(self.renderer.target["dbname"]), self.asides, self.manifest.grown)

    @cached_property
    def flags(self) -> dict[str, Any]:
        """What tells how the run was started."""
        flags = Flags(self.options, self.manifest.project.flags)
        return {"flags": flags, "invocation_args_dict": flags.as_dict()}

    @cached_property
    def asking(self) -> dict[str, Any]:
        """What asks the database; the answers are as if the run were published."""
        given = self.manifest.project.settings.get("quoting")
        renderer = self.renderer
        adapter = Adapter(
            renderer.macros.dispatched,
            renderer.target,
            self.database,
            parts_of(given or {}),
            overriding=renderer.macros.overriding,
        )
        api = SimpleNamespace(Relation=adapter.Relation, Column=Column)
        graph = Graph(self.manifest, renderer, stores=self.options.store_failures)
        return {"adapter": adapter, "api": api, "graph": graph}


def _columns_of_snapshot(node: Model | DataTest) -> dict[str, Any]:
    """The names of the columns that dbt adds to a snapshot, which ``config`` knows as well."""
    if not isinstance(node, Model) or node.resource_type != "snapshot":
        return {}
    return {"snapshot_table_column_names": node.snapshot_columns}
