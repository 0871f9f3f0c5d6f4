"""How fresh sources are, against what their YAML allows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe import cli, transform
from datapipe.errors import UsageError
from datapipe.transform import Options
from datapipe.transform.freshness import SourceFreshness
from datapipe.warehouse import Warehouse

Write = Callable[..., Path]

SOURCES = {
    "models/sources.yml": """
        sources:
          - name: shop
            schema: public
            config:
              loaded_at_field: at
              freshness:
                warn_after: {count: 1, period: day}
                error_after: {count: 2, period: day}
            tables:
              - {name: fresh, identifier: "loads"}
              - name: stale
                identifier: loads
                config: {freshness: {filter: id = 2}}
              - name: old
                identifier: loads
                config: {freshness: {filter: "id = {{ 1 + 2 }}"}}
              - name: empty
                identifier: loads
                config: {freshness: {filter: "false"}}
              - name: asked
                identifier: loads
                config:
                  freshness: {warn_after: {count: 70, period: hour}, error_after: null}
                  loaded_at_query: select min(at) from {{ this }}
              - name: unwatched
                config: {freshness: null}
          - name: wrong
            schema: public
            config: {freshness: {error_after: {count: 1, period: hour}}}
            tables:
              - {name: no_field, identifier: loads}
              - {name: no_column, identifier: loads, config: {loaded_at_field: att}}
              - {name: no_timestamp, identifier: loads, config: {loaded_at_field: id}}
    """,
}

NO_COLUMN = 'column "att" does not exist. Perhaps you meant to reference the column "loads.at".'
NO_FIELD = (
    "The source wrong.no_field has no loaded_at_field, and PostgreSQL does not know when a table "
    "was last written. Name the column that tells it, or give a loaded_at_query."
)
NO_TIMESTAMP = (
    "When the source wrong.no_timestamp was loaded is not a timestamp, but 3. Write a cast "
    "into loaded_at_field, such as my_date::timestamp."
)


def _said(each: SourceFreshness) -> str:
    """What a message says, without its place and the line that it shows."""
    return each.message.partition("\n")[0].rpartition(": ")[2]


@pytest.fixture
def project(write: Write, connection: psycopg.Connection) -> Path:
    connection.execute(
        """
        CREATE TABLE public.loads (id int, at timestamptz);
        INSERT INTO public.loads VALUES (1, now()), (2, now() - interval '36 hours'),
            (3, now() - interval '3 days');
        """
    )
    return write(SOURCES)


def test_each_source_is_held_against_its_own_limits(warehouse: Warehouse, project: Path) -> None:
    found, _ = transform.source_freshness(warehouse, Options(project_dir=project))
    told = {each.name: (each.status, _said(each)) for each in found}
    assert told == {
        "shop.fresh": ("pass", ""),
        "shop.stale": ("warn", ""),
        "shop.old": ("error", ""),
        "shop.empty": ("error", ""),
        "shop.asked": ("warn", ""),
        "wrong.no_field": ("runtime error", NO_FIELD),
        "wrong.no_column": ("runtime error", NO_COLUMN),
        "wrong.no_timestamp": ("runtime error", NO_TIMESTAMP),
    }
    by_name: dict[str, SourceFreshness] = {each.name: each for each in found}
    age = by_name["shop.stale"].age
    assert age is not None
    assert age.total_seconds() == pytest.approx(36 * 3600, abs=60)
    assert by_name["shop.empty"].age is None
    assert by_name["shop.asked"].warn_after == timedelta(hours=70)
    assert by_name["shop.asked"].error_after is None


def test_the_command_shows_a_table_or_data_and_its_status_tells_what_is_too_old(
    database_url: str, project: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("DATAPIPE_DATABASE_URL", database_url)

    def ended(*arguments: str) -> Any:
        monkeypatch.setattr(
            sys, "argv", ["datapipe", "freshness", "--project-dir", str(project), *arguments]
        )
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code

    assert ended("--select", "source:shop.fresh", "source:shop.stale") in {0, None}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "source"
    assert [line.split()[:2] for line in lines[1:]] == [
        ["shop.fresh", "pass"],
        ["shop.stale", "warn"],
    ]
    assert lines[2].endswith("1.5 days        1 day       2 days")
    assert ended("--select", "source:shop", "--output", "json") == 5
    said = capsys.readouterr()
    data = {each["source"]: each for each in json.loads(said.out)}
    assert data["shop.old"]["status"] == "error"
    assert data["shop.old"]["error_after_seconds"] == 2 * 24 * 3600
    assert "2 of 5 sources are too old: shop.old (3 days), shop.empty (no rows)." in said.err
    assert ended("--select", "source:wrong.no_field") == 1
    assert "has no loaded_at_field" in capsys.readouterr().err


def test_sources_that_got_newer_rows_since_the_check_before_are_fresher(
    warehouse: Warehouse, project: Path, connection: psycopg.Connection
) -> None:
    def check(*select: str) -> None:
        transform.source_freshness(warehouse, Options(project_dir=project, select=select))

    def fresher() -> set[str]:
        asked = Options(project_dir=project, select=["source_status:fresher"])
        return {node.name for node in transform.listed(asked, lambda: warehouse)[0]}

    check("source:shop.fresh", "source:shop.stale", "source:shop.empty", "source:wrong")
    with pytest.raises(UsageError, match="compares the last two runs of `datapipe freshness`"):
        fresher()
    check()
    assert fresher() == {"old", "asked"}  # as in dbt, the check before did not see them
    check()
    assert fresher() == set()
    connection.execute("UPDATE public.loads SET at = now() - interval '1 hour' WHERE id > 1")
    check("source:shop")
    assert fresher() == {"stale", "old", "asked"}
    check("source:shop.empty", "source:shop.old")
    assert fresher() == set()


def test_who_may_write_nothing_is_told_how_fresh_sources_are_all_the_same(
    warehouse: Warehouse, project: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("datapipe.transform.state.sources.may_write", lambda connection: False)
    options = Options(project_dir=project, select=["source:shop.fresh"])
    found, warnings = transform.source_freshness(warehouse, options)
    assert [each.status for each in found] == ["pass"]
    assert "may not write what was found" in warnings[0]
