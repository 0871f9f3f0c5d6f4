"""``datapipe ls`` and ``datapipe compile`` tell of a project and build nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from datapipe.cli.compile import compile as compile_models
from datapipe.cli.ls import ls
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Write = Callable[..., Path]

FILES = {
    "dbt_project.yml": "name: shop\nmodels: {+schema: shop}\nseeds: {+schema: shop}\n",
    "models/staging/base.sql": "{{ config(materialized='ephemeral', tags='low') }} select 1 as id",
    "models/top.sql": "select * from {{ ref('base') }} -- to the end",
    "models/grown.sql": """
        {{ config(materialized='incremental') }}
        select {% if is_incremental() %}2{% else %}1{% endif %} as id
    """,
    "models/schema.yml": """
        models: [{name: top, columns: [{name: id, data_tests: [unique]}]}]
        sources: [{name: outside, tables: [{name: people}]}]
    """,
    "seeds/codes.csv": "id\n1\n",
    "tests/small.sql": "select * from {{ ref('top') }} where id > 9",
}


@pytest.fixture
def invoke(write: Write, warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    folder = write(FILES)
    monkeypatch.setenv("DATAPIPE_DATABASE_URL", warehouse.url)

    def call(command: Callable[..., None], *arguments: str) -> Any:
        app = typer.Typer()
        app.command()(command)
        return CliRunner().invoke(
            app, [*arguments, "--project-dir", str(folder)], catch_exceptions=False
        )

    return call


def test_ls_lists_what_is_selected(invoke: Any) -> None:
    listed = invoke(ls).stdout.split()
    assert sorted(listed) == sorted(
        [
            "source:shop.outside.people",
            "shop.staging.base",
            "shop.top",
            "shop.grown",
            "shop.codes",
            "shop.unique_top_id",
            "shop.small",
        ]
    )
    assert invoke(ls, "--select", "tag:low", "--output", "name").stdout == "base\n"
    assert invoke(ls, "-s", "base", "--output", "path").stdout == "models/staging/base.sql\n"
    found = json.loads(invoke(ls, "--select", "codes", "--output", "json").stdout)
    assert found["unique_id"] == "seed.shop.codes"
    assert found["config"]["materialized"] == "seed"
    nothing = invoke(ls, "--select", "nobody")
    assert nothing.stdout == ""
    assert "'nobody' does not match any enabled nodes" in nothing.stderr


def test_compiled_sql_runs_over_what_is_published(
    invoke: Any, run: Run, rows: Any, connection: psycopg.Connection, tmp_path: Path
) -> None:
    assert "select 1 as id" in invoke(compile_models, "--select", "grown").stdout
    run()
    output = tmp_path / "compiled"
    invoke(compile_models, "--output", str(output))
    files = {path.relative_to(output).as_posix() for path in output.rglob("*.sql")}
    assert files == {
        "models/staging/base.sql",
        "models/top.sql",
        "models/grown.sql",
        "models/schema.yml/unique_top_id.sql",
        "tests/small.sql",
    }
    for name in files:
        connection.execute((output / name).read_bytes())
    assert "select 2 as id" in (output / "models/grown.sql").read_text(encoding="utf-8")
    whole = invoke(compile_models).stdout
    assert "-- model top (models/top.sql)\n" in whole
    connection.execute(whole.encode())
    again = invoke(compile_models, "--full-refresh", "--select", "grown").stdout
    assert "select 1 as id" in again
