"""A run that failed is taken up where it stopped, and a plan tells what a run would do."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from datapipe import transform
from datapipe.cli.summary import node_line, summary
from datapipe.errors import RunFailedError, UsageError
from datapipe.transform import Listener, Options, state
from datapipe.warehouse import Warehouse

TABLE = "{{ config(materialized='table') }} "
FILES = {
    "models/sources.yml": "sources: [{name: ext, tables: [{name: prices}]}]",
    "models/first.sql": TABLE + "select * from {{ source('ext', 'prices') }}",
    "models/between.sql": "select * from {{ ref('first') }} where n > 1",
    "models/second.sql": TABLE + "select count(*) as n from {{ ref('between') }}",
    "models/clocked.sql": TABLE + "select now() as at",
    "models/last_.sql": TABLE
    + "select 1 / (n - {{ var('off', 4) }}) as n from {{ ref('second') }}",
}


@pytest.fixture(autouse=True)
def _prices(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE SCHEMA ext; CREATE TABLE ext.prices AS SELECT generate_series(1, 5) AS n"
    )


def _oids(rows: Any, schema: str) -> dict[str, int]:
    query = "SELECT relname, oid FROM pg_class WHERE relnamespace = %s::regnamespace"
    return dict(rows(query + " AND relkind = 'r'", schema))


def test_what_a_failed_run_has_built_is_not_built_again_but_what_is_no_more_true_is(
    run: Any, rows: Any, connection: psycopg.Connection
) -> None:
    with pytest.raises(RunFailedError):
        run(FILES)
    aside = _oids(rows, "shop__build")
    assert aside.keys() == {"first", "second", "clocked"}
    mended = {"models/last_.sql": TABLE + "select n from {{ ref('second') }}"}
    run(mended, resume=True, rebuild=False)
    there = _oids(rows, "shop")
    assert {name for name in aside if there[name] == aside[name]} == {"first", "second"}
    assert rows("SELECT n FROM shop.last_") == [(4,)]
    assert rows("SELECT * FROM meta.built_aside") == []


def test_what_a_hook_changes_is_built_again_with_it(run: Any, rows: Any) -> None:
    changing = "insert into {{{{ ref('{}') }}}} select id from {{{{ this }}}}"
    hooks = f'post_hook=["{changing.format("whole")}", "{changing.format("grows")}"]'
    files = {
        "models/whole.sql": TABLE + "select 0 as id",
        "models/grows.sql": "{{ config(materialized='incremental') }} select 0 as id "
        "{% if is_incremental() %} where false {% endif %}",
        "models/first.sql": f"{{{{ config(materialized='table', {hooks}) }}}} select 1 as id",
        "models/last_.sql": TABLE + "select id from {{ ref('first') }}",
    }
    run(files)
    with pytest.raises(RunFailedError):
        run({"models/last_.sql": TABLE + "select id / 0 as id from {{ ref('first') }}"})
    run({"models/last_.sql": files["models/last_.sql"]}, resume=True, rebuild=False)
    assert rows("SELECT id FROM shop.whole ORDER BY 1") == [(0,), (1,)]
    assert rows("SELECT id FROM shop.grows ORDER BY 1") == [(0,), (1,), (1,)]


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM ext.prices WHERE n = 2", "DROP TABLE shop__build.first CASCADE"],
)
def test_a_run_that_is_taken_up_sees_what_changed_meanwhile(
    run: Any, rows: Any, connection: psycopg.Connection, change: str
) -> None:
    with pytest.raises(RunFailedError):
        run(FILES)
    before = _oids(rows, "shop__build")
    connection.execute(change)
    run({"models/last_.sql": TABLE + "select n from {{ ref('second') }}"}, resume=True)
    after = _oids(rows, "shop")
    assert not set(before.values()) & set(after.values())
    assert rows("SELECT n FROM shop.last_, (SELECT count(*) FROM ext.prices) p (c)") == [
        (3 if "DELETE" in change else 4,)
    ]


def test_a_run_that_is_taken_up_keeps_its_selection_and_variables(
    run: Any, rows: Any, connection: psycopg.Connection
) -> None:
    with pytest.raises(RunFailedError):
        run(FILES, select=["+last_"], variables={"off": 4}, indirect="empty")
    last = state.last_run(connection)
    assert last is not None
    assert last.options["indirect"] == "empty"
    assert (last.select, last.variables, last.succeeded) == (("+last_",), {"off": 4}, False)
    run({"models/last_.sql": TABLE + "select {{ var('off') }} as n"}, resume=True)
    assert rows("SELECT n FROM shop.last_") == [(4,)]
    assert "clocked" not in _oids(rows, "shop")
    assert run(resume=True).results == ()  # the last run succeeded


def test_a_plan_says_why_and_does_nothing(
    run: Any, rows: Any, warehouse: Warehouse, write: Any, connection: psycopg.Connection
) -> None:
    folder = write(FILES)
    plan = transform.plan(warehouse, Options(project_dir=folder))
    assert {each.reason for each in plan.build} == {"it was not published yet"}
    assert rows("SELECT * FROM meta.node_states") == []
    run(variables={"off": 5})
    connection.execute("UPDATE ext.prices SET n = 9 WHERE n = 5")
    connection.execute("DROP TABLE shop.last_")
    plan = transform.plan(warehouse, Options(project_dir=folder, variables={"off": 5}))
    assert {each.name: each.reason for each in plan.build} == {
        "first": "ext.prices has other rows",
        "between": "first is built",
        "second": "between is built",
        "clocked": "it reads the clock (now())",
        "last_": "its relation was dropped",
    }
    assert transform.plan(warehouse, Options(project_dir=folder, full_refresh=True)).reuse == ()


def test_a_resumed_run_publishes_as_the_first_did_and_takes_no_other_wishes(
    run: Any, rows: Any
) -> None:
    with pytest.raises(RunFailedError):
        run(FILES, per_model=True)
    files = {"models/clocked.sql": TABLE + "select 2 as at"}
    with pytest.raises(RunFailedError):
        run(files, resume=True)
    assert rows("SELECT * FROM shop.clocked") == [(2,)]
    for wish in ({"select": ["first"]}, {"variables": {"off": 3}}, {"full_refresh": True}):
        with pytest.raises(UsageError, match="--resume goes on with what the last run was asked"):
            run(resume=True, **wish)


def test_a_resumed_run_tells_what_it_keeps_and_so_does_its_plan(
    run: Any, rows: Any, warehouse: Warehouse, write: Any
) -> None:
    with pytest.raises(RunFailedError):
        run(FILES)
    folder = write({"models/last_.sql": TABLE + "select n from {{ ref('second') }}"})
    for _ in range(2):  # a plan changes nothing
        plan = transform.plan(warehouse, Options(project_dir=folder, resume=True))
        assert [each.name for each in plan.keep] == ["first", "second"]
        assert {each.name for each in plan.build} == {"between", "clocked", "last_"}
    told: list[str] = []
    listener = Listener(result=lambda *ended: told.append(node_line(*ended)))
    done = run(resume=True, listener=listener)
    assert "1 of 5  kept    table shop.first  (the run before had built it)" in told
    assert summary(done) == (
        "Transform: 5 models published (2 kept from the run before), 0 of 0 tests passed."
    )
    plan = transform.plan(warehouse, Options(project_dir=folder, resume=True))
    assert (plan.build, plan.warnings) == (
        (), ("The last run succeeded: there is nothing to resume.",)
    )  # fmt: skip


def test_a_selection_may_ask_what_was_modified_and_what_failed(
    run: Any, warehouse: Warehouse, write: Any
) -> None:
    few = {
        "macros/one.sql": "{% macro one() %}1{% endmacro %}",
        "models/a.sql": TABLE + "select {{ one() }} as n",
        "models/b.sql": TABLE + "select 2 as n",
        "models/c.sql": TABLE + "select n from {{ ref('b') }}",
        "tests/small.sql": "{{ config(severity='warn') }} select * from {{ ref('c') }}",
    }
    run(few)

    def chosen(criterion: str) -> set[str]:
        plan = transform.plan(warehouse, Options(project_dir=write({}), select=[criterion]))
        return {each.name for each in (*plan.build, *plan.reuse, *plan.test)}

    run()  # a test that warned is run again, and no other for that
    assert chosen("state:modified") == set()
    assert chosen("result:warn+") == {"small"}
    assert chosen("result:success") == {"a", "b", "c", "small"}
    write({"macros/one.sql": "{% macro one() %}3{% endmacro %}"})
    assert chosen("state:modified") == {"a"}
    assert chosen("state:modified.body") == set()
    write({"models/b.sql": TABLE + "select 3 as n", "models/d.sql": TABLE + "select 4 as n"})
    assert chosen("state:modified.body+") == {"b", "c", "d", "small"}
    assert chosen("state:new") == {"d"}
