"""Hashes of what a node was built from: its SQL, its settings, its code as written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from datapipe.transform.build import aside, growth, overrides
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model, Source
from datapipe.transform.manifest.other_nodes import Exposure
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.options import Options

# Settings that say nothing of what is built.
_BESIDE = frozenset(
    {"access", "batch_size", "docs", "enabled", "event_time", "freshness", "full_refresh", "group",
     "meta", "tags"}
)  # fmt: skip
_BUILT_IN = frozenset(
    {
        "ephemeral",
        "function",
        "incremental",
        "materialized_view",
        "seed",
        "snapshot",
        "table",
        "view",
    }
)
# Settings whose change is no modification to dbt, or is not one of ``configs``.
_NOT_COMPARED = frozenset({"access", "alias", "database", "group", "schema", "tags"})
_ENFORCES_CONSTRAINTS = frozenset({"table", "incremental"})
_WORDS = re.compile(r"\w+")
_DISPATCHED = ("postgres__", "default__", "test_")


Defined = Model | DataTest | Source | Exposure


_as_json = json.JSONEncoder(sort_keys=True, default=str).encode


def hashed(value: Any) -> str:
    """A short hash of a value that JSON can hold."""
    text = value if isinstance(value, str) else _as_json(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Fingerprints:
    """Takes the hashes of one project's nodes.

    ``session`` are the settings of PostgreSQL that are not the usual ones: any SQL may depend on
    them.
    """

    def __init__(
        self,
        manifest: Manifest,
        renderer: Renderer,
        options: Options | None = None,
        session: Mapping[str, str] | None = None,
    ) -> None:
        self._session = session or {}
        self._manifest = manifest
        self._renderer = renderer
        self._stores_failures = options is not None and options.store_failures
        self._sources: dict[str, list[str]] = {}
        for name, source in renderer.macros.sources():
            for prefix in ("", *_DISPATCHED):
                if name.startswith(prefix):
                    self._sources.setdefault(name.removeprefix(prefix), []).append(source)
        self._asides = dict(_asides(manifest.schemas))
        self._reached = cache(self._reached_by)
        self._hash = cache(self._hash_of)

    def published_text(self, sql: str) -> str:
        """``sql`` with published names in place of names aside."""
        for name, published in self._asides.items():
            if name in sql:
                sql = sql.replace(name, published)
        return sql

    def sql(self, sql: str) -> str:
        """A hash of SQL as it was sent, wherever the run had its relations."""
        return hashed(self.published_text(sql))

    def settings(self, model: Model, hooks: Sequence[str] | None = ()) -> dict[str, str]:
        """A hash for each setting that has a part in what ``model`` becomes.

        ``hooks`` are what its hooks come to; None if that cannot be told.
        """
        config = model.config
        found = {key: value for key, value in config.items() if key not in _BESIDE and value}
        found |= self._session
        persisted = config.get("persist_docs") or {}
        if persisted.get("relation"):
            found["description"] = model.description
        if persisted.get("columns"):
            found["descriptions of columns"] = [
                [column.name, column.description] for column in model.columns.values()
            ]
        if _is_enforced(config.get("contract")):
            found["columns"] = [
                [column.name, column.data_type, column.constraints]
                for column in model.columns.values()
            ]
            found["constraints"] = model.constraints
        if config.get("quote_columns") is None and any(c.quote for c in model.columns.values()):
            found["quote"] = [column.name for column in model.columns.values() if column.quote]
        written = [config.get("pre_hook"), config.get("post_hook")]
        if any(written):
            found["macros of its hooks"] = self._macros(json.dumps(written, default=str))
        if hooks or hooks is None:
            found["what its hooks do"] = hooks and [self.published_text(each) for each in hooks]
        if model.materialized not in _BUILT_IN:
            found["the materialization"] = self._macros(f"materialization_{model.materialized}")
        made_by = overrides.of(model, self._renderer)
        if made_by:
            found["how it is made"] = self._macros(" ".join(made_by))
        ended_by = overrides.at_the_end(model, self._renderer)
        if ended_by:
            found["grants and comments"] = self._macros(" ".join(ended_by))
        strategy = str(config.get("incremental_strategy") or "")
        if strategy and strategy not in growth.STRATEGIES:
            macro = f"get_incremental_{strategy.replace('+', '_')}_sql"
            found["the strategy"] = self._macros(macro)
        if model.is_seed:
            found["the file"] = _file(model)
        if model.signature is not None:
            found["the signature"] = model.signature.called
            found["how it is made"] = self._macros(model.signature.macro(config))
        return {key: hashed(value) for key, value in found.items()}

    def test_settings(self, test: DataTest) -> dict[str, str]:
        """A hash for each setting of a data test."""
        config = test.config
        found = {key: value for key, value in config.items() if key not in _BESIDE and value}
        found |= self._session
        if self._stores_failures and config.get("store_failures") is None:
            found["store_failures"] = True
        if self._renderer.macros.overriding("get_test_sql"):
            found["how it is counted"] = self._macros("get_test_sql")
        return {key: hashed(value) for key, value in found.items()}

    def unit_test(self, test: UnitTest) -> str:
        """The hash of a unit test and of the code that it tests, as written."""
        model = self._manifest.models[test.model]
        return hashed(
            [
                *_contents(test),
                self.parts(model),
                self._manifest.project.variables,
                *sorted(self._session.items()),
            ]
        )

    def parts(self, node: Defined) -> dict[str, str]:
        """A hash for each part of a node that ``state:modified`` tells apart."""
        parts = {"configs": hashed(_compared(node.config)), "fqn": hashed(node.fqn)}
        if isinstance(node, DataTest):
            code = f"{(node.macro or '').rpartition('.')[2]} {node.raw_code}"
            body = [node.macro, node.arguments, node.raw_code]
            body += [] if node.macro is None else [_compared(node.config)]
            return {**parts, "body": hashed(body), "macros": self._macros(code)}
        if isinstance(node, Source):
            loaded_at = str(node.config.get("loaded_at_field") or "")
            contents = [node.relation.quoting, node.freshness, loaded_at, node.external]
            return {**parts, "relation": hashed(node.relation.local), "contents": hashed(contents)}
        if isinstance(node, Exposure):
            return {**parts, "contents": hashed([node.described, node.refs, node.sources])}
        persisted = node.config.get("persist_docs") or {}
        is_told = persisted.get("relation") and node.description
        described = [node.description] if is_told else []
        if persisted.get("columns"):
            columns = [each for each in node.columns.values() if each.description]
            described += [f"{each.name}: {each.description}" for each in columns]
        contract = [node.config.get("contract"), node.constraints]
        contract.append(node.materialized in _ENFORCES_CONSTRAINTS)
        contract += [
            [each.name, each.data_type, each.constraints] for each in node.columns.values()
        ]
        if node.signature is not None:
            parts["signature"] = hashed(node.signature.as_template_sees_it())
        version = [node.latest_version, node.access, node.deprecation_date]
        return {
            **parts,
            "configs": hashed([_compared(node.config), node.access]),
            "body": _file(node) if node.is_seed else hashed(node.raw_code.strip()),
            "relation": hashed(_local(node.named or node.relation)),
            "persisted_descriptions": hashed(described),
            "contract": hashed(contract if _is_enforced(node.config.get("contract")) else []),
            "macros": self._macros(node.raw_code),
            "version": hashed(version),
        }

    def parts_of_unit_test(self, test: UnitTest) -> dict[str, str]:
        """The same for a unit test, which has only one part."""
        return {"contents": hashed([test.model, *_contents(test)])}

    def _macros(self, code: str) -> str:
        """A hash of all macros that ``code`` may call, to judge by the words in it."""
        names: set[str] = set()
        for word in set(_WORDS.findall(code)):
            if word in self._sources:
                names |= self._reached(word)
        return self._hash(frozenset(names))

    def _hash_of(self, names: frozenset[str]) -> str:
        return hashed([sorted(self._sources[name]) for name in sorted(names)])

    def _reached_by(self, name: str) -> frozenset[str]:
        found: set[str] = set()
        edge = [name]
        while edge:
            macro = edge.pop()
            if macro in found:
                continue
            found.add(macro)
            for source in self._sources[macro]:
                edge += [word for word in set(_WORDS.findall(source)) if word in self._sources]
        return frozenset(found)


def _asides(schemas: Iterable[str]) -> Iterator[tuple[str, str]]:
    for schema in schemas:
        for suffix in (aside.BUILD, growth.SUFFIX):
            name = aside.beside(schema, suffix)
            yield name.replace('"', '""'), schema.replace('"', '""')


def _contents(test: UnitTest) -> list[Any]:
    given = [[each.input, each.rows.format, each.rows.rows] for each in test.given]
    return [given, [test.expect.format, test.expect.rows], test.overrides]


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that dbt compares."""
    return {key: value for key, value in config.items() if key not in _NOT_COMPARED}


def _file(seed: Model) -> str:
    return hashlib.sha256(seed.path.read_bytes()).hexdigest()[:16]


def _is_enforced(contract: Any) -> bool:
    return bool(contract.get("enforced")) if isinstance(contract, Mapping) else bool(contract)


def _local(relation: Relation) -> str:
    return relation.local
