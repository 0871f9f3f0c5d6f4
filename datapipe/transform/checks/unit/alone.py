"""A model rendered by itself, with other relations in place of what it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.database.relation import LONGEST_NAME, Relation, ephemeral
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model, Source

# What stands for a node: a relation, or a query that is written in front.
StandIn = Callable[[Model | Source], Relation | str]


class Alone:
    """``model`` over what ``stands_for`` gives; ``ctes`` are the queries to be put in front."""

    def __init__(
        self,
        compiler: Compiler,
        model: Model,
        stands_for: StandIn,
        *,
        this: bool = False,
        own: Mapping[str, Any] | None = None,
        macros: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.model = model
        self.ctes: dict[str, str] = {}
        self._relations: dict[str, Relation] = {}
        self._stands_for = stands_for
        self._manifest = compiler.manifest
        seen: dict[str, Any] = {
            "ref": self._ref,
            "source": self._source,
            "is_incremental": lambda: False,
            **(own or {}),
        }
        if this:
            seen["this"] = self.relation(model)
        self.compiler = compiler.standing_in(seen, macros or {})

    def compiled(self) -> Compiled:
        """The model's own SQL."""
        text, _ = self.compiler.rendered(self.model)
        return self.compiler.with_ctes(self.model, text)

    def relation(self, node: Model | Source) -> Relation:
        """The name of what stands for ``node``, for SQL."""
        if node.unique_id not in self._relations:
            found = self._stands_for(node)
            if isinstance(found, str):
                relation = ephemeral(self._name(node))
                self.ctes[str(relation)] = found
                found = relation
            self._relations[node.unique_id] = found
        return self._relations[node.unique_id]

    def _name(self, node: Model | Source) -> str:
        """A name for what stands for ``node``: the one that dbt gives, if that can be had."""
        name = (
            f"{node.source_name}__{node.name}"
            if isinstance(node, Source)
            else node.relation.identifier.removeprefix("__dbt__cte__")
        )
        taken = str(ephemeral(name)) in self.ctes
        if taken or len(str(ephemeral(name)).encode()) > LONGEST_NAME:
            return f"input_{len(self.ctes) + 1}"
        return name

    def _ref(self, *names: str, **options: Any) -> Relation:
        return self.relation(referred(self._manifest, self.model, names, options))

    def _source(self, source_name: str, name: str) -> Relation:
        return self.relation(self._manifest.source(source_name, name, package=self.model.package))


def referred(
    manifest: Manifest, model: Model, names: tuple[str, ...], options: Mapping[str, Any]
) -> Model:
    """The model that a call of ``ref`` in ``model`` means."""
    version = options.get("version", options.get("v"))
    return manifest.ref(names, package=model.package, version=version)


def with_ctes(ctes: Mapping[str, str], query: str) -> str:
    """``query`` with ``ctes`` in front; it may begin with a WITH of its own."""
    if not ctes:
        return query
    written = ",\n".join(f"{name} AS (\n{sql}\n)" for name, sql in ctes.items())
    return f"WITH {written}\nSELECT * FROM (\n{query}\n) model"
