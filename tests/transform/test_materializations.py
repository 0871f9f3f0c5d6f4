"""Models become views, tables or part of others, with the SQL that their templates write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError
from datapipe.transform import Transformed
from datapipe.transform.database import statements

Run = Callable[..., Transformed]


def test_a_view_a_table_and_an_ephemeral_model_are_built(run: Run, rows: Any) -> None:
    transformed = run(
        {
            "models/base.sql": "{{ config(materialized='ephemeral') }} select 1 as id",
            "models/middle.sql": """
                {{ config(materialized='ephemeral') }}
                select id + 1 as id from {{ ref('base') }}
            """,
            "models/seen.sql": "select id from {{ ref('middle') }} union select 7",
            "models/kept.sql": """
                {{ config(materialized='table') }}
                -- with a comment before it
                WITH more AS (select 10 as id)
                select id from {{ ref('seen') }}
                union all select id from more
                union all select id from {{ ref('base') }}
            """,
        }
    )
    assert rows("select id from shop.kept order by id") == [(1,), (2,), (7,), (10,)]
    kinds = "select relname, relkind from pg_class where relnamespace = 'shop'::regnamespace"
    assert sorted(rows(kinds)) == [("kept", "r"), ("seen", "v")]
    told = {
        model.name: (model.schema, model.materialized, model.rows) for model in transformed.models
    }
    assert told == {"seen": ("shop", "view", None), "kept": ("shop", "table", 4)}


def test_an_ephemeral_model_is_told_where_it_would_stand(run: Run, rows: Any) -> None:
    own = "select '{{ this.schema }} {{ this.name }} {{ schema }} {{ this.is_cte }}' as told"
    run(
        {
            "models/base.sql": "{{ config(materialized='ephemeral', alias='other') }}" + own,
            "models/seen.sql": "select told from {{ ref('base') }}",
        }
    )
    assert rows("select told from shop.seen") == [("shop other shop False",)]


def test_only_a_large_table_is_analyzed(
    run: Run, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = (
        "select reltuples from pg_class where oid in ('shop.kept'::regclass, 'shop.s'::regclass)"
    )
    files = {
        "dbt_project.yml": "name: shop\nmodels: {+schema: shop}\nseeds: {+schema: shop}\n",
        "seeds/s.csv": "id\n1\n",
        "models/kept.sql": "{{ config(materialized='table') }} select * from {{ ref('s') }}",
    }
    run(files)
    assert rows(known) == [(-1,), (-1,)]
    monkeypatch.setattr(statements, "LARGE_BYTES", 0)
    run(full_refresh=True)
    assert rows(known) == [(1,), (1,)]


def test_models_are_written_down_for_the_reports(run: Run, rows: Any) -> None:
    run(
        {
            "models/a.sql": "select 1 as id",
            "models/b.sql": "{{ config(materialized='table', alias='c') }} select 2 as id",
        },
        run_id=42,
    )
    written = "select name, schema_name, relation_name, materialized, run_id from meta.models"
    assert sorted(rows(written)) == [
        ("a", "shop", "a", "view", 42),
        ("b", "shop", "c", "table", 42),
    ]


def test_a_model_that_left_the_project_stays_but_is_no_longer_written_down(
    run: Run, rows: Any, tmp_path: Any
) -> None:
    run({"models/a.sql": "select 1 as id", "models/b.sql": "select 2 as id"})
    (tmp_path / "project" / "models" / "b.sql").unlink()
    run()
    assert rows("select id from shop.b") == [(2,)]
    assert rows("select name from meta.models") == [("a",)]


def test_percent_dollar_and_letters_of_all_kinds_reach_postgresql_unchanged(
    run: Run, rows: Any
) -> None:
    run(
        {
            "models/a.sql": r"""
                {{ config(materialized='table') }}
                select '100 %' as percent, 7 % 4 as modulo, 'x' like '%x%' as found,
                    $$it's $1$$ as dollars, '%s %(a)s' as driver, E'a\tb' as tab,
                    'Größe 価格 🙂' as words, '\' as backslash
            """,
        }
    )
    assert rows("select * from shop.a") == [
        ("100 %", 3, True, "it's $1", "%s %(a)s", "a\tb", "Größe 価格 🙂", "\\")
    ]


def test_names_that_need_quotes_work_for_schema_table_and_index(run: Run, rows: Any) -> None:
    files = {
        "models/a.sql": """
            {{ config(
                materialized='table',
                schema='My "Shop"',
                alias='Größe 1',
                indexes=[{'columns': ['id'], 'unique': true}, {'columns': ['lower(name)']}],
            ) }}
            select 1 as id, 'x' as name
        """,
        "models/b.sql": "{{ config(schema='My \"Shop\"') }} select * from {{ ref('a') }}",
    }
    run(files)
    run()
    assert rows('select id, name from "My ""Shop"""."Größe 1"') == [(1, "x")]
    assert rows('select id from "My ""Shop""".b') == [(1,)]
    indexes = rows("select count(*) from pg_indexes where tablename = 'Größe 1'")
    assert indexes == [(2,)]


def test_a_long_schema_name_still_has_room_to_build_beside(run: Run, rows: Any) -> None:
    schema = "s" * 60
    run({"models/a.sql": f"{{{{ config(schema='{schema}') }}}} select 1 as id"})
    assert rows(f"select id from {schema}.a") == [(1,)]


def test_macros_variables_and_return_work_as_in_dbt(
    run: Run, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_REGION", "north")
    run(
        {
            "dbt_project.yml": """
                name: shop
                vars:
                  rate: 2
                  shop:
                    currency: EUR
                models:
                  shop:
                    +schema: shop
                    deep:
                      +materialized: "{{ 'table' if var('rate') == 2 else 'view' }}"
                      +tags: [one]
            """,
            "macros/numbers.sql": """
                {% macro numbers(up_to) %}
                    {% set found = [] %}
                    {% for number in range(1, up_to + 1) %}{% do found.append(number) %}{% endfor %}
                    {{ return(found) }}
                {% endmacro %}
                {% macro rated(column) -%}
                    {{ column }} * {{ shop.rate_of(var('rate')) }}
                {%- endmacro %}
                {% macro rate_of(rate) %}
                    {{ return(adapter.dispatch('doubled', 'shop')(rate)) }}
                {% endmacro %}
                {% macro default__doubled(rate) %}{{ rate }}{% endmacro %}
                {% macro postgres__doubled(rate) %}{{ rate * 2 }}{% endmacro %}
            """,
            "models/deep/a.sql": """
                {{ config(tags='two') }}
                {% for number in numbers(3) %}
                select {{ rated(number) }} as price, '{{ var("currency") }}' as currency,
                    '{{ env_var("SHOP_REGION") }}' as region, '{{ env_var("NONE", "x") }}' as other,
                    '{{ this.schema }}.{{ this.name }}' as this,
                    '{{ model.config.tags | join(",") }}' as tags,
                    {{ dbt.concat(["'a'", "'b'"]) }} as joined,
                    '{{ target.type }}' as target, {{ execute }} as executed
                {{ 'union all' if not loop.last }}
                {% endfor %}
            """,
        },
        variables={"rate": 2, "currency": "CHF"},
    )
    common = ("CHF", "north", "x", "shop.a", "one,two", "ab", "postgres", True)
    assert rows("select * from shop.a order by 1") == [(4, *common), (8, *common), (12, *common)]
    assert rows("select relkind from pg_class where oid = 'shop.a'::regclass") == [("r",)]


def test_a_disabled_model_is_left_out(run: Run, rows: Any) -> None:
    run(
        {
            "models/a.sql": "{{ config(enabled=false) }} select broken",
            "models/b.sql": "select 1 as id",
            "models/schema.yml": "models: [{name: a, columns: [{name: id, tests: [unique]}]}]",
        }
    )
    assert rows("select name from meta.models") == [("b",)]
    with pytest.raises(ProjectError, match="The model a is disabled"):
        run({"models/b.sql": "select * from {{ ref('a') }}"})


def test_without_an_override_schemas_are_named_as_dbt_names_them(run: Run, rows: Any) -> None:
    run(
        {
            "macros/schema_name.sql": "",
            "models/a.sql": "select 1 as id",
            "dbt_project.yml": "name: shop",
            "models/b.sql": "{{ config(schema='extra') }} select 1 as id",
        },
        target_schema="target",
    )
    found = rows("select schema_name from meta.models order by name")
    assert found == [("target",), ("target_extra",)]


def test_descriptions_become_comments_where_persist_docs_says_so(run: Run, rows: Any) -> None:
    run(
        {
            "models/a.sql": """
                {{ config(materialized='table', persist_docs={'relation': true, 'columns': true}) }}
                select 1 as id
            """,
            "models/schema.yml": """
                models:
                  - name: a
                    description: It's a table.
                    columns: [{name: id, description: The key.}, {name: gone, description: x}]
            """,
        }
    )
    comments = "select obj_description('shop.a'::regclass), col_description('shop.a'::regclass, 1)"
    assert rows(comments) == [("It's a table.", "The key.")]
    told = "post_hook=\"comment on table {{ this }} is 'by a hook'\", persist_docs={'relation': 1}"
    for _ in range(2):
        run({"models/a.sql": f"{{{{ config(materialized='table', {told}) }}}} select 1 as id"})
        assert rows(comments) == [("by a hook", "The key.")]


def test_names_without_a_schema_are_sought_where_the_database_says(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    connection.execute("create table public.things as select 1 as id")
    connection.execute("create schema elsewhere")
    connection.execute("create table elsewhere.things as select 2 as id")
    here = f'alter role current_user in database "{connection.info.dbname}"'
    run({"models/a.sql": "{{ config(materialized='table') }} select id from things"})
    assert rows("select id from shop.a") == [(1,)]
    connection.execute(f"{here} set search_path = elsewhere, public")
    try:
        run()
        assert rows("select id from shop.a") == [(2,)]
    finally:
        connection.execute(f"{here} reset search_path")
    run()
    assert rows("select id from shop.a") == [(1,)]
