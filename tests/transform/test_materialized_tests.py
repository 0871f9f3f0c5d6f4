"""Data tests that a project lets a package run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datapipe.errors import RunFailedError

FILES = {
    "dbt_project.yml": """
        name: shop
        models: {+schema: shop}
        on-run-start: "create table if not exists public.seen (test text, failures int)"
    """,
    "macros/tests.sql": """
        {% materialization test, default %}
            {{ return(watch.watched(dbt.materialization_test_default)) }}
        {% endmaterialization %}
    """,
    "dbt_packages/watch/dbt_project.yml": "name: watch\n",
    "dbt_packages/watch/macros/all.sql": """
        {% macro watched(materialization) %}
            {% set done = materialization() %}
            {% set found = load_result('main').table.columns['failures'].values()[0] %}
            {% do run_query("insert into public.seen select '" ~ model.alias ~ "', count(*) + "
                ~ found ~ " from (" ~ sql ~ ") of") %}
            {{ return(done) }}
        {% endmacro %}
        {% materialization view, default %}
            {{ exceptions.raise_compiler_error('A package replaces nothing of dbt.') }}
        {% endmaterialization %}
    """,
    "models/m.sql": "select 1 as id union all select null",
    "models/m.yml": """
        models:
          - name: m
            columns:
              - name: id
                data_tests:
                  - unique
                  - not_null: {config: {severity: warn, store_failures: true, schema: kept}}
    """,
}


def test_a_project_may_run_its_data_tests_as_a_package_does_and_does_so_each_time(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    for times in (1, 2):
        done = run(FILES)
        found = {each.name: (each.status, each.failures) for each in done.tests}
        assert found == {"unique_m_id": ("pass", 0), "not_null_m_id": ("warn", 1)}
        seen = [("not_null_m_id", 2), ("unique_m_id", 0)]
        assert sorted(rows("select * from public.seen")) == sorted(seen * times)


def test_a_test_sees_where_it_keeps_its_rows_and_is_rendered_once(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    told = "{{ this.identifier }} {{ schema }} {{ model.schema }} {{ model.relation_name }}"
    files = {
        "macros/own.sql": "{% test own(model) %}{% if execute %}{% do run_query("
        f"'insert into public.seen select $$' ~ told() ~ '$$, 0') %}}{{% endif %}}"
        "select * from {{ model }} where id > 1{% endtest %}"
        f"{{% macro told() %}}{told}{{% endmacro %}}",
        "models/m.yml": """
            models: [{name: m, data_tests: [own: {name: odd, config: {schema: kept}}]}]
        """,
        "tests/even.sql": "select 1 where '{{ this.schema }}' <> 'dbt_test__audit'",
    }
    done = run({**FILES, **files})
    assert {each.name: each.status for each in done.tests} == {"odd": "pass", "even": "pass"}
    assert rows("select test from public.seen where test like '% %'") == [("odd kept kept ",)]


def test_what_is_written_down_of_a_test_names_what_is_published(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    watched = """
        {% macro watched(materialization) %}
            {% do run_query("insert into public.seen select '" ~ sql ~ model.compiled_code
                ~ model.compiled_sql ~ compiled_code ~ "', count(*) from (" ~ sql ~ ") of") %}
            {{ return(materialization()) }}
        {% endmacro %}
    """
    files = {"dbt_packages/watch/macros/all.sql": watched, "models/m.yml": ""}
    files["tests/t.sql"] = "select * from {{ ref('m') }} where id > 1"
    run({**FILES, **files})
    ((told, failures),) = rows("select test, failures from public.seen")
    assert told.count('."shop"."m"') == 4
    assert failures == 0


def test_templates_of_tests_may_begin_and_end_transactions_and_look_up_what_they_do_not_name(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    """As with dbt, a test comes after the models that wait for nothing."""
    files = {
        "dbt_project.yml": """
            name: shop
            models: {+schema: shop}
            on-run-end: "{{ tell() }}"
        """,
        "models/a.sql": "select 1 as id",
        "models/a.yml": "models: [{name: a, data_tests: [watched]}]",
        "models/z.sql": "select 2 as id",
        "macros/all.sql": """
            {% test watched(model) %}
                {% if execute %}
                    {% set other = adapter.get_relation(target.dbname, 'shop', 'z') %}
                    {% do run_query('begin') %}
                    {% do run_query('create table public.made_' ~ modules.re.sub('[^0-9]', '',
                        modules.datetime.datetime.now() | string) ~ ' as select * from '
                        ~ other) %}
                    {% do run_query('/* done; */ COMMIT transaction; -- and over') %}
                {% endif %}
                select * from {{ model }} where id > 1
            {% endtest %}
            {% macro tell() %}
                {% for result in results if execute %}
                    create table public.told_{{ loop.index }} as
                    select $${{ result.node.compiled_code }}$$ as code;
                {% endfor %}
            {% endmacro %}
        """,
    }
    run(files)
    made = rows("select tablename from pg_tables where tablename like 'made%%'")
    assert len(made) == 1, "the template of a test is rendered once, also if results tell of it"
    assert rows(f"select * from public.{made[0][0]}") == [(2,)]
    code = "".join(rows("select code from public.told_3")[0]).strip()
    assert code == 'select * from "{}"."shop"."a" where id > 1'.format(
        rows("select current_database()")[0][0]
    )


def test_what_a_template_leaves_of_a_transaction_is_over_with_its_node(
    run: Callable[..., Any],
) -> None:
    files = {
        "models/m.sql": "select 1 as id",
        "models/m.yml": "models: [{name: m, columns: [{name: id, data_tests: [bad, unique]}]}]",
        "macros/bad.sql": """
            {% test bad(model, column_name) %}
                {% if execute %}
                    {% do run_query('begin; select 1 as atomic') %}
                    {% do run_query('select 1 from nothing') %}
                {% endif %}
                select 1
            {% endtest %}
        """,
    }
    with pytest.raises(RunFailedError) as failed:
        run(files)
    ended = {each.name: each.status for each in failed.value.results}
    assert ended == {"m": "success", "bad_m_id": "error", "unique_m_id": "pass"}
