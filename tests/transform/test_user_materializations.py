"""What the project itself defines of building: materializations, strategies, batches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError, RunFailedError, TestsFailedError, UsageError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]

ADDED = """
    {% materialization added, adapter='postgres' %}
      {%- set target = this.incorporate(type='table') -%}
      {%- set log = make_intermediate_relation(target, '_log').incorporate(type='table') -%}
      {{ run_hooks(pre_hooks) }}
      {% if load_cached_relation(this) is none %}
        {% call statement('main') %}create table {{ target }} as ({{ sql }}){% endcall %}
      {% else %}
        {% call statement('main') %}insert into {{ target }} ({{ sql }}){% endcall %}
      {% endif %}
      {% do adapter.drop_relation(log) %}
      {% do run_query('create table ' ~ log ~ ' as select count(*) as n from ' ~ target) %}
      {{ run_hooks(post_hooks) }}
      {{ return({'relations': [target, log]}) }}
    {% endmaterialization %}
"""
VIEW = """
    {% materialization view, default %}
      {%- set target = this.incorporate(type='view') -%}
      {% set old = load_cached_relation(target) %}
      {% if old is not none %}{% do adapter.drop_relation(old) %}{% endif %}
      {% call statement('main') %}
        create view {{ target }} as select 'marked' as mark, q.* from ({{ sql }}) q
      {% endcall %}
      {{ return({'relations': [target]}) }}
    {% endmaterialization %}
"""


def test_a_materialization_of_the_users_finds_what_is_published_and_is_published_whole(
    run: Run, rows: Rows
) -> None:
    files = {
        "macros/added.sql": ADDED,
        "macros/view.sql": VIEW,
        "models/a.sql": "{{ config(materialized='added', post_hook='analyze {{ this }}') }} "
        "select {{ var('run', 1) }} as id",
        "models/b.sql": "select id from {{ ref('a') }}",
        "models/c.sql": "{{ config(materialized='table') }} select * from {{ ref('b') }}",
    }
    run(files)
    with pytest.raises(TestsFailedError):
        run({"tests/two.sql": "select * from {{ ref('c') }} where id = 2"}, variables={"run": 2})
    assert rows("select id from shop.a") == [(1,)]
    run({"tests/two.sql": "select 1 where false"}, variables={"run": 3})
    assert rows("select mark, id from shop.c order by id") == [("marked", 1), ("marked", 3)]
    assert rows("select * from shop.a_log") == [(2,)]
    assert rows("select * from shop.b order by id") == [("marked", 1), ("marked", 3)]
    with pytest.raises(ProjectError, match="There is no materialization adedd"):
        run({"models/a.sql": "{{ config(materialized='adedd') }} select 1"})


def test_a_materialization_may_ask_for_its_result_and_drop_what_has_a_type(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    connection.execute("create table public.rendered (n serial)")
    files = {
        "macros/ranked.sql": """
            {% materialization ranked, default -%}
              {% set made = make_temp_relation(this) %}
              {% call statement('tmp') %}{{ create_table_as(True, made, sql) }}{% endcall %}
              {% do adapter.expand_target_column_types(made, made) %}
              {% call statement('main-0', fetch_result=True) %}
                {{ create_table_as(False, this, 'select * from ' ~ made.include(schema=True)) }}
              {% endcall %}
              {% set result = load_result('main-0') %}
              {% if 'response' in result.keys() %}
                {% do run_query('update ' ~ this ~ ' set n = '
                                ~ result['response']['rows_affected']) %}
              {% endif %}
              {% if made.type is not none %}{% do adapter.drop_relation(made) %}{% endif %}
              {{ return({'relations': [this.incorporate(type='table')]}) }}
            {%- endmaterialization %}
        """,
        "models/a.sql": """
            {{ config(materialized='ranked') }}
            {% do run_query('insert into public.rendered default values') %}
            select '{{ this.type }}' as type, 0 as n from generate_series(1, 2)
        """,
    }
    run(files)
    assert rows("select * from shop.a") == [("None", 2)] * 2
    assert rows("select count(*) from public.rendered") == [(1,)]


PARTITIONED = """
    {% materialization partitioned, adapter='postgres' %}
      {%- set first = load_relation(this) is none -%}
      {% call statement('main') %}
        {% if first %}
          create table {{ this }} (id int, year int) partition by range (year);
          create index on {{ this }} (id);
        {% endif %}
        {% for year in config.get('years') -%}
          {%- set part = this.incorporate(path={'identifier': this.identifier ~ '_' ~ year}) -%}
          create table if not exists {{ part }} partition of {{ this }}
            for values from ({{ year }}) to ({{ year + 1 }});
          truncate {{ part }};
        {% endfor %}
        insert into {{ this }} {{ sql }}
      {% endcall %}
      {{ return({'relations': [this]}) }}
    {% endmaterialization %}
"""
NOTED = """
    {% materialization noted, default %}
      {% call statement('main') %}{{ sql }}{% endcall %}
      {{ return({'relations': []}) }}
    {% endmaterialization %}
"""


def test_a_partitioned_table_is_published_with_its_partitions(run: Run, rows: Rows) -> None:
    text = """
        {{{{ config(materialized='partitioned', years={years}) }}}}
        select {value} as id, y as year from unnest(array{years}) y
    """
    files = {
        "macros/partitioned.sql": PARTITIONED,
        "models/after.sql": "select id, year from {{ ref('a') }}",
    }
    all_of_it = "select tableoid::regclass::text, id from shop.a order by 1"
    for broken in ("", " where 1 / 0 = 1"):  # what such a run leaves aside is dropped by the next
        for value, years in ((1, [2019, 2020]), (2, [2020, 2021])):
            made = text.format(value=value, years=years)
            if broken:
                with pytest.raises(RunFailedError):
                    run({**files, "models/a.sql": made + broken})
                continue
            assert run({**files, "models/a.sql": made}).warnings == ()
            newest = {2019: 1, 2020: 1} if value == 1 else {2019: 1, 2020: 2, 2021: 2}
            assert rows(all_of_it) == [(f"shop.a_{year}", id_) for year, id_ in newest.items()]
    assert rows("select count(*) from shop.after") == [(3,)]
    assert run({"models/a.sql": text.format(value=2, years=[2020, 2021])}).warnings == ()
    assert rows("select count(*) from pg_namespace where nspname like 'shop\\_\\_%'") == [(0,)]


def test_partitions_that_a_materialization_makes_by_name_or_by_code_are_published_with_the_table(
    run: Run, rows: Rows
) -> None:
    files = {
        "macros/parted.sql": """
            {% materialization parted, adapter='postgres' %}
            {% set name, last = this.schema ~ '.' ~ this.identifier, var('id', 2) %}
            {% call statement('parent') %}
                create table if not exists {{ this }} (id int) partition by range (id);
                create table if not exists {{ name }}_1 partition of {{ this }}
                for values from (1) to (2)
            {% endcall %}
            {% call statement('parts') %}
                do $$ declare part text := '{{ this.identifier }}_' || {{ last }}; begin
                if to_regclass(format('%I.%I', '{{ this.schema }}', part)) is null then
                    execute format('create table %I.%I partition of %I.%I for values from (%L) to'
                                   ' (%L)', '{{ this.schema }}', part, '{{ this.schema }}',
                                   '{{ this.identifier }}', {{ last }}, {{ last + 1 }});
                end if; end $$
            {% endcall %}
            {% call statement('main') %} truncate {{ this }}; insert into {{ this }} {{ sql }}
            {% endcall %}
            {% do adapter.commit() %}
            {{ return({'relations': [this]}) }}
            {% endmaterialization %}
        """,
        "models/p.sql": "{{ config(materialized='parted', grants={'select': ['public']}) }} "
        "select generate_series(1, {{ var('id', 2) }}) as id",
    }
    failing = {"tests/never.sql": "select * from {{ ref('p') }}"}
    there = (
        "select relname, relacl::text like '%{=r/%' or relacl::text like '%,=r/%' from pg_class "
        "where relnamespace = to_regnamespace('shop') and relname like 'p%' order by 1"
    )
    with pytest.raises(TestsFailedError):
        run(files | failing)
    assert rows(there) == []
    run({"tests/never.sql": "select 1 where false"})
    run(variables={"id": 3})
    assert rows(there) == [("p", True), ("p_1", None), ("p_2", None), ("p_3", None)]
    assert rows("select count(*), max(id) from shop.p") == [(3, 3)]


def test_a_materialization_in_place_of_dbts_has_strategies_of_its_own(run: Run, rows: Rows) -> None:
    files = {
        "macros/incremental.sql": """
            {% materialization incremental, adapter='postgres' %}
            {% call statement('main') %}
                {% if load_relation(this) is none %}create table {{ this }} as {{ sql }}
                {% else %}insert into {{ this }}
                select *, '{{ config.get('incremental_strategy') }}' from ({{ sql }}) as q (id)
                {% endif %}
            {% endcall %}
            {{ return({'relations': [this]}) }}
            {% endmaterialization %}
        """,
        "models/m.sql": """
            {{ config(materialized='incremental', incremental_strategy='hub') }}
            select {{ var('id', 1) }} as id {% if not is_incremental() %}, '' as said{% endif %}
        """,
    }
    for number in (1, 2):
        run(files, variables={"id": number})
    assert rows("select * from shop.m order by id") == [(1, ""), (2, "hub")]


def test_a_materialization_may_make_no_relation_and_write_where_it_likes(
    run: Run, rows: Rows
) -> None:
    noted = """{{ config(materialized='noted', schema='notes') }}
        create table notes.of_run as select 1; create table notes.a_log as select 1"""
    run({"macros/noted.sql": NOTED, "models/a.sql": noted, "models/b.sql": "select 1 as id"})
    there = "select relname from pg_class where relnamespace = 'notes'::regnamespace order by 1"
    assert rows(there) == [("a_log",), ("of_run",)]


FUNCTION = """
    {% materialization sql_function, adapter='postgres' %}
      {% call statement('main') %}
        drop function if exists {{ this }} cascade;
        create function {{ this }} {{ sql }}
      {% endcall %}
      {{ return({'relations': [this]}) }}
    {% endmaterialization %}
    {% materialization written, default %}
      {%- set named = api.Relation.create(schema=schema, identifier=model['name'], type='table') -%}
      {% call statement('main') %}{{ sql }}{% endcall %}
      {% if adapter.get_relation(database, schema, model['name']) is not none %}
        {% set columns = adapter.get_columns_in_relation(named) | map(attribute='name') | join %}
        {% do run_query("comment on table " ~ named ~ " is '" ~ columns ~ "'") %}
      {% endif %}
      {{ return({'relations': [named]}) }}
    {% endmaterialization %}
    {% materialization materialized_view, adapter='postgres' %}
      {% call statement('main') %}
        {% if load_cached_relation(this) is none %}create materialized view {{ this }} as {{ sql }}
        {% else %}refresh materialized view {{ this }}{% endif %}
      {% endcall %}
      {{ return({'relations': [this]}) }}
    {% endmaterialization %}
"""


def test_a_materialization_may_make_functions_or_refresh_and_a_model_may_make_itself(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    more = "({} int) returns int language sql as 'select $1 + {}'"
    files = {
        "macros/function.sql": FUNCTION,
        "models/more.sql": "{{ config(materialized='sql_function') }} " + more.format("x", 1),
        "models/made.sql": "{{ config(materialized='written') }} drop table if exists {{ this }};"
        "create table {{ this }} as select {{ ref('more') }}(1) n; create index on {{ this }} (n)",
        "models/seen.sql": "{{ config(materialized='materialized_view') }} "
        "select n, {{ ref('more') }}(n) as m from {{ ref('made') }}",
        "models/done.sql": "{{ config(materialized='written') }} "
        "create table if not exists done_at as select 1; select n from {{ ref('made') }}",
    }
    run(files)
    connection.execute("create unique index of_ours on shop.seen (n)")
    assert rows("select n, m, shop.more(m) from shop.seen") == [(2, 3, 4)]
    run({"models/more.sql": files["models/more.sql"].replace("x int", "y int").replace("1'", "2'")})
    assert rows("select n, m, shop.more(m) from shop.seen") == [(3, 5, 7)]
    assert rows("select tablename from pg_indexes where schemaname = 'shop' order by 1") == [
        ("made",), ("seen",)
    ]  # fmt: skip
    assert rows("select obj_description('shop.made'::regclass)") == [("n",)]
    assert rows("select 1 from pg_namespace where nspname like 'shop\\_\\_%'") == []


def test_a_strategy_of_the_users_changes_a_copy_that_is_published(run: Run, rows: Rows) -> None:
    run(
        {
            "macros/strategy.sql": """
                {% macro get_incremental_newest_sql(given) %}
                    delete from {{ given.target_relation }};
                    insert into {{ given.target_relation }}
                    ({{ given.dest_columns | map(attribute='quoted') | join(', ') }})
                    select id from {{ given.temp_relation }} order by id desc limit 1
                {% endmacro %}
            """,
            "models/m.sql": """
                {{ config(materialized='incremental', incremental_strategy='newest') }}
                select generate_series(1, 3) + {{ var('run', 0) }} as id
            """,
            "models/down.sql": "{{ config(materialized='table') }} select * from {{ ref('m') }}",
        }
    )
    assert rows("select count(*) from shop.m") == [(3,)]
    run(variables={"run": 5})
    assert rows("select id from shop.m union all select id from shop.down") == [(8,), (8,)]


def test_microbatches_read_their_own_time_and_are_merged(run: Run, rows: Rows) -> None:
    today = datetime.now(UTC).date()
    begin = today - timedelta(days=3)
    files = {
        "models/events.sql": f"""
            {{{{ config(materialized='table', event_time='at') }}}}
            select g as id, '{begin}'::timestamp + g * interval '1 day' as at,
                {{{{ var('run', 1) }}}} as run
            from generate_series(-1, 3) g
        """,
        "models/m.sql": f"""
            {{{{ config(materialized='incremental', incremental_strategy='microbatch',
                        unique_key='id', event_time='at', batch_size='day', begin='{begin}') }}}}
            select id, run, '{{{{ model.batch.id }}}}' as batch,
                {{{{ is_incremental() }}}} as later,
                (select count(*) from {{{{ ref('events').render() }}}}) as of_all
            from {{{{ ref('events') }}}}
        """,
    }
    run(files)
    assert rows("select distinct of_all from shop.m") == [(5,)]
    days = [(begin + timedelta(days=number)).strftime("%Y%m%d") for number in range(4)]
    assert rows("select id, run, batch, later from shop.m order by id") == [
        (0, 1, days[0], False), (1, 1, days[1], True), (2, 1, days[2], True), (3, 1, days[3], True)
    ]  # fmt: skip
    run(variables={"run": 2})  # today's batch, and the one before it
    assert rows("select id, run from shop.m order by id") == [(0, 1), (1, 1), (2, 2), (3, 2)]


def test_batches_of_a_time_that_was_asked_for_are_built_again_and_no_others(
    run: Run, rows: Rows
) -> None:
    files = {
        "models/events.sql": """
            {{ config(materialized='table', event_time='at') }}
            select g as id, timestamp '2024-01-01' + (g - 1) * interval '10 days' as at,
                {{ var('run', 1) }} as run
            from generate_series(1, 12) g
        """,
        "models/m.sql": """
            {{ config(materialized='incremental', incremental_strategy='microbatch',
                      unique_key='id', event_time='at', batch_size='month') }}
            select id, run, '{{ model.batch.id }}' as batch, {{ is_incremental() }} as later
            from {{ ref('events') }}
        """,
    }
    start, middle = datetime(2024, 2, 10, tzinfo=UTC), datetime(2024, 3, 1, 12, tzinfo=UTC)
    run(files, event_time_start=start, event_time_end=middle)  # and so it needs no begin
    assert rows("select id, batch, later from shop.m order by id") == [
        (5, "202402", False), (6, "202402", False),
        (7, "202403", True), (8, "202403", True), (9, "202403", True), (10, "202403", True),
    ]  # fmt: skip
    end = datetime(2024, 4, 1, tzinfo=UTC)
    run(variables={"run": 2}, event_time_start=middle, event_time_end=end)
    assert rows("select id from shop.m where run = 2 order by id") == [(7,), (8,), (9,), (10,)]
    assert rows("select count(*) from shop.m") == [(6,)]
    run(full_refresh=True, event_time_start=end, event_time_end=datetime(2024, 5, 2, tzinfo=UTC))
    assert rows("select id, later from shop.m") == [(11, False), (12, False)]
    for times in ({"event_time_start": start}, {"event_time_start": end, "event_time_end": start}):
        with pytest.raises(UsageError, match="--event-time-start"):
            run(**times)


def test_a_materialization_of_snapshots_finds_what_dbt_takes_them_with(
    run: Run, rows: Rows
) -> None:
    files = {
        "macros/ours.sql": """
            {% materialization snapshot, default %}
                {% set exists, target = get_or_create_relation(
                    model.database, model.schema, model.alias, 'table') %}
                {% set strategy = strategy_dispatch(config.get('strategy'))(
                    model, 'snapshotted_data', 'source_data', model['config'], exists) %}
                {% if exists %}
                    {% set staging = build_snapshot_staging_table(strategy, sql, target) %}
                    {% set beside = ['dbt_change_type', 'dbt_unique_key'] %}
                    {% do create_columns(target, adapter.get_missing_columns(staging, target)
                        | rejectattr('name', 'in', beside) | list) %}
                    {% set names = adapter.get_columns_in_relation(staging)
                        | rejectattr('name', 'in', beside) | map(attribute='quoted') | list %}
                    {% call statement('main') %}
                        {{ snapshot_merge_sql(target, staging, names) }}
                    {% endcall %}
                    {% do post_snapshot(staging) %}
                {% else %}
                    {% call statement('main') %}
                        {{ create_table_as(false, target, build_snapshot_table(strategy, sql)) }}
                    {% endcall %}
                {% endif %}
                {{ return({'relations': [target]}) }}
            {% endmaterialization %}
        """,
        "snapshots/s.sql": """
            {% snapshot s %}
            {{ config(unique_key='id', strategy='timestamp', updated_at='at', schema='shop',
                      hard_deletes='invalidate') }}
            select id, at {{ var('more', '') }} from (values {{ var('rows') }}) t (id, at)
            {% endsnapshot %}
        """,
    }
    run(files, variables={"rows": "(1, date '2024-01-01'), (2, date '2024-01-01')"})
    more = {"rows": "(1, date '2024-01-02')", "more": ", 7 as n"}
    run(variables=more)
    assert rows("select id, at::text, n, dbt_valid_to is null from shop.s order by 1, 2") == [
        (1, "2024-01-01", None, False), (1, "2024-01-02", 7, True), (2, "2024-01-01", None, False)
    ]  # fmt: skip


def test_a_seed_of_the_users_own_making_is_loaded_by_that(run: Run, rows: Rows) -> None:
    files = {
        "macros/seed.sql": """
            {% materialization seed, default %}
              {%- set table = load_agate_table() -%}
              {%- set target = this.incorporate(type='table') -%}
              {%- if adapter.get_relation(database, schema, model.alias) is none -%}
                {%- do create_csv_table(model, table) -%}
              {%- endif -%}
              {%- do load_csv_rows(model, table) -%}
              {%- call statement('main') -%}
                alter table {{ target }} add column if not exists rows int default
                {{ table.rows | length }}
              {%- endcall -%}
              {{ run_hooks(post_hooks) }}
              {{ return({'relations': [target]}) }}
            {% endmaterialization %}
        """,
        "dbt_project.yml": "{name: shop, models: {+schema: shop}, seeds: {+schema: shop, "
        "+post-hook: 'update {{ this }} set id = id + 1'}}",
        "seeds/s.csv": "id,said\n1,a\n2,b\n",
        "models/m.sql": "select * from {{ ref('s') }}",
    }
    run(files)
    assert rows("select id, said, rows from shop.m order by 1") == [(2, "a", 2), (3, "b", 2)]
    run()
    assert rows("select id from shop.s order by 1") == [(2,), (3,), (3,), (4,)]


def test_a_materialization_may_go_on_from_what_dbts_own_does(run: Run, rows: Rows) -> None:
    wrapped = "".join(
        f"""
        {{% materialization {kind}, default %}}
            {{% set done = dbt.materialization_{kind}_default{call}() %}}
            {{% do run_query("insert into public.counted select '" ~ model.name
                ~ "', count(*) from " ~ this) %}}
            {{% do return(done) %}}
        {{% endmaterialization %}}
        """
        for kind, call in {"view": "", "table": ".call_macro", "incremental": ""}.items()
    )
    files = {
        "dbt_project.yml": """
            name: shop
            models: {+schema: shop}
            on-run-start: "create table if not exists public.counted (model text, rows int)"
            on-run-end: "{{ tell() }}"
        """,
        "macros/wrapped.sql": wrapped,
        "macros/tell.sql": "{% macro tell() %}{% for each in results if execute %}insert into "
        "public.counted values ('{{ each.message }}', {{ each.adapter_response.rows_affected }});"
        "{% endfor %}{% endmacro %}",
        "models/a.sql": """
            {{ config(materialized='incremental', unique_key='id', indexes=[{'columns': ['id']}],
                      on_schema_change='append_new_columns') }}
            select n as id {{ ', n * 2 as twice' if is_incremental() }}
            from generate_series({{ "(select max(id) from " ~ this ~ ")" if is_incremental() else 1
                }}, {{ var('to', 3) }}) n
        """,
        "models/b.sql": "{{ config(materialized='table') }} select * from {{ ref('a') }}",
        "models/c.sql": "{{ config(post_hook='comment on view {{ this }} is $$c$$') }} "
        "select * from {{ ref('b') }}",
    }
    run(files)
    counted = "select model, rows from public.counted order by model"
    first = [("CREATE VIEW", -1), *(("SELECT 3", 3),) * 2, ("a", 3), ("b", 3), ("c", 3)]
    assert rows(counted) == first
    run({"macros/other.sql": "{% macro other() %}{% endmacro %}"}, variables={"to": 4})
    assert rows("select id, twice from shop.c order by id") == [
        (1, None),
        (2, None),
        (3, 6),
        (4, 8),
    ]
    assert ("INSERT 0 2", 2) in rows(counted)
    assert rows("select count(*) from pg_indexes where tablename = 'a'") == [(1,)]
    assert rows("select obj_description('shop.c'::regclass)") == [("c",)]
