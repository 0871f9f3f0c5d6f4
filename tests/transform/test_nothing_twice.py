"""A run does again what may come out otherwise, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import TestsFailedError
from datapipe.transform import Listener

FILES = {
    "models/sources.yml": """
        sources:
          - name: ext
            tables: [{name: prices}, {name: limits}]
        models:
          - name: daily
            description: One row a day.
            columns: [{name: symbol, data_tests: [not_null]}]
        """,
    "models/staged.sql": "select symbol, day, close from {{ source('ext', 'prices') }}",
    "models/daily.sql": """
        {{ config(materialized='table', indexes=[{'columns': ['symbol']}]) }}
        select symbol, day, close * {{ var('factor', 1) }} as close from {{ ref('staged') }}
        """,
    "models/grown.sql": """
        {{ config(materialized='incremental', unique_key=['symbol', 'day']) }}
        select symbol, day, close from {{ source('ext', 'prices') }}
        {% if is_incremental() %}
        where day >= (select max(day) from {{ this }})
        {% endif %}
        """,
    "models/names.sql": "{{ config(materialized='table') }} select * from {{ ref('known') }}",
    "models/top.sql": """
        {{ config(materialized='table') }}
        select max(d.close) as top, count(g.day) as days
        from {{ ref('daily') }} d left join {{ ref('grown') }} g using (symbol, day)
        """,
    "seeds/known.csv": "symbol,name\nA,Alpha\n",
    "seeds/seeds.yml": """
        seeds: [{name: known, config: {schema: shop}}]
        """,
}
OF_PRICES = {"daily", "grown", "top", "not_null_daily_symbol"}
ALL = {"staged", "daily", "grown", "names", "top", "known", "not_null_daily_symbol"}

FLUSH = "SELECT pg_stat_force_next_flush()"

Again = Callable[..., set[str]]


@pytest.fixture
def prices(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE SCHEMA ext; CREATE TABLE ext.prices (symbol text, day date, close numeric); "
        "CREATE TABLE ext.limits (high numeric); INSERT INTO ext.limits VALUES (100); "
        "INSERT INTO ext.prices SELECT 'A', date '2024-01-01' + n, n FROM generate_series(1, 5) n"
    )


@pytest.fixture
def again(run: Any, prices: None) -> Again:
    """Runs the project as it stands, and gives the names of what was not reused."""

    def run_again(files: dict[str, str] | None = None, **options: Any) -> set[str]:
        options.setdefault("rebuild", False)
        done = run(files, **options)
        return {each.name for each in done.results if each.status != "reused"}

    return run_again


@pytest.fixture(params=["just now", "long ago"])
def when(request: pytest.FixtureRequest, connection: psycopg.Connection) -> Callable[[], None]:
    """Whether this session's changes may not be counted yet when the next run looks."""

    def settle() -> None:
        if request.param == "long ago":
            connection.execute(FLUSH)

    return settle


CHANGES = """
INSERT INTO ext.prices VALUES ('B', '2024-01-09', 7)
UPDATE ext.prices SET close = 50 WHERE close = 5
DELETE FROM ext.prices WHERE close = 50; INSERT INTO ext.prices VALUES ('A', '2024-02-01', 5)
TRUNCATE ext.prices; INSERT INTO ext.prices VALUES ('A', '2024-03-01', 1)
ALTER TABLE ext.prices RENAME TO old; CREATE TABLE ext.prices AS TABLE ext.old
""".strip().splitlines()


def test_whoever_changes_a_source_is_noticed_and_nothing_else_is_done(
    again: Again, rows: Any, connection: psycopg.Connection, when: Callable[[], None]
) -> None:
    assert again(FILES) == ALL
    when()
    assert again() == {"grown", "top"}  # its SQL is another one once there are rows
    query = "SELECT symbol, day, close FROM {} ORDER BY 1, 2"
    for change in CHANGES:
        connection.execute(change)
        when()
        assert again() - {"staged"} == OF_PRICES
        assert rows(query.format("shop.daily")) == rows(query.format("ext.prices"))
    files = "SELECT oid, relfilenode FROM pg_class WHERE relnamespace = 'shop'::regnamespace"
    before = rows(files)
    when()
    assert again() == set()
    assert rows(files) == before


def test_changes_that_were_rolled_back_make_nothing_wrong(
    again: Again, rows: Any, connection: psycopg.Connection
) -> None:
    again(FILES)
    again()
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM ext.prices; DELETE FROM shop.daily")
    again()
    assert rows("SELECT count(*) FROM shop.daily") == [(5,)]


BY_HAND = {
    "UPDATE shop.daily SET close = -1 WHERE close = 1": {"daily", "top"},
    "DROP TABLE shop.top": {"top"},
    "ALTER TABLE shop.top ADD COLUMN mine text": {"top"},
    "DROP INDEX shop.INDEX": {"daily", "top"},
    "CREATE OR REPLACE VIEW shop.staged AS SELECT symbol, day, 0.0 * close AS close "
    "FROM ext.prices": {"staged", "daily", "top"},
    "DELETE FROM shop.known": {"known", "names"},
    "CREATE INDEX mine ON shop.daily (close); GRANT SELECT ON shop.daily TO public": set(),
}


def test_what_was_changed_by_hand_is_built_again(
    again: Again, rows: Any, connection: psycopg.Connection
) -> None:
    again(FILES)
    again()
    before = rows("SELECT * FROM shop.top")
    for by_hand, built in BY_HAND.items():
        [[index]] = rows("SELECT indexname FROM pg_indexes WHERE tablename = 'daily'")
        connection.execute(by_hand.replace("INDEX shop.INDEX", f"INDEX shop.{index}"))
        assert again() - {"not_null_daily_symbol"} == built
        assert rows("SELECT * FROM shop.top") == before
    assert rows("SELECT * FROM shop.names") == [("A", "Alpha")]


NAMES = "{{ config(materialized='table'OPTION) }} select * from {{ ref('known') }}"
SETTINGS: list[tuple[str, str, set[str]]] = [
    ("seeds/known.csv", "symbol,name\nA,Aleph\n", {"known", "names"}),
    ("models/names.sql", NAMES.replace("OPTION", ", unlogged=true"), {"names"}),
    ("models/names.sql", NAMES.replace("OPTION", ", post_hook='select 1'"), {"names"}),
    ("models/names.sql", NAMES.replace("OPTION", ", tags=['x'], meta={'a': 1}"), {"names"}),
    ("models/names.sql", NAMES.replace("OPTION", ", tags=['y'], meta={'a': 2}"), set()),
    ("models/names.yml", "models: [{name: names, description: Names.}]", set()),
    (
        "models/names.yml",
        "models: [{name: names, description: N., config: {persist_docs: {relation: true}}}]",
        {"names"},
    ),
]


def test_settings_that_matter_count_and_others_do_not(again: Again) -> None:
    again(FILES)
    again()
    for file, text, built in SETTINGS:
        assert again({file: text}) == built


def test_variables_macros_and_the_environment_count_by_what_they_write(
    again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_LIMIT", "3")
    few = {
        "macros/deep.sql": "{% macro deep() %}1{% endmacro %}",
        "macros/outer.sql": "{% macro outer() %}{{ deep() }} + 1{% endmacro %}",
        "models/a.sql": "{{ config(materialized='table') }} select {{ var('factor', 1) }} as a",
        "models/b.sql": "{{ config(materialized='table') }} select {{ outer() }} as b",
        "models/c.sql": "{{ config(materialized='table') }} select {{ env_var('SHOP_LIMIT') }} c",
    }
    assert again(few) == {"a", "b", "c"}
    assert again(variables={"factor": 1}) == set()
    assert again(variables={"factor": 2}) == {"a"}
    assert again({"macros/deep.sql": "{% macro deep() %}2{% endmacro %}"}) == {"a", "b"}
    monkeypatch.setenv("SHOP_LIMIT", "4")
    assert again() == {"c"}


def test_functions_and_views_of_others_count_by_what_is_in_them(
    again: Again, connection: psycopg.Connection, rows: Any
) -> None:
    connection.execute(
        "CREATE FUNCTION ext.inner_of(n numeric) RETURNS numeric IMMUTABLE LANGUAGE sql "
        "AS 'SELECT n * 2'; CREATE FUNCTION ext.twice(n numeric) RETURNS numeric IMMUTABLE "
        "LANGUAGE plpgsql AS 'BEGIN RETURN ext.inner_of(n); END'; "
        "CREATE VIEW ext.high AS SELECT max(high) AS high FROM ext.limits; "
        "CREATE FUNCTION ext.limit_of() RETURNS numeric IMMUTABLE LANGUAGE plpgsql "
        "AS 'BEGIN RETURN (SELECT high FROM ext.high); END'; "
        "CREATE AGGREGATE ext.unused (int) (sfunc = int4pl, stype = int)"
    )
    few = {
        "models/doubled.sql": "{{ config(materialized='table') }} select ext.twice(2) as x",
        "models/high.sql": "{{ config(materialized='table') }} select high as y from ext.high",
        "models/hidden.sql": "{{ config(materialized='table') }} select ext.limit_of() as z",
    }
    connection.execute(FLUSH)
    again(few)
    assert again() == set()
    connection.execute(
        "CREATE OR REPLACE FUNCTION ext.inner_of(n numeric) RETURNS numeric IMMUTABLE LANGUAGE sql "
        "AS 'SELECT n * 3'"
    )
    connection.execute(FLUSH)
    assert again() == {"doubled"}
    connection.execute("UPDATE ext.limits SET high = 200")
    assert again() == {"high", "hidden"}
    connection.execute(
        "CREATE OR REPLACE VIEW ext.high AS SELECT min(high) AS high FROM ext.limits"
    )
    connection.execute(FLUSH)
    assert again() == {"high", "hidden"}
    connection.execute(
        "CREATE OR REPLACE VIEW ext.high AS SELECT min(high) AS high FROM ext.limits"
    )
    connection.execute(FLUSH)
    assert again() == set()
    assert rows("SELECT x, y, z FROM shop.doubled, shop.high, shop.hidden") == [(6, 200, 200)]


def test_what_reads_the_clock_is_never_reused_nor_what_reads_it(
    again: Again, connection: psycopg.Connection
) -> None:
    connection.execute(
        "CREATE VIEW ext.today AS SELECT current_date AS day; "
        "CREATE FUNCTION ext.any() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    table = "{{ config(materialized='table') }} select "
    again(
        {
            "models/today.sql": "select current_date as day",
            "models/of_today.sql": table + "day from {{ ref('today') }}",
            "models/through.sql": table + "day from ext.today",
            "models/calls.sql": table + "ext.any() as n",
            "models/steady.sql": table + "'current' || '_date' as n, 1 as now -- now()",
        }
    )
    assert again() == {"today", "of_today", "through", "calls"}


def test_columns_that_a_source_gains_count(again: Again, connection: psycopg.Connection) -> None:
    few = {"models/all_.sql": "select * from ext.limits"}
    again(few)
    connection.execute("INSERT INTO ext.limits VALUES (5)")
    assert again() == set()  # a view shows the new row as it is
    connection.execute("ALTER TABLE ext.limits ADD COLUMN low numeric")
    assert again() == {"all_"}


def test_counts_that_were_lost_are_made_up_for(
    again: Again, connection: psycopg.Connection, when: Callable[[], None]
) -> None:
    again(FILES)
    again()
    connection.execute("UPDATE ext.prices SET close = 50 WHERE close = 5")
    connection.execute("SELECT pg_stat_reset()")  # as after a crash of the server
    when()
    assert again() - {"staged"} == OF_PRICES
    connection.execute("SELECT pg_stat_reset()")
    when()
    assert again() == set()


def test_a_part_that_is_built_alone_is_seen_by_the_rest(
    again: Again, connection: psycopg.Connection, rows: Any
) -> None:
    again(FILES)
    again()
    connection.execute("UPDATE ext.prices SET close = 50 WHERE close = 5")
    assert again(select=["daily"]) == {"daily", "not_null_daily_symbol"}
    assert rows("SELECT top FROM shop.top") == [(5,)]
    assert again(select=["top"]) == {"top"}
    assert again(exclude=["grown"]) == set()
    assert rows("SELECT top FROM shop.top") == [(50,)]


def test_the_past_is_not_the_present(again: Again, rows: Any) -> None:
    few = {
        "macros/schema_name.sql": "{% macro generate_schema_name(custom_schema_name, node) %}"
        "{{ 'past' if var('as_of', none) else 'shop' }}{% endmacro %}",
        "models/one.sql": "{{ config(materialized='table') }} select 1 as n",
    }
    again(few)
    assert again(variables={"as_of": "2024-01-01"}) == {"one"}
    assert again(variables={"as_of": "2024-01-01"}) == {"one"}
    assert again() == set()


def test_tests_run_again_where_they_or_their_data_changed(
    again: Again, run: Any, connection: psycopg.Connection
) -> None:
    limit = {
        "models/sources.yml": FILES["models/sources.yml"].partition("models:")[0],
        "models/one.sql": "{{ config(materialized='table') }} select 1 as n",
        "tests/small.sql": "select * from {{ ref('one') }} "
        "where n > (select max(high) from {{ source('ext', 'limits') }})",
        "tests/odd.sql": "{{ config(severity='warn') }} select * from {{ ref('one') }}",
    }
    assert again(limit) == {"one", "small", "odd"}
    assert again() == {"odd"}  # a warning is told again
    connection.execute("UPDATE ext.limits SET high = 0")
    with pytest.raises(TestsFailedError):
        again()
    with pytest.raises(TestsFailedError):
        again()
    connection.execute("UPDATE ext.limits SET high = 9")
    assert again() == {"small", "odd"}
    assert again({"tests/small.sql": "select 1 where false"}) == {"small", "odd"}


def test_templates_are_heard_once_whether_they_are_reused_or_not(run: Any) -> None:
    told: list[str] = []
    says = "{{ log('%s of ' ~ selected_resources | length, true) if execute }}"
    warns = "{% do exceptions.warn('careful') if execute %}"
    files = {
        "models/one.sql": says % "one" + warns + "select {{ var('n') }} as id",
        "models/two.sql": says % "two" + "select 1 as id",
        "tests/three.sql": says % "three" + "select id from {{ ref('two') }} where id > 1",
    }
    for n in (1, 1, 2):
        done = run(files, variables={"n": n}, rebuild=False, listener=Listener(message=told.append))
        assert sorted(told) == ["one of 3", "three of 3", "two of 3"]
        assert done.warnings == ("careful",)
        told.clear()


def test_a_rebuild_and_a_full_refresh_do_all(again: Again) -> None:
    few = {"models/one.sql": "{{ config(materialized='table') }} select 1 as n"}
    assert again(few) == again(rebuild=True) == again(full_refresh=True) == {"one"}
    assert again() == set()


LOOKING = {
    "dbt_project.yml": "name: shop\nmodels: {+schema: shop}\nseeds: {+schema: shop}\n",
    "seeds/event_a.csv": "id\n1\n",
    "models/asks.sql": "select {{ run_query('select 1')[0][0] if execute }} as id",
    "models/by_name.sql": """
        {% set b = adapter.get_relation(none, 'shop', 'event_b') %}
        select {% if b %} max(id) from {{ b }} {% else %} 0 as max {% endif %}
        """,
    "models/by_pattern.sql": """
        {% set found = run_query("select table_name from information_schema.tables where
            table_schema = 'shop' and table_name like 'event_%'") %}
        select {{ found | length }} as tables
        """,
    "models/below.sql": "select * from {{ ref('by_pattern') }}",
    "tests/looks.sql": """
        {% set b = adapter.get_relation(none, 'shop', 'event_b') %}
        {% if b %} select * from {{ b }} where id is null {% else %} select 1 limit 0 {% endif %}
        """,
}


def test_what_looks_for_relations_is_built_again_where_one_is_new(again: Again, rows: Any) -> None:
    again(LOOKING)
    assert again() == set()
    assert again({"seeds/event_a.csv": "id\n3\n"}) == {"event_a"}
    new = again({"seeds/event_b.csv": "id\n7\n"})
    assert new == {"event_b", "by_name", "by_pattern", "below", "looks"}
    assert rows("select max, tables from shop.by_name, shop.below") == [(7, 2)]
    assert again() == set()
