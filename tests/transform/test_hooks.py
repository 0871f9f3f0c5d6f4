"""``on-run-start`` and ``on-run-end`` are sent around a run, as dbt sends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datapipe.errors import ProjectError, PublishError, RunFailedError, TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

PROJECT = """
    name: shop
    models: {+schema: shop}
    on-run-start: "create schema if not exists tools"
    on-run-end:
      - "create table tools.seen as select id, '{{ schemas[0] }}' as schemas from {{ ref('a') }}"
      - "{{ nothing_to_do() }}"
      - "insert into tools.seen values (2, '100% {{ target.schema }}')"
"""
FILES = {
    "dbt_project.yml": PROJECT,
    "macros/nothing.sql": "{% macro nothing_to_do() %} {% endmacro %}",
    "models/a.sql": "{{ config(materialized='table') }} select 1 as id",
}


def test_statements_run_before_the_build_and_after_the_publication(run: Run, rows: Any) -> None:
    run(FILES)
    assert rows("select * from tools.seen order by id") == [(1, "shop"), (2, "100% public")]


def test_a_broken_end_says_that_the_models_are_published(run: Run, rows: Any) -> None:
    with pytest.raises(ProjectError, match=r"The models had been published\."):
        run({**FILES, "dbt_project.yml": f"{PROJECT}      - select nothing_there\n"})
    assert rows("select id from shop.a") == [(1,)]
    assert rows("select 1 from pg_namespace where nspname like 'shop\\_\\_%'") == []


KEYED = {
    "dbt_project.yml": """
        name: shop
        models: {+schema: shop, +materialized: table}
        on-run-end:
          - "{{ constrain('people', 'one', 'primary key (id)') }}"
          - "{{ constrain('orders', 'one', 'unique (id)') }}"
          - "{{ constrain('orders', 'of', 'foreign key (who) references shop.people (id)') }}"
          - "{{ constrain('grown', 'of', 'foreign key (who) references shop.people (id)
              deferrable initially deferred') }}"
    """,
    "macros/constrain.sql": """
        {% macro constrain(table, what, made) %}
          {% set name = table ~ '_' ~ what %}
          {% if run_query("select 1 from pg_constraint where conname = '" ~ name ~ "' and "
                          "conrelid = 'shop." ~ table ~ "'::regclass") | length == 0 %}
            {% call statement('key', auto_begin=True) %}
              alter table shop.{{ table }} add constraint {{ name }} {{ made }}
            {% endcall %}
            {% do adapter.commit() %}
          {% endif %}
        {% endmacro %}
    """,
    "models/people.sql": "select {{ var('id', 1) }} as id",
    "models/orders.sql": "select {{ var('id', 1) }} as id, id as who from {{ ref('people') }}",
    "models/grown.sql": """
        {{ config(materialized='incremental') }}
        select id as who from {{ ref('people') }}
    """,
}


def test_constraints_that_the_end_makes_are_left_to_it_and_those_of_others_are_kept(
    run: Run, rows: Any, connection: Any
) -> None:
    made = (
        "select conname from pg_constraint where connamespace = 'shop'::regnamespace "
        "and contype <> 'n' order by 1"
    )
    run(KEYED)
    keys = rows(made)
    assert keys == [("grown_of",), ("orders_of",), ("orders_one",), ("people_one",)]
    connection.execute("delete from shop.grown")  # or it would break
    done = run(variables={"id": 2})
    assert rows("select * from shop.orders, shop.grown") == [(2, 2, 2)]
    assert rows(made) == keys
    assert done.warnings == ()
    before = rows("select 'shop.orders'::regclass::oid::int")
    connection.execute("alter table shop.orders add constraint mine check (id > 0)")
    run(variables={"id": 2}, select=["orders"], rebuild=True)
    assert rows("select 'shop.orders'::regclass::oid::int") == before
    assert rows(made) == sorted([*keys, ("mine",)])


ENDED = """
    name: shop
    models: {+schema: shop}
    on-run-end:
      - create table if not exists public.ended (name text, status text, message text, schemas text)
      - "{% for each in results %} insert into public.ended values ('{{ each.node.name }}',
        '{{ each.status }}', $${{ each.message or '' }}$$, '{{ schemas | join }}'); {% endfor %}"
"""


def test_the_end_of_a_run_that_failed_is_told_and_nothing_is_published_by_it(
    run: Run, rows: Any, connection: Any
) -> None:
    table = "{{ config(materialized='table') }} "
    ended = "select name, status, schemas from public.ended order by 1"
    files = {
        "dbt_project.yml": ENDED,
        "models/a.sql": table + "select 1 as id",
        "models/b.sql": table + "select 1 / {{ var('n', 0) }} as id from {{ ref('a') }}",
        "models/c.sql": "select id from {{ ref('b') }}",
        "models/e.yml": "exposures: [{name: e, type: dashboard, owner: {name: me}, "
        "depends_on: [ref('c')]}]",
        "tests/one.sql": "select * from {{ ref('a') }} where id <> 1",
    }
    with pytest.raises(RunFailedError):
        run(files)
    assert rows(ended) == [
        ("a", "skipped", ""), ("b", "error", ""), ("c", "skipped", ""), ("e", "skipped", ""),
        ("one", "pass", ""),
    ]  # fmt: skip
    assert rows("select to_regclass('shop.a')") == [(None,)]
    connection.execute("truncate public.ended")
    run(variables={"n": 1})
    assert rows(ended) == [
        ("a", "success", "shop"), ("b", "success", "shop"), ("c", "success", "shop"),
        ("e", "no-op", "shop"), ("one", "pass", "shop"),
    ]  # fmt: skip
    connection.execute("truncate public.ended; create view public.mine as select id from shop.a")
    with pytest.raises(PublishError):
        run({"models/a.sql": table + "select 1 as other"}, select=["a"], indirect="empty")
    assert rows("select name, status, message like 'It was not published:%' from public.ended") == [
        ("a", "error", True)
    ]


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("select oops", 'PostgreSQL stopped on-run-end: column "oops" does not exist.'),
        ("{{ results[0].node.oops.name }}", "'Node object' has no attribute 'oops'."),
    ],
)
def test_a_broken_end_of_a_run_that_failed_hides_nothing(run: Run, hook: str, said: str) -> None:
    with pytest.raises(TestsFailedError, match="1 of 1 data test failed") as caught:
        run(
            {
                "dbt_project.yml": f"name: shop\non-run-end: '{hook}'\n",
                "models/a.sql": "select 1 as id",
                "tests/none.sql": "select * from {{ ref('a') }}",
            }
        )
    (note,) = caught.value.__notes__
    assert note.endswith(said)


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ("\n  - select 1\n  - select nothing_there", "PostgreSQL stopped on-run-start"),
        ("\n  - select 1\n  - select {{ ref('b') }}", "There is no model b"),
        ("\n  - select 1\n  - [select]", "must be SQL, or a list of statements"),
    ],
)
def test_a_mistake_in_a_hook_is_found_at_its_line(run: Run, hooks: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said) as caught:
        run(
            {
                **FILES,
                "dbt_project.yml": f"name: shop\nmodels: {{+schema: shop}}\non-run-start:{hooks}\n",
            }
        )
    assert caught.value.path is not None
    assert (caught.value.path.name, caught.value.line) == ("dbt_project.yml", 5)


def test_results_are_what_packages_take_them_for(run: Run, rows: Any) -> None:
    """They write down how each node ended: with its times, its answer, its code and its names."""
    macro = """
        {% macro written(results) %}
        {% for each in results %}
          insert into tools.ended values (
            '{{ each.node.resource_type.value }} {{ each.status }} {{ each.status.name }} {{ ''
               }}{{ each.node.schema }}.{{ each.node.alias }}',
            $${{ each.message }} {{ each.failures }} {{ tojson(each.adapter_response) }}$$,
            {{ (each.timing | selectattr('name', 'eq', 'execute') | first).completed_at
               > run_started_at.replace(tzinfo=none) }},
            {{ each.node.config.full_refresh is none and each.node.depends_on.nodes | length }},
            $${{ each.node.to_dict()['compiled_code'] or '' }}$$,
            {{ each.to_dict().keys() | length + each.to_dict().timing | length }});
        {% endfor %}
        {% endmacro %}
    """
    run(
        {
            "dbt_project.yml": """
                name: shop
                models: {+schema: shop}
                on-run-start:
                  - create schema tools
                  - "create table tools.ended
                     (how text, said text, late bool, parents int, code text, keys int)"
                on-run-end: "{{ written(results) }}"
            """,
            "macros/written.sql": macro,
            "models/a.sql": "{{ config(materialized='table') }} select 1 as id",
            "models/b.sql": "select * from {{ ref('a') }}",
            "tests/odd.sql": "{{ config(severity='warn') }} select * from {{ ref('b') }}",
        }
    )
    view = '{"_message": "CREATE VIEW", "code": "CREATE VIEW", "rows_affected": -1}'
    warned = "Got 1 result, configured to warn if != 0"
    one = '{"_message": "SELECT 1", "code": "SELECT", "rows_affected": 1}'
    assert rows("select how, said, late, parents, keys from tools.ended order by parents, how") == [
        ("model success Success shop.a", f"SELECT 1 None {one}", True, 0, 12),
        ("model success Success shop.b", f"CREATE VIEW None {view}", True, 1, 12),
        ("test warn Warn dbt_test__audit.odd", f"{warned} 1 {one}", True, 1, 12),
    ]
    named = "regexp_replace(trim(code), '\"[^\"]*\"\\.', '')"
    assert rows(f"select {named} from tools.ended order by 1") == [
        ('select * from "shop"."a"',),
        ('select * from "shop"."b"',),
        ("select 1 as id",),
    ]


def test_results_come_in_the_order_in_which_dbt_with_one_thread_has_them(
    run: Run, rows: Any
) -> None:
    names = "results | map(attribute='node') | map(attribute='name') | join(' ')"
    run(
        {
            "dbt_project.yml": f"""
                name: shop
                models: {{+schema: shop}}
                on-run-end: "create table told as select '{{{{ {names} }}}}' as said"
            """,
            "models/e.sql": "{{ config(materialized='ephemeral') }} select 1 as id",
            "models/a.sql": "select id from {{ ref('z') }}",
            "models/z.sql": "select 1 as id",
            "models/f.sql": "select id from {{ ref('e') }}",
            "models/schema.yml": """
                models:
                  - {name: e, columns: [{name: id, data_tests: [unique: {name: of_e}]}]}
                  - {name: z, columns: [{name: id, data_tests: [unique: {name: of_z}]}]}
                unit_tests: [{name: unit_of_a, model: a, given: [{input: ref('z'), rows: []}],
                              expect: {rows: []}}]
            """,
            "seeds/s.csv": "id\n1\n",
            "tests/both.sql": "select * from {{ ref('a') }} join {{ ref('s') }} on false",
        }
    )
    assert rows("select said from told") == [("z s of_e of_z f unit_of_a a both",)]


def test_compiled_code_is_what_dbt_makes_of_it_to_the_last_space(run: Run, rows: Any) -> None:
    """Packages write it down, or what it hashes to."""
    run(
        {
            "dbt_project.yml": """
                name: shop
                models: {+schema: shop}
                on-run-end: "create table told as {% for each in results -%}
                  select $$x{{ each.node.compiled_code }}x$$ as code
                  {{- ' union all ' if not loop.last }}{% endfor %}"
            """,
            "models/e.sql": "{{ config(materialized='ephemeral') }}\nselect 1 as id\n\n \n",
            "models/a.sql": "-- c\nwith x as (select 1 as a)\nselect * from x, {{ ref('e') }}\n\n",
            "models/b.sql": "{% set n = 1 %}\nselect {{ n }} from {{ ref('e') }}",
        }
    )
    with_e = "__dbt__cte__e as (\n\nselect 1 as id\n)"
    assert sorted(rows("select code from told")) == [
        (f"x\nwith {with_e} select 1 from __dbt__cte__ex",),
        (f"x-- c\nwith  {with_e}, x as (select 1 as a)\nselect * from x, __dbt__cte__ex",),
    ]


def test_a_model_in_batches_shows_when_it_begins_and_how_it_ended(run: Run, rows: Any) -> None:
    batched = (
        "{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='at', "
        "unique_key='at', batch_size='year', begin='2026-01-01T06:00:00') }} "
        "select timestamp '2026-02-02' as at, '{{ model.config.begin.year }}' as said"
    )
    run(
        {
            "dbt_project.yml": """
                name: shop
                models: {+schema: shop}
                on-run-end: >-
                  create table shop.seen as select '{{ results[0].node.config.begin.isoformat() }}'
                  as begin, $${{ results[0].message }} {{ results[0].failures }} {{
                  results[0].adapter_response }} {{
                  results[0].to_dict().batch_results.successful[0][0] }}$$ as ended
            """,
            "models/m.sql": batched,
        }
    )
    assert rows("select * from shop.seen") == [
        ("2026-01-01T06:00:00", "SUCCESS 0 {} 2026-01-01T00:00:00+00:00")
    ]
    assert rows("select said from shop.m") == [("2026",)]


def test_what_is_reused_answers_as_dbt_has_it_done_again(run: Run, rows: Any) -> None:
    files = {
        "dbt_project.yml": """
            name: shop
            models: {+schema: shop, +materialized: table}
            seeds: {+schema: shop}
            on-run-end:
              - create table if not exists said (node text, message text, affected int)
              - "{% for each in results %}insert into said values ('{{ each.node.name }}',
                 '{{ each.message }}', {{ each.adapter_response['rows_affected'] }});{% endfor %}"
            """,
        "models/few.sql": "select * from {{ ref('seeded') }} where id > 1",
        "models/grown.sql": "{{ config(materialized='incremental', unique_key='id') }} select * "
        "from {{ ref('few') }} {{ 'where id > (select max(id) from ' ~ this ~ ')' if "
        "is_incremental() }}",
        "models/bound.sql": "{{ config(contract={'enforced': true}) }} "
        "select id from {{ ref('few') }}",
        "models/few.yml": """
            models: [{name: bound, columns: [{name: id, data_type: int}]}]
            unit_tests:
              - name: tested
                model: few
                given: [{input: ref('seeded'), rows: [{id: 1}, {id: 2}, {id: 3}]}]
                expect: {format: csv, rows: "id\\n2\\n3\\n"}
            """,
        "seeds/seeded.csv": "id\n1\n2\n3\n",
    }
    run(files)
    run()
    expected = [
        ("bound", "INSERT 0 2", 2),
        ("few", "SELECT 2", 2),
        ("grown", "INSERT 0 0", 0),
        ("seeded", "INSERT 3", 3),
        ("tested", "None", 4),
    ]
    for statuses in ({"success", "pass"}, {"reused"}):
        rows("delete from said returning node")
        assert {each.status for each in run(rebuild="success" in statuses).results} == statuses
        assert rows("select * from said order by node") == expected


def test_what_is_selected_is_told_as_by_dbt_and_that_seeds_are_not_compiled(
    run: Run, rows: Any
) -> None:
    told = "{{ selected_resources | map('first') | join }}"
    told += "{% for each in results %} {{ each.node.compiled }}{% endfor %}"
    run(
        {
            "dbt_project.yml": f"""
                name: shop
                models: {{+schema: shop}}
                on-run-end: create table told as select $${told}$$ as said
            """,
            "models/v.sql": "select id from {{ ref('s') }}",
            "models/schema.yml": """
                sources: [{name: a, schema: pg_catalog, tables: [{name: b}]}]
                unit_tests: [{name: u, model: v, given: [{input: ref('s'), rows: []}],
                              expect: {rows: []}}]
                models: [{name: v, columns: [{name: id, data_tests: [unique]}]}]
            """,
            "seeds/s.csv": "id\n1\n",
        }
    )
    assert rows("select said from told") == [("mst  True True True",)]


def test_a_hook_is_told_which_one_it_is_and_what_there_is(run: Run, rows: Any) -> None:
    told = "{{ this }} {{ model.unique_id }} {{ schemas | join }}{{ results | length }}"
    run(
        {
            "dbt_project.yml": f"""
                name: shop
                models: {{+schema: shop}}
                on-run-start: create table told as select '{told}' as said
                on-run-end: [select 1, "insert into told values ('{told}')"]
            """,
            "models/a.sql": "select 1 as id",
        }
    )
    assert rows("select said from told") == [
        ("None operation.shop.shop-on-run-start-0 0",),
        ("None operation.shop.shop-on-run-end-1 shop1",),
    ]


def test_what_a_macro_refuses_to_a_hook_names_the_hook(run: Run) -> None:
    refuse = "{% macro refuse() %}\n{% do exceptions.raise_compiler_error('no') %}\n{% endmacro %}"
    files = {"dbt_project.yml": "name: shop\non-run-start:\n  - '{{ refuse() }}'\n"}
    with pytest.raises(
        ProjectError, match=r"No\. It was called at .*dbt_project\.yml:3\."
    ) as caught:
        run({**files, "macros/refuse.sql": refuse})
    assert caught.value.path is not None
    assert (caught.value.path.name, caught.value.line) == ("refuse.sql", 2)


def test_a_mistake_in_a_macro_of_a_hook_is_told_where_it_is_written(run: Run, rows: Any) -> None:
    logged = "{% do run_query('insert into log values (1)') %}\ncreate temp table t (\n  a textt\n)"
    with pytest.raises(ProjectError, match="Did you mean text") as caught:
        run(
            {
                "dbt_project.yml": "name: shop\non-run-start:\n"
                "  - create table log (id int)\n  - '{{ logged() }}'\n",
                "macros/logged.sql": f"{{% macro logged() %}}\n{logged}\n{{% endmacro %}}",
                "models/a.sql": "select 1 as id",
            }
        )
    assert caught.value.path is not None
    assert (caught.value.path.name, caught.value.line) == ("logged.sql", 4)
    assert rows("select count(*) from log") == [(1,)]
