"""What a project consists of: models and sources, with all that YAML says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.database.relation import Relation
from datapipe.transform.manifest import dbt_keys, python_model
from datapipe.transform.manifest.signature import Signature

SourceKey = tuple[str, str]

_OF_SNAPSHOTS = (
    "dbt_valid_from",
    "dbt_valid_to",
    "dbt_scd_id",
    "dbt_updated_at",
    "dbt_is_deleted",
)


@frozen
class Column:
    """A column as YAML describes it."""

    name: str
    description: str = ""
    data_type: str | None = None
    constraints: tuple[Mapping[str, Any], ...] = ()
    quote: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    granularity: str | None = None
    doc_blocks: tuple[str, ...] = ()

    def as_template_sees_it(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "data_type": self.data_type,
            "constraints": [dbt_keys.constraint(each) for each in self.constraints],
            "quote": self.quote or None,
            "meta": dict(self.meta),
            "tags": list(self.tags),
            "config": {"meta": dict(self.meta), "tags": list(self.tags)},
            "granularity": self.granularity,
            "doc_blocks": list(self.doc_blocks),
        }


@frozen
class Ref:
    """One call of ``ref`` or ``function`` as it is written; who calls decides what it means."""

    name: str
    package: str | None = None
    version: str | None = None
    to_function: bool = False


@frozen
class Model:
    """One model, seed, snapshot or function: its file, with what YAML says of it."""

    name: str
    path: Path
    file: str
    package: str
    fqn: tuple[str, ...]
    raw_code: str
    config: Mapping[str, Any]
    relation: Relation
    # What it reads, by keys of the manifest; ``key`` is its own.
    refs: tuple[str, ...] = ()
    sources: tuple[SourceKey, ...] = ()
    description: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)
    described_in: str = ""
    described_at: tuple[Path, int] | None = None
    resource_type: str = "model"
    constraints: tuple[Mapping[str, Any], ...] = ()
    version: str | None = None
    latest_version: str | None = None
    key: str = ""
    # The calls of ``ref`` and ``function`` that ``refs`` come from.
    asked: tuple[Ref, ...] = ()
    line: int = 1
    # What an ephemeral model would be called.
    named: Relation | None = None
    # dbt's ids of what the template calls, and of the docs blocks that the description names.
    macros: tuple[str, ...] = ()
    deprecation_date: Any = None
    time_spine: Mapping[str, Any] | None = None
    signature: Signature | None = None
    doc_blocks: tuple[str, ...] = ()
    # What the template gives to ``config``, and all settings with their Jinja.
    called: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    # The template is rendered once for each batch, and not by itself.
    is_batched: bool = False
    # The path within the folder of its kind, such as ``models``.
    inside: str = ""

    @property
    def unique_id(self) -> str:
        version = f".v{self.version}" if self.version is not None else ""
        return f"{self.resource_type}.{self.package}.{self.name}{version}"

    @property
    def materialized(self) -> str:
        return str(self.config["materialized"])

    @property
    def language(self) -> str:
        return "python" if self.path.suffix == ".py" else "sql"

    @property
    def template(self) -> str:
        """The text to render: its own code; for a Python model, one that asks for the same."""
        if self.language == "python" and not self.is_function:
            return python_model.as_template(self.raw_code, self.path)
        return self.raw_code

    @property
    def is_seed(self) -> bool:
        return self.resource_type == "seed"

    @property
    def is_function(self) -> bool:
        return self.signature is not None

    @property
    def has_sql(self) -> bool:
        """Whether there is anything to build: dbt passes over empty files as well."""
        if self.signature is not None:
            return self.signature.is_makeable
        return self.is_seed or bool(self.raw_code.strip())

    @property
    def has_hooks(self) -> bool:
        """Whether statements of the user's are sent before it is built, or after."""
        return bool(self.config.get("pre_hook") or self.config.get("post_hook"))

    @property
    def has_contract(self) -> bool:
        """Whether it has a contract that is enforced."""
        return bool((self.config.get("contract") or {}).get("enforced"))

    @property
    def keeps_its_words(self) -> bool:
        """Whether the view or function that is published is the one that was built aside.

        Other views are created anew from their SQL when they are published.
        """
        changed = self.config.get("sql_header") or self.has_hooks
        is_kept = self.materialized in {"materialized_view", "function"}
        return is_kept or bool(self.materialized == "view" and changed)

    @property
    def is_latest_version(self) -> bool:
        return self.version is not None and self.version == self.latest_version

    @property
    def snapshot_columns(self) -> dict[str, str]:
        """The names of the columns that a snapshot has beside those of its query."""
        given = self.config.get("snapshot_meta_column_names") or {}
        return {name: given.get(name) or name for name in _OF_SNAPSHOTS}

    @property
    def access(self) -> str:
        return str(self.config.get("access") or "protected")

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``model`` and ``node``."""
        config = dbt_keys.settings(self.config)
        if self.resource_type == "snapshot":
            given = self.config.get("snapshot_meta_column_names") or {}
            config["snapshot_meta_column_names"] = {**dict.fromkeys(_OF_SNAPSHOTS), **given}
        named = self.named or self.relation
        path = self.inside
        if self.resource_type == "analysis":
            path = f"analysis/{path}"
        shown = {
            **dbt_keys.NOTHING,
            "name": self.name,
            "resource_type": self.resource_type,
            "package_name": self.package,
            "unique_id": self.unique_id,
            "fqn": list(self.fqn),
            "path": path if path.endswith((".sql", ".csv", ".py")) else f"{path}/{self.name}.sql",
            "original_file_path": self.file,
            "patch_path": f"{self.package}://{self.described_in}" if self.described_in else None,
            "checksum": self._checksum(),
            "raw_code": self.raw_code.strip(),
            "language": self.language,
            "docs": dict(self.config.get("docs") or {}),
            "config": config,
            "tags": list(self.config.get("tags") or []),
            "meta": dict(self.config.get("meta") or {}),
            "group": self.config.get("group"),
            "access": self.access,
            "version": dbt_keys.version(self.version),
            "latest_version": dbt_keys.version(self.latest_version),
            "deprecation_date": dbt_keys.date(self.deprecation_date),
            "time_spine": self.time_spine and {"custom_granularities": [], **self.time_spine},
            "primary_key": [],
            "batch": None,
            "defer_relation": None,
            "config_call_dict": dbt_keys.settings(self.called),
            "unrendered_config": dbt_keys.settings(self.written),
            "description": self.description,
            "doc_blocks": list(self.doc_blocks),
            "columns": {name: each.as_template_sees_it() for name, each in self.columns.items()},
            "constraints": [
                {**dbt_keys.constraint(each), "columns": each.get("columns") or []}
                for each in self.constraints
            ],
            "contract": {"checksum": None, **(self.config.get("contract") or {"enforced": False})},
            "database": named.database,
            "schema": named.schema,
            "alias": named.identifier,
            "relation_name": str(self.relation) if self._has_relation else None,
            **dbt_keys.asked(self.asked),
            "sources": [list(source) for source in self.sources],
            **(self.signature.as_template_sees_it() if self.signature else {}),
            **({"root_path": dbt_keys.root_of(self.path, self.file)} if self.is_seed else {}),
        }
        if self.resource_type == "model":
            return shown
        without = dbt_keys.NOT_OF_A_SEED if self.is_seed else dbt_keys.OF_A_MODEL
        return {key: value for key, value in shown.items() if key not in without}

    @property
    def _has_relation(self) -> bool:
        """Whether dbt shows a relation name: not for what cannot be selected from."""
        is_relation = self.resource_type not in {"analysis", "function"}
        return is_relation and self.materialized != "ephemeral"

    def _checksum(self) -> dict[str, str]:
        """The checksum of the whole file, of which a snapshot's code is only a part."""
        if self.resource_type == "model" or self.path.suffix not in {".csv", ".sql"}:
            return dbt_keys.checksum(self.raw_code)
        return dbt_keys.checksum_of(self.path, self.file)


@frozen
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
    package: str = ""
    file: str = ""
    fqn: tuple[str, ...] = ()
    key: SourceKey = ("", "")
    source_description: str = ""
    source_meta: Mapping[str, Any] = field(default_factory=dict)
    loader: str = ""
    external: Any = None
    doc_blocks: tuple[str, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict)

    @property
    def freshness(self) -> Mapping[str, Any] | None:
        """How old it may be; None where YAML switches that off."""
        freshness: Mapping[str, Any] | None = self.config.get("freshness")
        return freshness

    @property
    def unique_id(self) -> str:
        return f"source.{self.package}.{self.source_name}.{self.name}"

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``graph.sources``."""
        freshness = None if self.freshness is None else {**dbt_keys.NO_FRESHNESS, **self.freshness}
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
            "config": {**self.config, "freshness": freshness},
            "unrendered_config": {
                "loaded_at_field": None,
                "loaded_at_query": None,
                **self.written,
                **({"freshness": freshness} if "freshness" in self.written else {}),
            },
            "tags": list(self.config.get("tags") or []),
            "meta": dict(self.config.get("meta") or {}),
            "loader": self.loader,
            "source_meta": dict(self.source_meta),
            "quoting": self.relation.quote_policy,
            "external": self.external,
            "patch_path": None,
            "loaded_at_field": self.config.get("loaded_at_field"),
            "loaded_at_query": self.config.get("loaded_at_query"),
            "freshness": freshness,
            "doc_blocks": list(self.doc_blocks),
        }
