"""``graph``: all that the project has, as dbt shows it to templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cached_property
from typing import Any

from datapipe.transform.compile.naming import name_of_test
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest, dbt_keys
from datapipe.transform.manifest.contract_columns import contract_columns
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.other_nodes import Exposure, Operation
from datapipe.transform.manifest.tests import DataTest

_KINDS = (
    *("nodes", "sources", "exposures", "groups", "metrics", "semantic_models", "saved_queries"),
    "functions",
)
_Shown = Model | DataTest | Exposure | Operation


class Graph(MutableMapping[str, Any]):
    """The nodes by their unique ids; made only when a template first looks, as few do.

    Packages also keep in it what they need again later in the run.
    """

    def __init__(self, manifest: Manifest, renderer: Renderer, *, stores: bool = False) -> None:
        self._manifest = manifest
        self._renderer = renderer
        self._stores = stores
        self._kept: dict[str, Any] = {}

    def __getitem__(self, kind: str) -> Any:
        if kind in self._kept or kind not in _KINDS:
            return self._kept[kind]
        return getattr(self, f"_{kind}", {})

    def __setitem__(self, key: str, value: Any) -> None:
        self._kept[key] = value

    def __delitem__(self, key: str) -> None:
        del self._kept[key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*_KINDS, *self._kept)))

    def __len__(self) -> int:
        return len({*_KINDS, *self._kept})

    def setdefault(self, key: str, default: Any = None) -> Any:
        """What is kept under ``key``; several threads that ask at once get the same."""
        return self[key] if key in _KINDS else self._kept.setdefault(key, default)

    @cached_property
    def _nodes(self) -> dict[str, Any]:
        manifest, target = self._manifest, self._renderer.target
        found = {
            node.unique_id: with_parents(manifest, node)
            for node in manifest.models.values()
            if not node.is_function
        }
        placed = {"database": target["dbname"], "schema": target["schema"]}
        beside: tuple[Model | Operation, ...] = (*manifest.analyses, *manifest.operations)
        for node in beside:
            found[node.unique_id] = {**with_parents(manifest, node), **placed}
        for test in manifest.tests:
            shown = shown_test(manifest, test, self._renderer, stores=self._stores)
            found[test.unique_id] = shown
        return found

    @cached_property
    def _sources(self) -> dict[str, Any]:
        sources = self._manifest.sources.values()
        return {source.unique_id: source.as_template_sees_it() for source in sources}

    @cached_property
    def _functions(self) -> dict[str, Any]:
        models = self._manifest.models.values()
        functions = [model for model in models if model.is_function]
        return {each.unique_id: with_parents(self._manifest, each) for each in functions}

    @cached_property
    def _exposures(self) -> dict[str, Any]:
        return self._others("exposure")

    @cached_property
    def _metrics(self) -> dict[str, Any]:
        """The metrics, with the measures and metrics that each is made of."""
        found = self._others("metric")
        measured = {
            measure["name"]: model["unique_id"]
            for model in self._semantic_models.values()
            for measure in model.get("measures") or ()
        }
        named = {metric["name"]: metric for metric in found.values()}
        for metric in found.values():
            made_of = [named[name] for name in dbt_keys.metrics(metric) if name in named]
            nodes = [measured[name] for name in dbt_keys.measures(metric) if name in measured]
            nodes += [each["unique_id"] for each in made_of]
            metric["depends_on"]["nodes"] = list(dict.fromkeys(nodes))
        return found

    @cached_property
    def _semantic_models(self) -> dict[str, Any]:
        return self._others("semantic_model")

    @cached_property
    def _saved_queries(self) -> dict[str, Any]:
        return self._others("saved_query")

    @cached_property
    def _groups(self) -> dict[str, Any]:
        return {group["unique_id"]: dict(group) for group in self._manifest.groups.values()}

    def _others(self, kind: str) -> dict[str, Any]:
        return {
            each.unique_id: with_parents(self._manifest, each)
            for each in self._manifest.exposures
            if each.resource_type == kind
        }


class Seen(Mapping[str, Any]):
    """``model``: a node as its own template sees it, without the keys that it has no value for.

    Its SQL is what ``compiled`` gives, which is called only when a template looks at it.
    """

    def __init__(
        self,
        manifest: Manifest,
        node: Model | DataTest,
        renderer: Renderer,
        *,
        stores: bool,
        compiled: Callable[[], str] | None = None,
    ) -> None:
        self._compiled = compiled
        self._manifest = manifest
        self._node = node
        self._renderer = renderer
        self._stores = stores

    def __getitem__(self, key: str) -> Any:
        if key in self._late and self._compiled is not None:
            return self._compiled()
        return self._shown[key]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._shown, *self._late))

    def __len__(self) -> int:
        return len(self._shown) + len(self._late)

    @property
    def _late(self) -> tuple[str, ...]:
        return ("compiled_code", "compiled_sql") if self._compiled is not None else ()

    def __repr__(self) -> str:
        return repr(self._shown)

    @cached_property
    def _shown(self) -> dict[str, Any]:
        node, manifest = self._node, self._manifest
        if isinstance(node, DataTest):
            shown = shown_test(manifest, node, self._renderer, stores=self._stores)
        else:
            shown = with_parents(manifest, node)
        shown["config"] = _known(shown["config"])
        if isinstance(node, Model) and not node.is_seed:
            columns = contract_columns(node).items()
            shown["columns"] = {name: each.as_template_sees_it() for name, each in columns}
        if "test_metadata" in shown:
            shown["test_metadata"] = _known(shown["test_metadata"])
        for of_several in ("refs", "arguments"):
            if of_several in shown:
                shown[of_several] = [_known(each) for each in shown[of_several]]
        return _known(shown)


def with_parents(manifest: Manifest, node: _Shown) -> dict[str, Any]:
    """The node as ``graph`` has it."""
    macros = list(getattr(node, "macros", ()))
    depends_on = {"macros": macros, "nodes": manifest.parents(node)}
    if isinstance(node, Model) and node.is_seed:
        del depends_on["nodes"]
    shown = {**node.as_template_sees_it(), "depends_on": depends_on}
    if "primary_key" in shown:
        shown["primary_key"] = list(manifest.primary_keys.get(node.unique_id, ()))
    return shown


def shown_test(
    manifest: Manifest, test: DataTest, renderer: Renderer, *, stores: bool
) -> dict[str, Any]:
    """The test as ``graph`` has it, with the name of the table that would keep its rows.

    It has a ``relation_name`` if it keeps them: by its settings, or because the run ``stores`` all.
    """
    named = name_of_test(test, renderer)
    own: dict[str, Any] = {
        "database": named.database,
        "schema": named.schema,
        "alias": named.identifier,
    }
    if stores or test.config.get("store_failures"):
        own["relation_name"] = str(named)
    tested = manifest.models.get(test.tested_model or "")
    if tested is not None:
        own["group"] = tested.config.get("group")
    return {**with_parents(manifest, test), **own}


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}
