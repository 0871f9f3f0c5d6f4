"""Constraints and indexes that YAML describes, as SQL."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import quoted

KINDS = ("check", "not_null", "unique", "primary_key", "foreign_key", "custom")


def of_columns(columns: Mapping[str, Any]) -> list[str]:
    """Each column with its type and its constraints, as CREATE TABLE has them."""
    return [" ".join(_parts_of(column)) for column in columns.values()]


def of_model(constraints: Sequence[Mapping[str, Any]]) -> list[str]:
    """The constraints of a table that go over several columns."""
    return [text for text in map(_of_table, constraints) if text]


def _parts_of(column: Mapping[str, Any]) -> Iterator[str]:
    yield quoted(column["name"]) if column.get("quote") else column["name"]
    yield column["data_type"]
    yield from filter(None, map(_of_column, column.get("constraints") or ()))


def _of_column(constraint: Mapping[str, Any]) -> str:
    kind, expression = _kind(constraint), constraint.get("expression") or ""
    if kind == "check":
        return f"check ({expression})" if expression else ""
    if kind == "foreign_key":
        return _references(constraint)
    if kind == "custom":
        return str(expression)
    return f"{kind.replace('_', ' ')} {expression}".strip()


def _of_table(constraint: Mapping[str, Any]) -> str:
    kind, expression = _kind(constraint), constraint.get("expression") or ""
    name = f"constraint {constraint['name']} " if constraint.get("name") else ""
    columns = ", ".join(constraint.get("columns") or ())
    if kind == "check":
        return f"{name}check ({expression})" if expression else ""
    if kind == "custom":
        return f"{name}{expression}" if expression else ""
    if kind == "foreign_key":
        references = _references(constraint)
        return f"{name}foreign key ({columns}) {references}" if references else ""
    if kind == "not_null":
        return ""
    return f"{name}{kind.replace('_', ' ')}{f' {expression}' if expression else ''} ({columns})"


def _references(constraint: Mapping[str, Any]) -> str:
    if constraint.get("to") and constraint.get("to_columns"):
        return f"references {constraint['to']} ({', '.join(constraint['to_columns'])})"
    expression = constraint.get("expression")
    return f"references {expression}" if expression else ""


def _kind(constraint: Mapping[str, Any]) -> str:
    kind = str(constraint.get("type"))
    if kind not in KINDS:
        raise ProjectError(f"A constraint must be one of {', '.join(KINDS)}, not {kind}.")
    return kind


class Index:
    """An index as a model's configuration has it, for macros that create it."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        columns = given.get("columns") if isinstance(given, Mapping) else None
        if not isinstance(columns, list):
            raise ProjectError(f"An index is a mapping with columns, not {given!r}.")
        self.columns: list[str] = columns
        self.unique = bool(given.get("unique"))
        self.type = given.get("type")

    def render(self, relation: Any) -> str:
        """A name that no other index has."""
        now = datetime.datetime.now(datetime.UTC).isoformat()
        parts = [*self.columns, str(relation), str(self.unique), str(self.type), now]
        return hashlib.md5("_".join(parts).encode(), usedforsecurity=False).hexdigest()
