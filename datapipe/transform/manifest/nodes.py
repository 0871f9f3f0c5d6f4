"""What a project is made of: models, sources, tests and what is told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datapipe.transform.database.relation import Relation

SourceKey = tuple[str, str]


# What dbt's nodes have and PostgreSQL has no use for; templates that walk over nodes expect it.
_NOTHING: Mapping[str, Any] = {
    "doc_blocks": [], "primary_key": [], "metrics": [], "functions": [], "time_spine": None,
    "deprecation_date": None, "defer_relation": None, "unrendered_config": {},
    "config_call_dict": {}, "build_path": None,
}  # fmt: skip
_NO_SEED = frozenset({
    "access", "constraints", "language", "refs", "sources", "version", "latest_version",
})  # fmt: skip
_NO_FRESHNESS = {
    "warn_after": {"count": None, "period": None},
    "error_after": {"count": None, "period": None},
    "filter": None,
}
_PARTS = ("database", "schema", "identifier")
_NO_CHECKSUM = {"name": "none", "checksum": ""}


_LARGE = 2**20  # bytes: of a larger seed dbt compares no more than where it is


def _checksum(text: str) -> dict[str, str]:
    return {"name": "sha256", "checksum": hashlib.sha256(text.strip().encode()).hexdigest()}


@dataclass(frozen=True)
class Column:
    """A column as YAML describes it."""

    name: str
    description: str = ""
    data_type: str | None = None
    constraints: tuple[Mapping[str, Any], ...] = ()
    quote: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    def as_template_sees_it(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "data_type": self.data_type,
            "constraints": [dict(constraint) for constraint in self.constraints],
            "quote": self.quote or None,
            "meta": dict(self.meta),
            "tags": list(self.tags),
            "config": {"meta": dict(self.meta), "tags": list(self.tags)},
            "doc_blocks": [],
            "granularity": None,
        }


@dataclass(frozen=True)
class Ref:
    """One call of ``ref`` as it is written: what it stands for depends on who calls."""

    name: str
    package: str | None = None
    version: str | None = None

    def as_template_sees_it(self) -> dict[str, Any]:
        return {"name": self.name, "package": self.package, "version": self.version}


@dataclass(frozen=True)
class Model:
    """One SQL file under the model paths, one seed or one snapshot, with what YAML says of it.

    Within a manifest it is known by ``key``, and ``refs`` and ``sources`` are such keys.
    """

    name: str
    path: Path
    file: str
    package: str
    fqn: tuple[str, ...]
    raw_code: str
    config: Mapping[str, Any]
    relation: Relation
    refs: tuple[str, ...] = ()
    sources: tuple[SourceKey, ...] = ()
    description: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)
    described_in: str = ""
    resource_type: str = "model"
    constraints: tuple[Mapping[str, Any], ...] = ()
    version: str | None = None
    latest_version: str | None = None
    key: str = ""
    asked: tuple[Ref, ...] = ()
    line: int = 1

    @property
    def unique_id(self) -> str:
        version = f".v{self.version}" if self.version is not None else ""
        return f"{self.resource_type}.{self.package}.{self.name}{version}"

    @property
    def materialized(self) -> str:
        return str(self.config["materialized"])

    @property
    def is_seed(self) -> bool:
        return self.resource_type == "seed"

    @property
    def is_latest_version(self) -> bool:
        return self.version is not None and self.version == self.latest_version

    @property
    def is_table(self) -> bool:
        """Whether it is published as a table."""
        return self.materialized in {"table", "seed", "incremental", "snapshot"}

    @property
    def access(self) -> str:
        return str(self.config.get("access") or "protected")

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``model`` and ``node``."""
        config = dict(self.config)
        for name in ("pre_hook", "post_hook"):
            if name in config:
                config[name.replace("_", "-")] = config[name]
        seen = {
            **_NOTHING,
            "name": self.name,
            "resource_type": self.resource_type,
            "package_name": self.package,
            "unique_id": self.unique_id,
            "fqn": list(self.fqn),
            "path": self.file.partition("/")[2],
            "original_file_path": self.file,
            "patch_path": f"{self.package}://{self.described_in}" if self.described_in else None,
            "checksum": self._checksum(),
            "raw_code": self.raw_code,
            "language": "sql",
            "docs": dict(self.config.get("docs") or {}),
            "config": config,
            "tags": list(self.config.get("tags") or []),
            "meta": dict(self.config.get("meta") or {}),
            "group": self.config.get("group"),
            "access": self.access,
            "version": self.version,
            "latest_version": self.latest_version,
            "description": self.description,
            "columns": {
                column.name: column.as_template_sees_it() for column in self.columns.values()
            },
            "constraints": [dict(constraint) for constraint in self.constraints],
            "contract": dict(self.config.get("contract") or {"enforced": False}),
            "database": self.relation.database,
            "schema": self.relation.schema,
            "alias": self.relation.identifier.removeprefix("__dbt__cte__"),
            "relation_name": None if self.materialized == "ephemeral" else str(self.relation),
            "refs": [ref.as_template_sees_it() for ref in self.asked],
            "sources": [list(source) for source in self.sources],
        }
        return {key: seen[key] for key in seen if key not in _NO_SEED} if self.is_seed else seen

    def _checksum(self) -> dict[str, str]:
        """That of the file, of which the code of a snapshot is only a part."""
        if self.resource_type == "model" or self.path.suffix not in {".csv", ".sql"}:
            return _checksum(self.raw_code)
        if self.path.stat().st_size > _LARGE:
            return {"name": "path", "checksum": self.file}
        return _checksum(self.path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Source:
    """One table of a source: data that the project reads and does not build.

    ``loaded_at`` is the field; ``config`` has ``loaded_at_field`` and ``loaded_at_query``.
    """

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
    package: str = ""
    file: str = ""
    fqn: tuple[str, ...] = ()
    key: SourceKey = ("", "")
    source_description: str = ""
    source_meta: Mapping[str, Any] = field(default_factory=dict)
    loader: str = ""
    external: Any = None

    @property
    def unique_id(self) -> str:
        return f"source.{self.package}.{self.source_name}.{self.name}"

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``graph.sources``."""
        return {
            "name": self.name,
            "resource_type": "source",
            "package_name": self.package,
            "unique_id": self.unique_id,
            "fqn": list(self.fqn),
            "path": self.file,
            "original_file_path": self.file,
            "source_name": self.source_name,
            "source_description": self.source_description,
            "identifier": self.relation.identifier,
            "schema": self.relation.schema,
            "database": self.relation.database,
            "relation_name": str(self.relation),
            "description": self.description,
            "columns": {
                column.name: column.as_template_sees_it() for column in self.columns.values()
            },
            "config": dict(self.config),
            "tags": list(self.config.get("tags") or []),
            "meta": dict(self.config.get("meta") or {}),
            "loader": self.loader,
            "source_meta": dict(self.source_meta),
            "quoting": dict(zip(_PARTS, self.relation.quoting, strict=True)),
            "external": self.external,
            "patch_path": None,
            "loaded_at_field": self.config.get("loaded_at_field"),
            "loaded_at_query": self.config.get("loaded_at_query"),
            "freshness": self.freshness and {**_NO_FRESHNESS, **self.freshness},
        }


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

    ``overrides`` has ``macros``, ``vars`` and ``env_vars``. ``model`` is the key of the model.
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
    package: str = ""
    file: str = ""
    fqn: tuple[str, ...] = ()
    unique_id: str = ""


@dataclass(frozen=True)
class DataTest:
    """A query that gives the rows that should not be there.

    A generic test is a call of ``macro`` with ``arguments``; a singular one is ``raw_code`` of its
    own, and then ``macro`` is None. ``tested_model`` is the key of the model that the test is of.
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
    sources: tuple[SourceKey, ...] = ()
    package: str = ""
    file: str = ""
    fqn: tuple[str, ...] = ()
    unique_id: str = ""
    alias: str = ""
    column: str | None = None
    description: str = ""
    asked: tuple[Ref, ...] = ()
    described_in: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attached_node: str | None = None

    @property
    def severity(self) -> str:
        return str(self.config["severity"]).lower()

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``model``."""
        generic = (
            {}
            if self.macro is None
            else {
                "test_metadata": dict(self.metadata),
                "attached_node": self.attached_node,
            }
        )
        return {
            **_NOTHING,
            **generic,
            "relation_name": None,
            "group": self.config.get("group"),
            "checksum": _NO_CHECKSUM if self.macro else _checksum(self.raw_code),
            "columns": {},
            "contract": {"alias_types": True, "checksum": None, "enforced": False},
            "docs": {"node_color": None, "show": True},
            "name": self.name,
            "resource_type": "test",
            "package_name": self.package,
            "unique_id": self.unique_id,
            "fqn": list(self.fqn),
            "alias": self.alias or self.name,
            "path": self.file.partition("/")[2],
            "original_file_path": self.file,
            "raw_code": self.raw_code,
            "language": "sql",
            "config": dict(self.config),
            "tags": list(self.config.get("tags") or []),
            "meta": dict(self.config.get("meta") or {}),
            "description": self.description,
            "column_name": self.column,
            "refs": [ref.as_template_sees_it() for ref in self.asked],
            "sources": [list(source) for source in self.sources],
        }


@dataclass(frozen=True)
class Exposure:
    """What reads the models outside of the project: a dashboard, a notebook, an application."""

    name: str
    path: Path
    line: int
    package: str
    file: str
    fqn: tuple[str, ...]
    config: Mapping[str, Any]
    refs: tuple[str, ...] = ()
    sources: tuple[SourceKey, ...] = ()
    described: Mapping[str, Any] = field(default_factory=dict)
    resource_type: str = "exposure"

    @property
    def unique_id(self) -> str:
        return f"{self.resource_type}.{self.package}.{self.name}"

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``graph.exposures``."""
        return {
            "label": None,
            "url": None,
            "maturity": None,
            **self.described,
            "meta": dict(self.config.get("meta") or {}),
            "tags": list(self.config.get("tags") or []),
            "name": self.name,
            "resource_type": self.resource_type,
            "package_name": self.package,
            "unique_id": self.unique_id,
            "fqn": list(self.fqn),
            "original_file_path": self.file,
            "config": dict(self.config),
        }
