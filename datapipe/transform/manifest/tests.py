"""Data tests and unit tests, as they are when they have been read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.database.relation import Relation
from datapipe.transform.manifest import dbt_keys
from datapipe.transform.manifest.nodes import Ref, SourceKey

_NO_CHECKSUM = {"name": "none", "checksum": ""}


@frozen
class Rows:
    """Rows that a unit test gives or expects; ``format`` says what ``rows`` is.

    dict: a list of mappings. csv: text with a header line. sql: a query.
    """

    format: str
    rows: Any
    line: int

    @property
    def number(self) -> int | None:
        """How many rows there are; None for a query."""
        if self.format == "csv":
            return max(
                len([line for line in csv.reader(io.StringIO(str(self.rows))) if line]) - 1, 0
            )
        return None if self.format == "sql" else len(self.rows or ())


@frozen
class Given:
    """Rows in place of one ``input`` of a model, which is a ref, a source or ``this``, as Jinja."""

    input: str
    rows: Rows


@frozen
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


@frozen
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
    macros: tuple[str, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict)
    inside: str = ""

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
                "column_name": self.column,
                "file_key_name": self._described_as,
            }
        )
        package = f"{self.metadata['namespace']}." if self.metadata.get("namespace") else ""
        called = f"{{{{ {package}test_{self.metadata.get('name')}(**_dbt_generic_test_kwargs) }}}}"
        return {
            **dbt_keys.NOTHING,
            **generic,
            "group": self.config.get("group"),
            "checksum": _NO_CHECKSUM if self.macro else dbt_keys.checksum(self.raw_code),
            "name": self.name,
            "resource_type": "test",
            "package_name": self.package,
            "unique_id": self.unique_id,
            "fqn": list(self.fqn),
            "alias": self.alias or self.name,
            "path": self.inside if self.macro is None else f"{self.alias or self.name}.sql",
            "original_file_path": self.file,
            "raw_code": self.raw_code.strip() if self.macro is None else called,
            "config": dict(self.config),
            "unrendered_config": dict(self.written),
            "tags": list(self.config.get("tags") or []),
            "meta": dict(self.config.get("meta") or {}),
            "description": self.description,
            **dbt_keys.asked(self.asked),
            "sources": [list(source) for source in self.sources],
        }

    @property
    def _described_as(self) -> str | None:
        """Under which list of the YAML file, and which name in it, the test is written."""
        if self.attached_node is None:
            return f"sources.{self.of.partition('.')[0]}" if self.sources else None
        kind, _, name = self.attached_node.split(".")[:3]
        return f"{kind}s.{name}"
