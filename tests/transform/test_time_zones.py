"""A project's SQL runs in the time zone that the server has, as with dbt; what is ours, in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from datapipe import transform
from datapipe.errors import RunFailedError
from datapipe.transform import Options
from datapipe.warehouse import Warehouse

NEW_YORK = "America/New_York"
ZONE = "current_setting('timezone')"
FILES = {
    "dbt_project.yml": f"""
        name: shop
        models: {{+schema: shop}}
        seeds: {{+schema: shop}}
        on-run-start: ["create table if not exists seen as select {ZONE} as zone"]
        """,
    "models/sources.yml": """
        sources:
          - name: ext
            tables:
              - name: orders
                config: {loaded_at_field: at, freshness: {error_after: {count: 1, period: hour}}}
        unit_tests:
          - name: days_are_local
            model: days
            given: [{input: "source('ext', 'orders')", rows: [{at: "2024-01-02 03:00+00"}]}]
            expect: {rows: [{day: 2024-01-01}]}
        """,
    "models/days.sql": """
        {% set after = "insert into seen select current_setting('timezone')" %}
        {{ config(materialized='table', post_hook=after) }}
        select id, at, at::date as day from {{ source('ext', 'orders') }}
        """,
    "models/grown.sql": """
        {{ config(materialized='incremental', unique_key='id') }}
        select id, at::timestamp as at, at::text as written from {{ source('ext', 'orders') }}
        {% if is_incremental() %}where at > (select max(at) from {{ this }}){% endif %}
        """,
    "models/macro.sql": """
        select '{{ run_query("show timezone").rows[0][0] if execute }}' as zone,
            '{{ run_query("select max(at) from ext.orders").rows[0][0] if execute }}' as latest,
            '{{ run_query("select at from ext.orders").rows[0][0].tzname() if execute }}' as named
        """,
    "seeds/moments.csv": "at\n2024-01-02T03:00:00Z\n",
    "snapshots/kept.sql": """
        {% snapshot kept %}
        {{ config(schema='shop', unique_key='id', strategy='check', check_cols='all') }}
        select id, at::date as day from {{ source('ext', 'orders') }}
        {% endsnapshot %}
        """,
    "tests/zone.sql": f"select 1 where {ZONE} <> '{NEW_YORK}'",
}


@pytest.fixture
def orders(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE SCHEMA ext; CREATE TABLE ext.orders (id int, at timestamptz); "
        "INSERT INTO ext.orders VALUES (1, '2024-01-02 03:00+00')"
    )


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a server's sessions be in a zone, if nobody sets another."""
    return lambda zone: monkeypatch.setenv("PGTZ", zone)


def test_all_statements_of_a_project_run_in_the_zone_of_the_server(
    run: Any, rows: Any, orders: None, in_zone: Any, connection: psycopg.Connection
) -> None:
    in_zone(NEW_YORK)
    run(FILES, threads=3)
    connection.execute("INSERT INTO ext.orders VALUES (2, '2024-01-04 04:30+00')")
    run(threads=3)
    assert rows("SELECT day FROM shop.days ORDER BY id") == [
        (date(2024, 1, 1),),
        (date(2024, 1, 3),),
    ]
    assert rows("SELECT at::text, written FROM shop.grown ORDER BY id") == [
        ("2024-01-01 22:00:00", "2024-01-01 22:00:00-05"),
        ("2024-01-03 23:30:00", "2024-01-03 23:30:00-05"),
    ]
    assert rows("SELECT zone, latest, named FROM shop.macro") == [
        (NEW_YORK, "2024-01-03 23:30:00-05:00", "UTC-05:00")
    ]
    assert rows("SELECT at::text FROM shop.moments") == [("2024-01-01 22:00:00",)]
    assert rows("SELECT DISTINCT zone FROM seen") == [(NEW_YORK,)]
    [(now, began, day)] = rows(
        f"SELECT now() AT TIME ZONE '{NEW_YORK}', dbt_valid_from, day FROM shop.kept WHERE id = 2"
    )
    assert now - began < timedelta(minutes=1)
    assert day == date(2024, 1, 3)


def test_templates_get_times_in_zones_that_only_the_server_knows(
    run: Any, rows: Any, in_zone: Any, caplog: pytest.LogCaptureFixture
) -> None:
    in_zone("<+03>-3")
    at = "run_query(\"select timestamptz '2024-01-02 00:30+00' as at, array[now()]\").rows[0][0]"
    model = f"select '{{{{ {at} if execute }}}}' as at, '{{{{ {at}.hour if execute }}}}' as hour"
    run({"models/m.sql": model, "models/far.sql": "select timestamptz 'infinity' as at"})
    assert rows("select * from shop.m") == [("2024-01-02 03:30:00+03:00", "3")]
    far = "select '{{ run_query('select * from ' ~ ref('far')).rows[0][0] if execute }}' as at"
    with pytest.raises(RunFailedError, match="infinity is no time between"):
        run({"models/n.sql": far})
    assert not caplog.records


def test_what_looks_at_a_project_does_so_in_the_zone_of_the_server_and_tells_times_in_utc(
    run: Any, rows: Any, orders: None, in_zone: Any, warehouse: Warehouse, write: Any
) -> None:
    in_zone(NEW_YORK)
    run(FILES)
    options = Options(project_dir=write({}))
    compiled, _ = transform.compiled(warehouse, options)
    assert any(f"select '{NEW_YORK}' as zone" in each.sql for each in compiled)
    [grown], _ = transform.verify(warehouse, options)
    assert grown.is_same
    [source], _ = transform.source_freshness(warehouse, options)
    assert source.max_loaded_at == datetime(2024, 1, 2, 3, tzinfo=UTC)
    assert rows("SELECT max_loaded_at FROM meta.source_freshness") == [(source.max_loaded_at,)]
    page, _ = transform.documented(warehouse, options)
    [(at,)] = rows("SELECT to_char(max(started_at), 'YYYY-MM-DD HH24:MI') FROM meta.transform_runs")
    assert f"pass on {at} UTC" in page


def test_another_zone_or_style_of_dates_is_a_reason_to_build_and_test_again(
    run: Any, rows: Any, orders: None, in_zone: Any, warehouse: Warehouse, write: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    files = {name: FILES[name] for name in ("models/sources.yml", "models/grown.sql")}
    days = "select id, at::text as at, at::date as day from {{ source('ext', 'orders') }}"
    zone = "select 1 where false"
    in_zone(NEW_YORK)
    run({**files, "models/days.sql": days, "tests/zone.sql": zone})
    run()  # the first increment
    options = Options(project_dir=write({}), rebuild=False)
    nothing = transform.plan(warehouse, options)
    assert (nothing.build, nothing.test) == ((), ())
    in_zone("UTC")
    planned = transform.plan(warehouse, options)
    assert {each.reason for each in planned.build} == {"the time zone changed"}
    assert {each.name: each.reason for each in planned.test} == {
        "days_are_local": "days is built",
        "zone": "the time zone changed",
    }
    write({"models/sources.yml": FILES["models/sources.yml"].replace("-01-01}", "-01-02}")})
    assert {each.status for each in run(rebuild=False).results} == {"success", "pass"}
    assert rows("SELECT day FROM shop.days") == [(date(2024, 1, 2),)]
    in_zone("Etc/UTC")
    assert transform.plan(warehouse, options).build == ()
    monkeypatch.setenv("PGDATESTYLE", "German, DMY")
    reasons = {each.reason for each in transform.plan(warehouse, options).build}
    assert reasons == {"the style of dates changed"}
    run(rebuild=False)
    assert rows("SELECT at FROM shop.days") == [("2024-01-02 03:00:00+00",)]
