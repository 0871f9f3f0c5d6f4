"""The keys that YAML files may have, and keys that are nearly one of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.transform.project.blocks import Block

_NODE = frozenset({
    "name", "description", "config", "columns", "data_tests", "tests", "docs", "meta", "tags",
    "group", "access", "contract", "constraints", "quote_columns", "enabled", "latest_version",
    "versions", "deprecation_date", "time_spine", "agg_time_dimension", "derived_semantics",
    "semantic_model", "metrics", "primary_entity", "freshness", "database", "schema", "alias",
})  # fmt: skip
# What the entries of each list of a file may have; those with nothing here are not looked at.
KEYS: dict[str, frozenset[str]] = {
    "models": _NODE,
    "seeds": _NODE,
    "snapshots": _NODE | {"relation"},
    "sources": frozenset({
        "name", "description", "source_description", "config", "meta", "tags", "database",
        "schema", "loader", "loaded_at_field", "loaded_at_query", "freshness", "quoting",
        "tables", "overrides", "unrendered_database", "unrendered_schema", "data_tests", "tests",
    }),
    "analyses": _NODE,
    "macros": frozenset({"name", "description", "arguments", "docs", "meta", "config"}),
    "data_tests": frozenset({"name", "description", "config", "meta", "docs"}),
    "tests": frozenset({"name", "description", "config", "meta", "docs"}),
    "unit_tests": frozenset({
        "name", "model", "description", "given", "expect", "overrides", "config", "versions",
    }),
    "exposures": frozenset(),
    "groups": frozenset(),
    "metrics": frozenset(),
    "semantic_models": frozenset(),
    "saved_queries": frozenset(),
    "functions": frozenset({
        "name", "description", "config", "columns", "docs", "meta", "tags", "access", "arguments",
        "returns", "enabled", "constraints", "data_tests", "tests",
    }),
}  # fmt: skip
TABLE_KEYS = frozenset({
    "name", "description", "config", "meta", "tags", "identifier", "loader", "loaded_at_field",
    "loaded_at_query", "freshness", "quoting", "columns", "data_tests", "tests", "external",
    "docs", "quote_columns",
})  # fmt: skip
COLUMN_KEYS = frozenset({
    "name", "description", "data_type", "constraints", "data_tests", "tests", "meta", "tags",
    "quote", "config", "docs", "policy_tags", "granularity", "dimension", "entity",
})  # fmt: skip
FILE_KEYS = frozenset({*KEYS, "version", "anchors"})
_TYPES = {"meta": dict, "quoting": dict, "constraints": list}


def near_keys(block: Block, known: frozenset[str], path: Path) -> Iterator[str]:
    """Warnings of keys that are nearly one of ``known``: nobody reads them, as with dbt.

    Keys that are like none of those may be there for other tools.
    """
    for key in block:
        if key in known or not isinstance(key, str):
            continue
        found = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
        if found and found[0] not in block:
            yield (
                f"{path}:{block.line_of(key)}: There is no key {key} here, so it has no effect. "
                f"Did you mean {found[0]}?"
            )


def refuse_other_types(block: Block, path: Path) -> None:
    """Raise ProjectError for a key that must hold a mapping, or a list, and holds neither."""
    for key, kind in _TYPES.items():
        value = block.get(key)
        if value is not None and not isinstance(value, kind):
            called = "mapping" if kind is dict else "list"
            raise ProjectError(f"{key} must be a {called}.", path=path, line=block.line_of(key))
