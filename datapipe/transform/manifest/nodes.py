"""What a project is made of: models, sources and data tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datapipe.transform.database.relation import Relation


@dataclass(frozen=True)
class Column:
    """A column as YAML describes it."""

    name: str
    description: str = ""
    data_type: str | None = None
    constraints: tuple[Mapping[str, Any], ...] = ()
    quote: bool = False


@dataclass(frozen=True)
class Model:
    """One SQL file under the model paths, one seed or one snapshot, with what YAML says of it."""

    name: str
    path: Path
    file: str
    package: str
    fqn: tuple[str, ...]
    raw_code: str
    config: Mapping[str, Any]
    relation: Relation
    refs: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    description: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)
    described_in: str = ""
    resource_type: str = "model"
    constraints: tuple[Mapping[str, Any], ...] = ()
    version: str | None = None

    @property
    def materialized(self) -> str:
        return str(self.config["materialized"])

    @property
    def is_seed(self) -> bool:
        return self.resource_type == "seed"

    @property
    def is_table(self) -> bool:
        """Whether it is published as a table."""
        return self.materialized in {"table", "seed", "incremental"}

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``model`` and ``node``."""
        return {
            "name": self.name,
            "resource_type": self.resource_type,
            "package_name": self.package,
            "unique_id": f"{self.resource_type}.{self.package}.{self.name}",
            "fqn": list(self.fqn),
            "path": self.path.name,
            "original_file_path": self.file,
            "raw_code": self.raw_code,
            "language": "sql",
            "config": dict(self.config),
            "tags": list(self.config.get("tags", [])),
            "meta": dict(self.config.get("meta", {})),
            "description": self.description,
            "columns": {
                column.name: {
                    "name": column.name,
                    "description": column.description,
                    "data_type": column.data_type,
                }
                for column in self.columns.values()
            },
            "database": self.relation.database,
            "schema": self.relation.schema,
            "alias": self.relation.identifier,
            "refs": [{"name": name, "package": None, "version": None} for name in self.refs],
            "sources": [list(source) for source in self.sources],
        }


@dataclass(frozen=True)
class Source:
    """One table of a source: data that the project reads and does not build."""

    source_name: str
    name: str
    relation: Relation
    path: Path
    line: int
    description: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    loaded_at: str = ""
    freshness: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Rows:
    """Rows that a unit test gives or expects; ``format`` says what ``rows`` is.

    dict: a list of mappings. csv: text with a header line. sql: a query.
    """

    format: str
    rows: Any
    line: int


@dataclass(frozen=True)
class Given:
    """The rows that stand for one ``input`` of a model: a ref, a source or ``this``, as Jinja."""

    input: str
    rows: Rows


@dataclass(frozen=True)
class UnitTest:
    """What a model must make of given rows; it needs no table to exist.

    ``overrides`` has ``macros``, ``vars`` and ``env_vars``.
    """

    name: str
    model: str
    path: Path
    line: int
    given: tuple[Given, ...]
    expect: Rows
    config: Mapping[str, Any]
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class DataTest:
    """A query that gives the rows that should not be there.

    A generic test is a call of ``macro`` with ``arguments``; a singular one is ``raw_code`` of its
    own, and then ``macro`` is None.
    """

    name: str
    of: str
    path: Path
    line: int
    config: Mapping[str, Any]
    macro: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tested: Relation | None = None
    tested_model: str | None = None
    raw_code: str = ""
    refs: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``model``."""
        return {
            "name": self.name,
            "resource_type": "test",
            "original_file_path": str(self.path),
            "config": dict(self.config),
            "tags": list(self.config.get("tags", [])),
            "column_name": self.arguments.get("column_name"),
        }
