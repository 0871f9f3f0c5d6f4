"""The primary keys of models as dbt derives them, from constraints and tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest

_UNIQUE = ("unique", "unique_combination_of_columns")


def primary_keys(models: Iterable[Model], tests: Iterable[DataTest]) -> dict[str, list[str]]:
    """The primary key of each model that has one, by its unique id."""
    of: dict[str, list[DataTest]] = {}
    for test in tests:
        if test.attached_node is not None:
            of.setdefault(test.attached_node, []).append(test)
    found = {
        model.unique_id: _primary_key(model, of.get(model.unique_id, ()))
        for model in models
        if model.resource_type == "model"
    }
    return {unique_id: sorted(columns) for unique_id, columns in found.items() if columns}


def _primary_key(model: Model, tests: Sequence[DataTest]) -> set[str]:
    """The key that a constraint declares, or else the columns that are tested to be unique."""
    for constraint in model.constraints:
        if constraint["type"] == "primary_key":
            return set(constraint.get("columns") or ())
    for column in model.columns.values():
        if any(constraint["type"] == "primary_key" for constraint in column.constraints):
            return {column.name}
    unique = {column for test in tests if test.metadata["name"] in _UNIQUE for column in _of(test)}
    there = {
        column for test in tests if test.metadata["name"] == "not_null" for column in _of(test)
    }
    return unique & there or unique


def _of(test: DataTest) -> list[str]:
    column = test.arguments.get("column_name")
    if isinstance(column, str):
        return [column]
    columns = test.arguments.get("combination_of_columns")
    return [each for each in columns if isinstance(each, str)] if isinstance(columns, list) else []
