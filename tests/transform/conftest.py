"""Small dbt projects, written by the tests themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe import transform
from datapipe.transform import Options, Transformed
from datapipe.warehouse import Warehouse

PROJECT = """
name: shop
profile: shop
macro-paths: [macros]
models:
  shop:
    +schema: shop
"""

# The project's schema is called just shop.
SCHEMA_NAME = """
{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name }}{% endmacro %}
"""

Write = Callable[..., Path]
Run = Callable[..., Transformed]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the files of a project (by path, dedented) over what was written before."""
    folder = tmp_path / "project"

    def write_files(files: Mapping[str, str]) -> Path:
        common = {"dbt_project.yml": PROJECT, "macros/schema_name.sql": SCHEMA_NAME}
        if folder.exists():
            common = {}
        for name, text in {**common, **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return folder

    return write_files


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was compiled and parsed once, as the command keeps it: for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(warehouse: Warehouse, write: Write, cache_dir: Path) -> Run:
    """Writes files, then runs the project as it now stands."""

    def run_project(files: Mapping[str, str] | None = None, **options: Any) -> Transformed:
        run_id = options.pop("run_id", 7)
        listener = options.pop("listener", None)
        asked = {"threads": 1, "project_dir": write(files or {}), "cache_dir": cache_dir}
        return transform.run(
            warehouse, Options(**{**asked, **options}), run_id=run_id, listener=listener
        )

    return run_project


@pytest.fixture
def rows(connection: psycopg.Connection) -> Callable[..., list[tuple[Any, ...]]]:
    """The rows of a query."""

    def all_rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
        return connection.execute(query, values or None).fetchall()

    return all_rows
