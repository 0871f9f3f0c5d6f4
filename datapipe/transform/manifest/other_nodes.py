"""What is no model: statements around a run, and what reads models outside of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.manifest import dbt_keys
from datapipe.transform.manifest.nodes import Ref, SourceKey


@frozen
class Operation:
    """A statement under ``on-run-start`` or ``on-run-end``, the ``index``-th of its package."""

    moment: str
    sql: str
    package: str
    index: int
    asked: tuple[Ref, ...] = ()
    sources: tuple[SourceKey, ...] = ()
    refs: tuple[str, ...] = ()
    macros: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.package}-{self.moment}-{self.index}"

    @property
    def unique_id(self) -> str:
        return f"operation.{self.package}.{self.name}"

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``graph.nodes``."""
        return {
            **dbt_keys.NOTHING,
            "name": self.name,
            "alias": self.name,
            "resource_type": "operation",
            "package_name": self.package,
            "unique_id": self.unique_id,
            "fqn": [self.package, "hooks", self.name],
            "path": f"hooks/{self.name}.sql",
            "original_file_path": "./dbt_project.yml",
            "raw_code": self.sql,
            "checksum": dbt_keys.checksum(self.sql),
            "tags": [self.moment],
            "meta": {},
            "config": dbt_keys.settings(self.config),
            "unrendered_config": dict(self.written),
            "index": self.index,
            **dbt_keys.asked(self.asked),
            "sources": [list(source) for source in self.sources],
        }


@frozen
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
    asked: tuple[Ref, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict)
    inside: str = ""

    @property
    def unique_id(self) -> str:
        return f"{self.resource_type}.{self.package}.{self.name}"

    def as_template_sees_it(self) -> dict[str, Any]:
        """The node as dbt shows it to templates, under ``graph.exposures`` and beside it."""
        of: Mapping[str, Any] = {}
        if self.resource_type == "exposure":
            of = {"description": "", "label": None, "url": None, "maturity": None, "metrics": []}
            called = {"refs": dbt_keys.asked(self.asked)["refs"]}
            of = {**of, **called, "sources": [list(source) for source in self.sources]}
            of["owner"] = dbt_keys.owner(self.described)
        described = self.described
        if self.resource_type == "metric":
            described = dbt_keys.metric(described)
        return {
            **of,
            **{key: described[key] for key in described if key not in {"depends_on", "owner"}},
            "path": self.inside,
            "unrendered_config": dict(self.written),
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
