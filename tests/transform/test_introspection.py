"""Templates that ask the database find what the run has built, under the names it will have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datapipe.errors import RunFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]

LOOKING = """
    -- depends_on: {{ ref('event_a') }}, {{ ref('event_b') }}
    {% set found = [] %}
    {% if execute %}
    {% for row in run_query("select table_schema, table_name from information_schema.tables
                             where table_schema like 'shop%' order by 2").rows %}
    {% do found.append(row.table_schema ~ '.' ~ row.table_name) %}
    {% endfor %}
    {% for row in run_query("select t.schemaname, viewname from pg_views as t
                             where schemaname like 'shop%' and viewname like 'event%'") %}
    {% do found.append('view ' ~ row[0] ~ '.' ~ row[1]) %}
    {% endfor %}
    {% do found.append(adapter.list_relations(none, 'shop') | map(attribute='name') | join('+')) %}
    {% do found.append(adapter.check_schema_exists(none, 'shop')) %}
    {% do found.append(adapter.get_relation(none, 'shop', 'event_a').type) %}
    {% endif %}
    {{ config(materialized='table') }}
    select '{{ found | join(' ') }}' as found, '{{ ref('event_b') }}' as name, sum(id) as total
    from (
        {% for name in ['event_a', 'event_b'] %}
        {% set relation = api.Relation.create(schema='shop', identifier=name) %}
        select {{ get_columns_in_relation(relation) | map(attribute='quoted') | join(', ') }}
        from {{ relation }} {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as events
"""


def test_what_the_run_has_built_is_found_under_its_published_name(run: Run, rows: Rows) -> None:
    models = {
        "models/event_a.sql": "select 1 as id",
        "models/event_b.sql": "{{ config(materialized='table') }} select 2 as id",
        "models/looking.sql": LOOKING,
    }
    run(models)
    first = rows("select found, name, total from shop.looking")
    run({"models/event_a.sql": "select 10 as id"}, full_refresh=True)
    ((found, name, total),) = first
    assert found == "shop.event_a shop.event_b view shop.event_a event_b+event_a True view"
    assert name.endswith('."shop"."event_b"')
    assert total == 3
    assert rows("select total from shop.looking") == [(12,)]


NAMES = """
    {{ config(materialized='table') }}
    -- It isn't a string that begins here
    select e.id, '{{ ref('event_a') }}' as name, E'it\\'s {{ ref('event_a') }}' as escaped,
        $$'{{ ref('event_a') }}'$$ as dollars, '"' || 'x' as "a'b",
        '{{ ref('event_a') }}'::regclass::oid = {{ ref('event_a') }}.tableoid as is_it,
        (select ndoc from ts_stat(
            'select to_tsvector(''simple'', id::text) from {{ ref('event_a') }}')) as read
    from {{ ref('event_a') }} join {{ ref('event_a') }} as e using (id) /* nor that's one */
    where '' <> '{{ ref('event_a') }}' and '{{ ref('event_a') }}'::regclass is not null
"""


@pytest.mark.parametrize("quoting", [True, False])
def test_a_name_in_a_string_is_the_published_one_unless_it_is_read(
    run: Run, rows: Rows, quoting: bool
) -> None:
    quoted = f"quoting: {{schema: {quoting}, identifier: {quoting}}}"
    project = f"name: shop\nmodels: {{+schema: shop}}\n{quoted}\n"
    run(
        {
            "dbt_project.yml": project,
            "models/event_a.sql": "{{ config(materialized='table') }} select 1 as id",
            "models/names.sql": NAMES,
        }
    )
    ((id_, name, escaped, dollars, _, is_it, read),) = rows("select * from shop.names")
    named = '."shop"."event_a"' if quoting else ".shop.event_a"
    assert (id_, is_it) == (1, True)
    assert name.endswith(named)
    assert escaped == f"it's {name}"
    assert "__build" in dollars  # what stands between dollars is mostly SQL
    assert read == 1


CATALOG = """
    with counted as (
        select table_schema as in_schema, columns.table_name::text as name, count(*) as columns
        from information_schema.columns
        where columns.table_schema in ('shop', 'shop__build') and table_name <> 'wide'
        group by 1, 2
    )
    select counted.*, pg_class.relkind::text as kind, pg_class.oid > 0 as is_there
    from counted
    join pg_class as pg_class on relname = name
    join pg_namespace n on n.oid = relnamespace and nspname = in_schema
"""


def test_a_table_that_grows_is_a_table_to_those_that_look_it_up(run: Run, rows: Rows) -> None:
    looked = (
        "{% set found = load_relation(ref('m')) %}{% set all = adapter.list_relations("
        "database, found.schema) | selectattr('identifier', 'eq', 'm') | list %}"
    )
    files = {
        "models/a.sql": f"{looked}select '{{{{ found.type }}}} {{{{ all[0].is_table }}}}' as said",
        "models/m.sql": "{{ config(materialized='incremental') }} select {{ var('n', 1) }} as n",
    }
    run(files)
    run({"models/a.sql": f"{files['models/a.sql']}, 2 as n"}, variables={"n": 2})
    assert rows("select said from shop.a") == [("table True",)]
    assert rows("select n from shop.m order by n") == [(1,), (2,)]


def test_models_and_tests_that_read_the_catalog_see_it_as_it_will_be(run: Run, rows: Rows) -> None:
    models = {
        "models/event_a.sql": "select 1 as id, 2 as other",
        "models/as_view.sql": "-- depends_on: {{ ref('event_a') }}" + CATALOG,
        "models/as_table.sql": "{{ config(materialized='table') }} -- {{ ref('as_view') }}"
        + CATALOG,
        "models/wide.sql": "{{ config(materialized='table') }} select * from {{ ref('as_view') }}",
        "tests/there.sql": "select 1 from {{ ref('as_table') }} where name = 'event_a' and not "
        "exists (select from information_schema.tables where table_name = 'as_table' "
        "and table_schema = 'shop')",
    }
    expected = [("shop", "as_view", 5, "v", True), ("shop", "event_a", 2, "v", True)]
    run(models)
    assert rows("select * from shop.as_table order by 2") == expected
    assert rows("select * from shop.wide where name <> 'as_table' order by 2") == expected
    assert rows("select * from shop.as_view where name like '%_view' order by 2") == expected[:1]
    ((view,),) = rows("select pg_get_viewdef('shop.as_view'::regclass)")
    assert "VALUES" not in view  # readers have a view of the catalog itself


@pytest.mark.parametrize("threads", [1, 3])
def test_a_test_that_names_nothing_comes_when_all_is_built(run: Run, threads: int) -> None:
    looks = """
        {% set names = run_query("select table_name from information_schema.tables
            where table_schema = 'shop' order by 1").columns[0].values() if execute else [] %}
        select 1 where '{{ names | join(' ') }}' <> 'a b c'
    """
    models = {
        "models/a.sql": "select 1 as id",
        "models/b.sql": "select * from {{ ref('a') }}",
        "models/c.sql": "{{ config(materialized='table') }} select * from {{ ref('b') }}",
        "tests/looks.sql": looks,
        "tests/looks_too.sql": looks,
    }
    done = run(models, threads=threads)
    assert [each.status for each in done.results] == ["success"] * 3 + ["pass"] * 2


def test_names_that_are_written_out_stand_for_what_the_run_has_built(run: Run, rows: Rows) -> None:
    models = {
        "seeds/event_a.csv": "id\n1\n",
        "dbt_project.yml": "name: shop\nmodels: {+schema: shop}\nseeds: {+schema: shop}\n",
        "models/as_view.sql": "-- {{ ref('event_a') }}\nselect event_a.id from shop.event_a",
        "models/sources.yml": "sources: [{name: shop, tables: [{name: as_view}]}]",
        "models/total.sql": """
            {{ config(materialized='incremental', pre_hook='create table if not exists
                {{ this.schema }}.sums as select 0 as total') }}
            -- {{ ref('as_view') }}
            {% set node = (graph.nodes.values() | selectattr('name', 'eq', 'as_view') | first) %}
            {% set view = node.schema ~ '.' ~ node.alias %}
            select sum(id) as total, '{{ run_query('select max(id) from ' ~ view)[0][0]
                if execute }}' as of from {{ source('shop', 'as_view') }}
            {% if is_incremental() %} having sum(id) > (select max(total) from shop.total)
            {% endif %}
        """,
        "tests/there.sql": "-- {{ ref('total') }}\nselect * from shop.total where total is null",
    }
    run(models)
    assert rows("select total, of from shop.total") == [(1, "1")]
    run({"seeds/event_a.csv": "id\n1\n5\n"})
    assert rows("select total, of from shop.total order by 1") == [(1, "1"), (6, "5")]
    assert rows("select id from shop.as_view") == [(1,), (5,)]


def test_bare_names_stand_for_what_the_run_has_built_where_its_schema_is_searched(
    run: Run, rows: Rows
) -> None:
    models = {
        "dbt_project.yml": "name: shop\nmodels: {+materialized: table}\n",
        "macros/schema_name.sql": "",
        "seeds/raw_orders.csv": "id\n1\n",
        "models/orders.sql": "-- {{ ref('raw_orders') }}\nselect * from raw_orders",
        "models/as_view.sql": """
            {{ config(materialized='view') }} -- {{ ref('orders') }}
            select count(*) as n from orders
        """,
        "models/total.sql": """
            -- {{ ref('as_view') }}
            with orders as (select id * 10 as id from {{ ref('orders') }})
            select (select sum(id) from orders) as total, n, {{
                run_query('select count(*) from orders')[0][0] if execute }} as asked,
                {{ adapter.get_column_schema_from_query('select * from orders') | length
                   if execute }} as columns
            from as_view
        """,
        "models/schema.sql": "select current_schema() as name",
        "tests/there.sql": "select * from total where asked <> n",
    }
    run(models, target_schema="public")
    assert rows("select * from total") == [(10, 1, 1, 1)]
    run({"seeds/raw_orders.csv": "id\n1\n5\n"}, target_schema="public")
    assert rows("select * from total") == [(60, 2, 2, 1)]
    assert rows("select n, name from as_view, schema") == [(2, "public")]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_template_that_looks_for_tables_finds_those_of_all_seeds(
    run: Run, rows: Rows, threads: int
) -> None:
    models = {
        "dbt_project.yml": "name: shop\nmodels: {+schema: shop}\nseeds: {+schema: shop}\n",
        "seeds/event_a.csv": "id\n1\n",
        "seeds/event_b.csv": "id\n" + "2\n" * 20_000,
        "models/a_union.sql": """
            {% for name in ['event_a', 'event_b', 'event_c'] %}
            {% set relation = adapter.get_relation(none, 'shop', name) %}
            {% if relation %} select distinct id from {{ relation }} union all {% endif %}
            {% endfor %}
            select {{ adapter.list_relations(none, 'shop') | map(attribute='name')
                      | select('in', ['event_a', 'event_b']) | list | length }}
        """,
        "seeds/c_broken.csv": "id,id\n1,2\n",
    }
    with pytest.raises(RunFailedError, match="c_broken"):
        run(models, threads=threads)
    (seen,) = rows("select array_agg(id order by id) from shop__build.a_union")
    assert seen == ([1, 2, 2],)
