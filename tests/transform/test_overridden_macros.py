"""Macros in place of those that dbt builds with are called, or it is said that they are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from datapipe.errors import RunFailedError, TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

MACROS = """
    {% macro postgres__create_table_as(temporary, relation, sql) %}
        create table {{ relation }} with (fillfactor = {{ var('fill', 70) }}) as (
        {{ sql }});
        comment on table {{ relation }} is 'made by {{ model.name }}';
    {% endmacro %}
    {% macro create_view_as(relation, sql) %}
        create view {{ relation }} with (security_barrier) as {{ sql }}
    {% endmacro %}
    {% macro default__get_create_index_sql(relation, index_dict) %}
        create index on {{ relation }} ({{ index_dict.columns | join }}) with (fillfactor = 50)
    {% endmacro %}
    {% macro get_delete_insert_merge_sql(target, source, unique_key, dest_columns, predicates) %}
        insert into {{ target }} select id + 100, other from {{ source }}
    {% endmacro %}
    {% macro postgres__get_columns_in_relation(relation) %}
        {% do return([api.Column('id', 'int4')]) %}
    {% endmacro %}
    {% macro run_hooks(hooks, inside_transaction=true) %}{% endmacro %}
    {% macro postgres__drop_relation(relation) %}{% endmacro %}
    {% macro snowflake__create_schema(relation) %}{% endmacro %}
    {% macro postgres__create_schema(relation) %}
        {% call statement() %}create schema {{ relation.schema }};
        comment on schema {{ relation.schema }} is 'ours'{% endcall %}
    {% endmacro %}
    {% macro snapshot_merge_sql(target, source, insert_cols) %}{% endmacro %}
"""
FILES = {
    "macros/ours.sql": MACROS,
    "models/t.sql": "{{ config(materialized='table', indexes=[{'columns': ['id']}]) }}\n"
    "select 1 as id, 2 as other",
    "models/v.sql": "select {{ adapter.get_columns_in_relation(ref('t')) | map(attribute='name')"
    " | join(', ') }} from {{ ref('t') }}",
    "models/i.sql": "{{ config(materialized='incremental', unique_key='id') }}"
    "select * from {{ ref('t') }}",
}


MICROBATCH = (
    "{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='at', "
    "batch_size='year', begin='2026-01-01', unique_key='at') }} "
    "select timestamp '2026-01-01' as at"
)


def test_the_table_of_batches_and_materialized_views_are_made_by_the_projects_macros(
    run: Run, rows: Any
) -> None:
    macros = (
        MACROS[: MACROS.index("{% macro create_view_as")]
        + """
        {% macro get_create_materialized_view_as_sql(relation, sql) %}
            create materialized view {{ relation }} with (fillfactor = 60) as {{ sql }};
            create index on {{ relation }} (at)
        {% endmacro %}
    """
    )
    view = "{{ config(materialized='materialized_view') }} select * from {{ ref('b') }}"
    files = {"macros/ours.sql": macros, "models/b.sql": MICROBATCH, "models/v.sql": view}
    assert run(files).warnings == ()
    options = "select reloptions from pg_class where oid = 'shop.{}'::regclass"
    assert rows(options.format("b")) == [(["fillfactor=70"],)]
    assert rows(options.format("v")) == [(["fillfactor=60"],)]
    assert rows("select count(*) from shop.v") == [(1,)]
    assert rows("select to_regclass('shop.v_at_idx')::text") == [("shop.v_at_idx",)]


def test_a_strategy_for_batches_sees_the_batch_and_its_code(run: Run, rows: Any) -> None:
    macro = """
        {% macro get_incremental_microbatch_sql(arguments) %}
            {% do run_query("insert into public.seen values ('" ~ model.batch.id ~ "', '"
                ~ model.compiled_code.split()[0] ~ "', " ~ is_incremental() ~ ")") %}
            {{ return(get_incremental_merge_sql(arguments)) }}
        {% endmacro %}
    """
    flag = "require_batched_execution_for_custom_microbatch_strategy: true"
    project = f"""
        name: shop
        models: {{+schema: shop}}
        flags: {{{flag}}}
        on-run-start: "create table if not exists public.seen (batch text, code text, grows bool)"
    """
    batched = MICROBATCH.replace("'day'", "'year'").replace("2026-01-01',", "2025-01-01',")
    files = {"dbt_project.yml": project, "macros/ours.sql": macro, "models/b.sql": batched}
    run(files, event_time_start=datetime(2025, 1, 1, tzinfo=UTC),
        event_time_end=datetime(2027, 1, 1, tzinfo=UTC))  # fmt: skip
    assert rows("select * from public.seen") == [("2026", "select", True)]


def test_what_the_project_makes_relations_with_is_called(run: Run, rows: Any) -> None:
    (warning,) = run(FILES).warnings
    assert warning.startswith("The project's own drop_relation, run_hooks: not called")
    options = "select reloptions from pg_class where oid = 'shop.{}'::regclass"
    assert rows(options.format("t")) == rows(options.format("i")) == [(["fillfactor=70"],)]
    assert rows(options.format("v")) == [(["security_barrier=true"],)]
    assert rows(options.format("t_id_idx")) == [(["fillfactor=50"],)]
    assert rows("select obj_description('shop.i'::regclass)") == [("made by i",)]
    assert rows("select * from shop.v") == [(1,)]
    assert rows("select obj_description('shop'::regnamespace, 'pg_namespace')") == [("ours",)]
    run()  # the first increment
    assert rows("select * from shop.i order by id") == [(1, 2), (101, 2)]
    done = run(variables={"fill": 70})
    assert {each.name for each in done.results if each.status == "reused"} >= {"t", "v"}
    run({"macros/ours.sql": MACROS.replace("fill', 70", "fill', 60")})
    assert rows(options.format("t")) == [(["fillfactor=60"],)]


def test_a_mistake_in_a_model_is_told_at_its_line_whatever_makes_its_table(run: Run) -> None:
    with pytest.raises(RunFailedError, match='column "ida" does not exist') as caught:
        run({**FILES, "models/v.sql": "select id\n, ida\nfrom {{ ref('t') }}"})
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("options", "asked", "line"),
    [("using nothing", "", 4), ("with (nothing = 1)", "", 4), ("of nothing", "select 1", 1)],
)
def test_a_mistake_in_what_makes_a_table_is_told_at_its_line(
    run: Run, options: str, asked: str, line: int
) -> None:
    macro = f"""{{% macro create_table_as(temporary, relation, sql) %}}
        {{% do run_query("{asked}") if "{asked}" %}}
        create table {{{{ relation }}}}
        {options}
        as {{{{ sql }}}}
    {{% endmacro %}}"""
    model = "{{ config(materialized='table') }} select 1 as id"
    with pytest.raises(RunFailedError, match="PostgreSQL stopped building m: ") as caught:
        run({"macros/t.sql": macro, "models/m.sql": model})
    assert caught.value.path is not None
    assert (caught.value.path.name, caught.value.line) == ("t.sql", line)


def test_a_macro_in_place_of_one_of_dbt_may_call_its_parameters_otherwise(run: Run) -> None:
    """dbt hands on what it was given in order."""
    done = run({
        "macros/ours.sql": """
            {% macro default__test_not_null(relation, name) %}
                select * from {{ relation }} where {{ name }} is null and {{ name }} is not null
            {% endmacro %}
        """,
        "models/a.sql": "select null::int as id",
        "models/a.yml": "models: [{name: a, columns: [{name: id, data_tests: [not_null]}]}]",
    })  # fmt: skip
    assert [each.status for each in done.tests] == ["pass"]


ENDINGS = """
    {% macro get_grant_sql(relation, privilege, grantees) %}
        grant {{ privilege }} on {{ relation }} to {{ grantees | join }}_{{ target.name }}
    {% endmacro %}
    {% macro apply_grants(relation, grant_config, should_revoke) %}
        {% if 'secret' not in model.tags %}
            {% do return(dbt.default__apply_grants(relation, grant_config, should_revoke)) %}
        {% endif %}
    {% endmacro %}
    {% macro postgres__alter_relation_comment(relation, comment) %}
        comment on {{ relation.type }} {{ relation }} is '{{ comment }} ({{ is_incremental() }})'
    {% endmacro %}
"""
ENDED = {
    "macros/ours.sql": ENDINGS,
    "dbt_project.yml": """
        name: shop
        models: {+schema: shop, +grants: {select: reader}, +persist_docs: {relation: true}}
    """,
    "models/v.sql": "select 1 as id",
    "models/i.sql": "{{ config(materialized='incremental') }} select * from {{ ref('v') }}",
    "models/s.sql": "{{ config(materialized='table', tags='secret') }} select 1 as id",
    "models/g.sql": "{{ config(materialized='incremental', tags='secret',"
    "post_hook='update {{ this }} set id = 2') }} select 1 as id",
    "models/some.yml": "models: [{name: v, description: a view}, {name: i, description: grows}]",
}


@pytest.mark.parametrize("per_model", [False, True])
def test_what_the_project_grants_and_comments_with_is_called(
    run: Run, rows: Any, connection: psycopg.Connection, per_model: bool
) -> None:
    connection.execute("create role reader_default")
    try:
        assert run(ENDED, per_model=per_model).warnings == ()
        granted = (
            "select relname from pg_class c, aclexplode(relacl) a "
            "where a.grantee = 'reader_default'::regrole order by 1"
        )
        assert rows(granted) == [("i",), ("v",)]
        connection.execute("grant select on shop.s, shop.g to reader_default")
        run(per_model=per_model, rebuild=True)
        assert rows(granted) == [("g",), ("i",), ("v",)]  # to dbt, what grows is not made anew
        said = "select obj_description('shop.{}'::regclass)"
        assert rows(said.format("v")) == [("a view (False)",)]
        assert rows(said.format("i")) == [("grows (True)",)]
        done = run({"macros/ours.sql": ENDINGS.replace("comment }} (", "comment }}! (")})
        assert [each.status for each in done.results] == ["success"] * 4
        assert rows(said.format("v")) == [("a view! (False)",)]
    finally:
        connection.execute("drop owned by reader_default; drop role reader_default")


BATCHES = {
    "macros/ours.sql": """
        {% macro get_incremental_microbatch_sql(arg_dict) %}
            insert into {{ arg_dict.target_relation }} select id + 100, at
            from {{ arg_dict.temp_relation }}
        {% endmacro %}
    """,
    "models/e.sql": """
        {{ config(materialized='table', event_time='at') }}
        select g as id, timestamp '2024-01-01' + (g - 1) * interval '1 day' as at
        from generate_series(1, 5) g
    """,
    "models/m.sql": """
        {{ config(materialized='incremental', incremental_strategy='microbatch', event_time='at',
                  batch_size='day', begin='2024-01-01') }} select * from {{ ref('e') }}
    """,
}


@pytest.mark.parametrize(
    ("flags", "first", "second"),
    [
        # As in dbt, what a macro of the project's does is done once, for all there is.
        ("", [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 101, 102, 103, 104, 105]),
        (
            "flags: {require_batched_execution_for_custom_microbatch_strategy: true}\n",
            [2, 103],
            [2, 102, 103, 103],
        ),
    ],
)
def test_batches_are_brought_in_by_what_the_project_has_for_that(
    run: Run, rows: Any, flags: str, first: list[int], second: list[int]
) -> None:
    file = f"name: shop\n{flags}models: {{+schema: shop}}\n"
    two_days = {
        "event_time_start": datetime(2024, 1, 2, tzinfo=UTC),
        "event_time_end": datetime(2024, 1, 4, tzinfo=UTC),
    }
    assert run({**BATCHES, "dbt_project.yml": file}, **two_days).warnings == ()
    assert [row[0] for row in rows("select id from shop.m order by id")] == first
    run(rebuild=True, **two_days)
    assert [row[0] for row in rows("select id from shop.m order by id")] == second


def test_the_time_of_a_snapshot_may_be_told_with_comments(run: Run, rows: Any) -> None:
    files = {
        "macros/ours.sql": """
            {% macro snapshot_get_time() %}
                {% if var('day', none) %}
                cast('{{ var("day") }}' as timestamp)
                -- or else the clock
                {% else %}{{ current_timestamp() }}{% endif %}
            {% endmacro %}
        """,
        "snapshots/s.sql": "{% snapshot s %}{{ config(unique_key='id', strategy='check', "
        "check_cols='all', target_schema='shop') }} select 1 as id, '{{ var('day') }}' as day"
        "{% endsnapshot %}",
    }
    run(files, variables={"day": "2024-01-01"})
    run(variables={"day": "2024-01-02"})
    assert rows("select dbt_valid_from::date::text, dbt_valid_to::date::text from shop.s") == [
        ("2024-01-01", "2024-01-02"), ("2024-01-02", None)
    ]  # fmt: skip


def test_the_project_may_hold_tests_against_thresholds_of_its_own(run: Run) -> None:
    macro = """
        {% macro get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) %}
            select {{ fail_calc }} as failures,
                {{ fail_calc }} > {{ warn_if | replace('%', ' / 100.0') }} * 8 as should_warn,
                {{ fail_calc }} > {{ error_if | replace('%', ' / 100.0') }} * 8 as should_error
            from ({{ main_sql }}) found
        {% endmacro %}
    """
    files = {
        "macros/ours.sql": macro,
        "models/m.sql": "select * from generate_series(1, 8) id",
        "tests/odd.sql": "{{ config(warn_if='20%', error_if='50%') }} "
        "select * from {{ ref('m') }} where id % 4 = 0",
    }
    (found,) = run(files).tests
    assert (found.status, found.failures) == ("warn", 2)
    run({"tests/odd.sql": files["tests/odd.sql"].replace("20%", "25%")})
    with pytest.raises(TestsFailedError):
        run({"macros/ours.sql": macro.replace("* 8 as should_error", "* 2 as should_error")})


SNAPSHOTS = {
    "macros/ours.sql": """
        {% macro default__build_snapshot_table(strategy, sql) %}
            select built.*, true as is_last
            from ({{ dbt.default__build_snapshot_table(strategy, sql) }}) built
        {% endmacro %}
        {% macro snapshot_staging_table(strategy, source_sql, target_relation) %}
            select staged.*, dbt_change_type = 'insert' as is_last from (
                {{ adapter.dispatch('snapshot_staging_table', 'dbt')(
                    strategy, source_sql, target_relation) }}
            ) staged
        {% endmacro %}
        {% macro postgres__snapshot_merge_sql(target, source, insert_cols) %}
            {% set names = config.get('snapshot_table_column_names') %}
            update {{ target }} set is_last = false from {{ source }} ended
            where ended.{{ names.dbt_scd_id }} = {{ target }}.{{ names.dbt_scd_id }};
            {{ dbt.postgres__snapshot_merge_sql(target, source, insert_cols) }}
        {% endmacro %}
    """,
    "snapshots/s.sql": """
        {% snapshot s %}
        {{ config(unique_key=['id', 'k'], strategy='check', check_cols=['name'],
                  hard_deletes='new_record', target_schema='shop',
                  snapshot_meta_column_names={'dbt_valid_to': 'until'}) }}
        select id, 'k' as k, name {{ var('more', '') }} from (values {{ var('rows') }}) t (id, name)
        {% endsnapshot %}
    """,
}


def test_what_the_project_takes_snapshots_with_is_called(run: Run, rows: Any) -> None:
    assert run(SNAPSHOTS, variables={"rows": "(1, 'one'), (2, 'two')"}).warnings == ()
    said = "select id, name, is_last, until is null, dbt_is_deleted from shop.s order by 1, 2, 3, 5"
    assert rows(said) == [(1, "one", True, True, "False"), (2, "two", True, True, "False")]
    run(variables={"rows": "(1, 'ONE'), (3, 'three')", "more": ", id * 2 as twice"})
    assert rows(said) == [
        (1, "ONE", True, True, "False"),
        (1, "one", False, False, "False"),
        (2, "two", False, False, "False"),
        (2, "two", True, True, "True"),
        (3, "three", True, True, "False"),
    ]
    assert rows("select id, twice from shop.s where twice is not null order by 1") == [
        (1, 2), (3, 6)
    ]  # fmt: skip
    with pytest.raises(
        RunFailedError, match=r"relation .* Mend unique_key, or the project's own macros"
    ):
        macros = SNAPSHOTS["macros/ours.sql"].replace("update {{ target }}", "update nothing")
        run({"macros/ours.sql": macros}, variables={"rows": "(1, 'two')"})


SEED_MACROS = """
    {% macro create_csv_table(model, agate_table) %}
        {% set sql %}create unlogged table {{ this }} (
            {% for name in agate_table.column_names %}
            {{ name }} {{ adapter.convert_type(agate_table, loop.index0) }},
            {% endfor %} loaded int default {{ var('n', 1) }}){% endset %}
        {% do run_query(sql) %}{% do return(sql) %}
    {% endmacro %}
    {% macro default__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
        {% do run_query('delete from ' ~ old_relation ~ ' where id < 3') %}
    {% endmacro %}
    {% macro get_batch_size() %}{{ return(2) }}{% endmacro %}
    {% macro postgres__get_create_index_sql(relation, index_dict) %}
        create index by_macro on {{ relation }} ({{ index_dict.columns | join }})
    {% endmacro %}
"""


def test_seeds_are_created_emptied_and_filled_by_what_the_project_has_for_that(
    run: Run, rows: Any
) -> None:
    files = {
        "dbt_project.yml": "name: shop\nseeds: {+schema: shop, +indexes: [{columns: [id]}]}\n",
        "macros/ours.sql": SEED_MACROS,
        "seeds/s.csv": "id,price,day,at,name\n1,1.5,2024-01-02,2024-01-02T03:04:05Z,50% 'off'\n"
        "2,2,,,\n3,3,2024-01-03,2024-01-02T03:04:05+02:00,\n",
    }
    assert run(files).warnings == ()
    loaded = "select id, price, day::text, at::text, name, loaded from shop.s order by id, price"
    one = (1, 1.5, "2024-01-02", "2024-01-02 03:04:05", "50% 'off'", 1)
    three = (3, 3.0, "2024-01-03", "2024-01-02 01:04:05", None, 1)
    assert rows(loaded) == [one, (2, 2.0, None, None, None, 1), three]
    assert rows("select relpersistence from pg_class where relname = 's'") == [("u",)]
    assert {each.status for each in run(rebuild=False).results} == {"success"}  # rows may add up
    assert rows(loaded) == [one, (2, 2.0, None, None, None, 1), three, three]
    run({"seeds/s.csv": "id,price\n4,0.5\n"})
    assert rows(loaded) == [three, three, (4, 0.5, None, None, None, 1)]
    assert rows("select indexname from pg_indexes where tablename = 's'") == [("by_macro",)]


def test_a_materialized_view_that_dbt_would_keep_is_refreshed_or_changed_by_the_projects_macros(
    run: Run, rows: Any
) -> None:
    macros = """
        {% macro postgres__refresh_materialized_view(relation) %}
            refresh materialized view {{ relation }};
            comment on materialized view {{ relation }} is 'refreshed'
        {% endmacro %}
        {% macro get_alter_materialized_view_as_sql(relation, changes, sql, now, backup, next) %}
            {{ postgres__update_indexes_on_materialized_view(relation, changes.indexes) }};
            comment on materialized view {{ relation }} is 'changed'
        {% endmacro %}
    """
    given = "select {{ var('id', 1) }} as id, 1 as b"
    view = "{{{{ config(materialized='materialized_view', indexes=[{{'columns': [{}]}}]) }}}} "
    read = "select {{{{ var('columns', '*') }}}} from {{{{ ref('{}') }}}}"
    files = {
        "macros/ours.sql": macros,
        "models/filled.sql": "{{ config(materialized='table') }} " + given,
        "models/grown.sql": "{{ config(materialized='incremental') }} " + given,
        "models/refreshed.sql": view.format("'id'") + read.format("grown"),
        "models/changed.sql": view.format("var('index', 'id')") + read.format("grown"),
        "models/anew.sql": view.format("'id'") + read.format("filled"),
    }
    run(files)
    warnings = run(variables={"id": 2, "index": "b", "columns": "id"}).warnings
    assert not any("not called" in each for each in warnings)
    for name, *expected in (
        ("refreshed", "refreshed", 2, ["b", "id"], "(id)"),
        ("changed", "changed", 2, ["b", "id"], "(b)"),
        ("anew", None, 2, ["id"], "(id)"),
    ):
        assert rows(
            f"select obj_description(v.oid), (select max(id) from shop.{name}), array(select "
            "attname from pg_attribute where attrelid = v.oid and attnum > 0 order by 1)::text[]"
            ", (select substring(indexdef from '\\(.*') from pg_indexes where tablename = relname) "
            f"from pg_class v where oid = 'shop.{name}'::regclass"
        ) == [tuple(expected)]
