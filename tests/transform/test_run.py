"""A run does all that can be done, says of each node how it ended, and publishes all or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe import transform
from datapipe.errors import ProjectError, RunFailedError, TestsFailedError, WarehouseError
from datapipe.transform import Listener, Options, Transformed
from datapipe.warehouse import Warehouse

Run = Callable[..., Transformed]
Write = Callable[..., Path]

# Two branches: a <- b <- c, and x <- y; e is ephemeral, and d reads b through it.
BRANCHES = {
    "models/a.sql": "{{ config(materialized='table') }} select 1 as id, 1 as run",
    "models/b.sql": "{{ config(materialized='table') }}\nselect id, run from {{ ref('a') }}",
    "models/c.sql": "select id, run from {{ ref('b') }}",
    "models/e.sql": "{{ config(materialized='ephemeral') }} select id from {{ ref('b') }}",
    "models/d.sql": "select id from {{ ref('e') }}",
    "models/x.sql": "{{ config(materialized='table') }} select 1 as id, 1 as run",
    "models/y.sql": "select id, run from {{ ref('x') }}",
    "models/schema.yml": """
        models:
          - name: b
            columns: [{name: id, data_tests: [not_null]}]
          - name: c
            columns: [{name: id, data_tests: [not_null]}]
          - name: y
            columns: [{name: id, data_tests: [not_null, unique]}]
    """,
}
BROKEN_B = {
    "models/b.sql": "{{ config(materialized='table') }}\nselect id / 0 as id from {{ ref('a') }}"
}

threads = pytest.mark.parametrize("threads", [1, 3])
SCHEMAS = "select nspname from pg_namespace where nspname like 'shop%'"
there = "select relname from pg_class where relnamespace = to_regnamespace('shop') order by 1"


def ended(results: Any) -> dict[str, str]:
    return {result.name: result.status for result in results}


@threads
def test_what_a_failed_model_leaves_is_still_built_and_tested_and_nothing_is_published(
    run: Run, rows: Any, threads: int
) -> None:
    told: list[tuple[str, int, int]] = []
    with pytest.raises(RunFailedError) as caught:
        run(
            {**BRANCHES, **BROKEN_B},
            threads=threads,
            listener=Listener(
                result=lambda result, done, total: told.append((result.name, done, total))
            ),
        )
    error = caught.value
    assert ended(error.results) == {
        "a": "success",
        "b": "error",
        "c": "skipped",
        "d": "skipped",
        "x": "success",
        "y": "success",
        "not_null_b_id": "skipped",
        "not_null_c_id": "skipped",
        "not_null_y_id": "pass",
        "unique_y_id": "pass",
    }
    assert {each.because for each in error.results if each.status == "skipped"} == {"b"}
    assert error.failed == ("b",)
    assert error.path is not None
    assert (error.path.name, error.model) == ("b.sql", "b")
    assert "1 of 6 models failed; nothing was published." in str(error)
    assert "division by zero" in str(error)
    assert "Skipped because of it: c, d, 2 tests." in str(error)
    assert rows(there) == []
    assert rows("select id from shop__build.y") == [(1,)]
    assert [(done, total) for _, done, total in told] == [(n, 10) for n in range(1, 11)]
    assert {name for name, _, _ in told} == set(ended(error.results))


@threads
def test_each_model_is_built_after_what_it_reads(run: Run, rows: Any, threads: int) -> None:
    transformed = run(BRANCHES, threads=threads)
    names = [result.name for result in transformed.results]
    for first, second in (("a", "b"), ("b", "c"), ("b", "d"), ("x", "y"), ("y", "unique_y_id")):
        assert names.index(first) < names.index(second)
    assert {model.name for model in transformed.models} == {"a", "b", "c", "d", "x", "y"}
    assert [(model.schema, model.rows) for model in transformed.models if model.name == "b"] == [
        ("shop", 1)
    ]
    assert rows(there) == [("a",), ("b",), ("c",), ("d",), ("x",), ("y",)]


def test_a_test_that_cannot_be_run_fails_the_run_and_skips_nothing(run: Run, rows: Any) -> None:
    with pytest.raises(RunFailedError, match="1 of 5 data tests failed") as caught:
        run({**BRANCHES, "tests/broken.sql": "select nothing from {{ ref('a') }}"})
    assert ended(caught.value.results).pop("broken") == "error"
    assert not [each for each in caught.value.results if each.status == "skipped"]
    assert rows(there) == []


@threads
def test_fail_fast_stops_at_the_first_failure(run: Run, rows: Any, threads: int) -> None:
    with pytest.raises(TestsFailedError) as caught:
        run({"models/a.sql": "select 1 as id", "tests/t.sql": "select * from {{ ref('a') }}",
             **{f"models/z{n}.sql": "select id from {{ ref('a') }}" for n in range(9)}},
            threads=threads, fail_fast=True)  # fmt: skip
    assert ended(caught.value.results)["t"] == "fail"
    skipped = [each for each in caught.value.results if each.status == "skipped"]
    assert {each.because for each in skipped} <= {"t"}
    assert threads > 1 or len(skipped) == 9
    assert len(caught.value.results) == 11
    assert rows(there) == []


def test_models_are_published_one_by_one_where_that_is_asked_for(run: Run, rows: Any) -> None:
    run(BRANCHES)
    second = {"models/a.sql": BRANCHES["models/a.sql"].replace("1 as run", "2 as run"),
              "models/x.sql": BRANCHES["models/x.sql"].replace("1 as run", "2 as run")}  # fmt: skip
    with pytest.raises(RunFailedError, match="what went well was published:") as caught:
        run({**second, **BROKEN_B}, per_model=True, threads=2)
    assert rows(SCHEMAS) == [("shop",)]
    assert ended(caught.value.results)["c"] == "skipped"
    assert rows("select a.run, b.run, c.run, y.run from shop.a, shop.b, shop.c, shop.y") == [
        (2, 1, 1, 2)
    ]
    failing = {
        "models/b.sql": BRANCHES["models/b.sql"],
        "tests/t.sql": "select * from {{ ref('b') }}",
    }
    with pytest.raises(TestsFailedError, match=r"published\. These queries show") as caught_too:
        run(failing, per_model=True)
    assert rows(SCHEMAS) == [("shop",)]
    assert {"t": "fail", "c": "skipped", "d": "skipped", "y": "reused"}.items() <= ended(
        caught_too.value.results
    ).items()
    assert rows("select b.run from shop.b") == [(2,)]
    run({"tests/t.sql": "select * from {{ ref('b') }} where false"}, per_model=True)
    assert rows(SCHEMAS) == [("shop",)]


def test_a_model_waits_also_for_the_tests_of_the_ephemeral_models_that_it_reads(run: Run) -> None:
    files = {
        "models/base.sql": "{{ config(materialized='ephemeral') }} select 1 as id",
        "models/middle.sql": "{{ config(materialized='ephemeral') }} table {{ ref('base') }}",
        "models/top.sql": "select * from {{ ref('middle') }}",
        "tests/t.sql": "select * from {{ ref('base') }}",
    }
    with pytest.raises(TestsFailedError) as caught:
        run(files, per_model=True)
    assert ended(caught.value.results) == {"t": "fail", "top": "skipped"}


def test_what_is_published_by_itself_is_no_longer_found_aside(run: Run, rows: Any) -> None:
    grown = "{{ config(materialized='incremental') }} select 1 as n -- "
    named = "{{ api.Relation.create(schema=schema, identifier='%s') }}"
    files = {
        "models/v.sql": "select 1 as n",
        "models/b.sql": "{{ config(post_hook='select 1') }} select count(*) as n from "
        f"{named % 'a'} join {named % 'v'} using (n) -- {{{{ ref('a') }}}} {{{{ ref('v') }}}}",
    }
    for number in (1, 2, 3):
        run({**files, "models/a.sql": f"{grown}{number}"}, per_model=True)
    assert rows("select n from shop.b") == [(3,)]


SLEEPERS = {
    f"models/slow_{n}.sql": "{{ config(materialized='table') }} "
    "select pg_sleep(60)::text as slept, run from {{ ref('a') }}"
    for n in (1, 2)
}
sleeping = "from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"


def until_asleep(rows: Any, number: int, may_go_on: Callable[[], bool]) -> list[int]:
    """The backends of so many sleepers, once they are asleep."""
    while True:
        found = [row[0] for row in rows(f"select pid {sleeping}")]
        if len(found) == number:
            return found
        assert may_go_on()
        time.sleep(0.02)


def test_a_lost_connection_stops_all_the_others(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(BRANCHES)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run({**SLEEPERS, "models/a.sql": "select 2 as id, 2 as run"}, threads=2)
        except WarehouseError as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    pids = until_asleep(rows, 2, worker.is_alive)
    connection.execute("select pg_terminate_backend(%s)", [pids[0]])
    worker.join()
    assert len(raised) == 1
    assert not isinstance(raised[0], RunFailedError)
    assert rows(f"select pid {sleeping}") == []
    assert rows("select run from shop.a") == [(1,)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_run_that_ends_early_leaves_no_backend_at_work(
    run: Run, rows: Any, write: Write, database_url: str, how: signal.Signals
) -> None:
    run(BRANCHES)
    folder = write({**SLEEPERS, "models/a.sql": "select 2 as id, 2 as run"})
    # What a shell starts with & ignores Ctrl-C, and so would this process.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "datapipe", "transform", "--threads", "2", "--project-dir", folder],
        env={**os.environ, "DATAPIPE_DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
        text=True,
    )
    until_asleep(rows, 2, lambda: process.poll() is None)
    process.send_signal(how)
    process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    while rows(f"select pid {sleeping}"):
        assert how == signal.SIGKILL  # the server looks for its client once a second
        time.sleep(0.02)
    assert rows("select run from shop.a") == [(1,)]


def test_a_python_model_is_known_and_fails_alone(run: Run, rows: Any) -> None:
    python = "import pandas\n\ndef model(dbt, session):\n    dbt.config(tags=['py'])\n"
    files = {
        "dbt_project.yml": """
            name: shop
            models: {shop: {+schema: shop, parked: {+enabled: false}}}
        """,
        "models/a.sql": "select 1 as id",
        "models/b.py": python + "    return dbt.ref('a').limit(1)\n",
        "models/c.sql": "select id from {{ ref('b') }}",
        "models/parked/d.py": python + "    return dbt.ref('a')\n",
    }
    with pytest.raises(RunFailedError, match="which PostgreSQL cannot run") as caught:
        run(files)
    assert ended(caught.value.results) == {"a": "success", "b": "error", "c": "skipped"}
    assert [each.because for each in caught.value.results if each.name == "c"] == ["b"]
    run(files, exclude=["tag:py+"])
    assert rows(there) == [("a",)]
    with pytest.raises(ProjectError, match="There is no model nowhere") as unknown:
        run({**files, "models/b.py": python + "    return dbt.ref('nowhere')\n"})
    assert (unknown.value.path.name, unknown.value.line) == ("b.py", 5)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_may_hold_its_text_in_another_encoding(
    make_database: Callable[[str], Warehouse], write: Write, encoding: str
) -> None:
    warehouse = make_database(f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    warehouse.upgrade()
    folder = write({"models/größe.sql": "SELECT 'größer' AS \"Größe\""})
    ran = transform.run(warehouse, Options(project_dir=folder), run_id=7)
    assert [each.status for each in ran.results] == ["success"]
    with warehouse.connect() as connection:
        found = connection.execute('SELECT "Größe" FROM shop."größe"').fetchall()
        kept = connection.execute("SELECT name FROM meta.run_results").fetchall()
    assert (found, kept) == ([("größer",)], [("größe",)])
