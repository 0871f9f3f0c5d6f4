"""Data tests hold what was built aside; if one fails, nothing is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError, RunFailedError, TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

ORDERS = {
    "models/customers.sql": """
        {{ config(materialized='table') }}
        select * from (values (1, 'Ann'), (2, 'Bob')) as c (id, name)
    """,
    "models/orders.sql": """
        {{ config(materialized='table') }}
        select * from (values (1, 1, 'paid'), (2, 2, 'sent')) as o (id, customer_id, state)
    """,
    "models/schema.yml": """
        models:
          - name: customers
            columns:
              - {name: id, data_tests: [not_null, unique]}
          - name: orders
            columns:
              - name: id
                tests: [not_null, unique]
              - name: customer_id
                data_tests:
                  - relationships: {to: ref('customers'), field: id}
                  - relationships:
                      name: customers_once_more
                      arguments: {to: ref('customers'), field: id}
              - name: state
                data_tests:
                  - accepted_values:
                      arguments: {values: [paid, sent]}
    """,
}


def test_tests_that_hold_are_told_with_their_names(run: Run) -> None:
    transformed = run(ORDERS)
    assert {test.name for test in transformed.tests} == {
        "not_null_customers_id",
        "unique_customers_id",
        "not_null_orders_id",
        "unique_orders_id",
        "relationships_orders_customer_id__id__ref_customers_",
        "customers_once_more",
        "accepted_values_orders_state__paid__sent",
    }
    assert {test.status for test in transformed.tests} == {"pass"}


def test_each_failing_test_is_told_with_its_rows_and_nothing_is_published(
    run: Run, rows: Any
) -> None:
    run(ORDERS)
    with pytest.raises(TestsFailedError) as caught:
        run(
            {
                "models/orders.sql": """
                    {{ config(materialized='table') }}
                    select * from (values
                        (1, 1, 'paid'), (1, 3, 'lost'), (null, 4, null), (5, 1, 'lost')
                    ) as o (id, customer_id, state)
                """
            }
        )
    error = caught.value
    assert set(error.failed) == {
        "not_null_orders_id",
        "unique_orders_id",
        "relationships_orders_customer_id__id__ref_customers_",
        "customers_once_more",
        "accepted_values_orders_state__paid__sent",
    }
    message = str(error)
    assert message.startswith("5 of 7 data tests failed; nothing was published.")
    assert "not_null_orders_id (" in message
    assert "schema.yml:8): 1 row\n" in message
    assert "customers_once_more" in message
    assert "): 2 rows\n" in message
    assert rows("select id from shop.orders order by id") == [(1,), (2,)]
    told = message.partition("not_null_orders_id (")[2].partition(";")[0].splitlines()
    assert [line.strip() for line in told[1:4]] == [
        "id   | customer_id | state",
        "-----+-------------+------",
        "null | 4           | null",
    ]
    assert rows("\n".join(told[4:])) == [(None, 4, None)]
    (result,) = (each for each in error.results if each.name == "not_null_orders_id")
    assert (result.columns, result.rows) == (
        ("id", "customer_id", "state"),
        ((None, "4", None),),
    )


def test_the_next_run_drops_what_a_failed_one_left_aside(run: Run, rows: Any) -> None:
    broken = {"tests/no_rows.sql": "select 1 from {{ ref('orders') }}"}
    with pytest.raises(TestsFailedError):
        run({**ORDERS, **broken})
    aside = "select nspname from pg_namespace where nspname like 'shop%%' order by 1"
    assert rows(aside.replace("%%", "%")) == [("shop__build",)]
    run({"tests/no_rows.sql": "select 1 from {{ ref('orders') }} where id is null"})
    assert rows(aside.replace("%%", "%")) == [("shop",)]


def test_a_warning_is_told_and_does_not_stop_the_run(run: Run, rows: Any) -> None:
    transformed = run(
        {
            "models/a.sql": "select 1 as id union all select 1",
            "models/schema.yml": """
                models:
                  - name: a
                    columns:
                      - name: id
                        data_tests:
                          - unique: {config: {severity: warn}}
                          - not_null: {severity: warn}
            """,
            "tests/no_ones.sql": "{{ config(severity='warn') }} select * from {{ ref('a') }}",
        }
    )
    told = {test.name: (test.model, test.status, test.failures) for test in transformed.tests}
    assert told == {
        "unique_a_id": ("a", "warn", 1),
        "not_null_a_id": ("a", "pass", 0),
        "no_ones": ("a", "warn", 2),
    }
    assert rows("select count(*) from shop.a") == [(2,)]


def test_where_limit_and_thresholds_count_as_in_dbt(run: Run) -> None:
    transformed = run(
        {
            "models/a.sql": "select nullif(n, 3) as id, n from generate_series(1, 9) as n",
            "models/schema.yml": """
                models:
                  - name: a
                    columns:
                      - name: id
                        data_tests:
                          - not_null: {name: elsewhere, config: {where: n <> 3}}
                          - not_null: {name: few, config: {error_if: "> 1"}}
            """,
            "tests/small.sql": """
                {{ config(severity='error', error_if='>5', warn_if='>3', limit=5) }}
                select * from {{ ref('a') }}
            """,
            "tests/summed.sql": """
                {{ config(fail_calc='sum(n)', severity='warn') }}
                select n from {{ ref('a') }} where n > 7
            """,
        }
    )
    told = {test.name: (test.status, test.failures) for test in transformed.tests}
    assert told == {
        "elsewhere": ("pass", 0),
        "few": ("warn", 1),
        "small": ("warn", 5),
        "summed": ("warn", 17),
    }


def test_generic_tests_of_the_user_run_on_models_and_columns(run: Run) -> None:
    with pytest.raises(TestsFailedError) as caught:
        run(
            {
                "models/a.sql": "select 1 as id, 2 as n",
                "tests/generic/below.sql": """
                    {% test below(model, column_name, limit_value=10) %}
                    select * from {{ model }} where not {{ column_name }} < {{ limit_value }}
                    {% endtest %}
                """,
                "macros/has_rows.sql": """
                    {% test has_rows(model, at_least) %}
                    select count(*) from {{ model }} having count(*) < {{ at_least }}
                    {% endtest %}
                """,
                "models/schema.yml": """
                    models:
                      - name: a
                        data_tests:
                          - has_rows: {at_least: 1}
                          - has_rows: {arguments: {at_least: "{{ 1 + 1 }}"}}
                        columns:
                          - name: n
                            data_tests:
                              - below
                              - below: {limit_value: 2}
                """,
            }
        )
    assert set(caught.value.failed) == {"has_rows_a__1_1_", "below_a_n__2"}


def test_tests_hold_ephemeral_models_and_sources_too(
    run: Run, connection: psycopg.Connection
) -> None:
    connection.execute(
        "create table public.bought (id int); insert into public.bought values (null)"
    )
    with pytest.raises(TestsFailedError) as caught:
        run(
            {
                "models/base.sql": "{{ config(materialized='ephemeral') }} select null::int as id",
                "models/schema.yml": """
                    models:
                      - name: base
                        columns: [{name: id, data_tests: [not_null]}]
                    sources:
                      - name: outside
                        schema: public
                        tables:
                          - name: things
                            identifier: bought
                            columns: [{name: id, data_tests: [not_null]}]
                """,
            }
        )
    assert set(caught.value.failed) == {"not_null_base_id", "source_not_null_outside_things_id"}


KEPT = {
    "models/a.sql": """
        {{ config(materialized='table') }}
        select n as id, nullif(n, 3) as part, repeat('x', 100) as wide
        from generate_series(1, 9) as n
    """,
    "models/schema.yml": """
        models:
          - name: a
            columns:
              - name: part
                data_tests:
                  - not_null: {config: {store_failures: true, severity: WARN}}
                  - accepted_values:
                      arguments: {values: [1, 2, 4, 5, 6, 7, 8, 9], quote: false}
                      config: {store_failures_as: table, alias: strange_parts}
                  - unique: {config: {store_failures_as: ephemeral, store_failures: true}}
    """,
    "tests/large.sql": """
        {{ config(store_failures_as='view', severity='warn', limit=2, schema='audit') }}
        select * from {{ ref('a') }} where id > 5
    """,
}

RELATIONS = """
    select format('%%s.%%s %%s', relnamespace::regnamespace, relname, relkind) from pg_class
    where relnamespace in (select oid from pg_namespace where nspname ~ 'audit')
        and relkind in ('r', 'v') order by 1
"""


def test_failures_are_kept_where_dbt_keeps_them_also_when_nothing_is_published(
    run: Run, rows: Any
) -> None:
    relations = RELATIONS.replace("%%", "%")
    kept = ["audit.large v", "dbt_test__audit.not_null_a_part r", "dbt_test__audit.strange_parts r"]
    transformed = run(KEPT)
    assert {test.stored_in for test in transformed.tests} == {
        "",
        '"audit"."large"',
        '"dbt_test__audit"."not_null_a_part"',
        '"dbt_test__audit"."strange_parts"',
    }
    assert [row[0] for row in rows(relations)] == kept
    assert rows("select id, part from dbt_test__audit.not_null_a_part") == [(3, None)]
    assert rows("select count(*) from dbt_test__audit.strange_parts") == [(0,)]
    assert rows("select count(*), min(id) from audit.large") == [(2, 6)]
    # The model changes its shape, and a test fails: the view reads what lies aside until then.
    fewer = "select n as id, n as part, n * 2 as more from generate_series(7, 12) as n"
    with pytest.raises(TestsFailedError) as caught:
        run({"models/a.sql": "{{ config(materialized='table') }} " + fewer})
    assert [row[0] for row in rows(relations)] == kept
    assert rows("select * from dbt_test__audit.strange_parts order by 1") == [
        (10, 1),
        (11, 1),
        (12, 1),
    ]
    assert 'select * from "dbt_test__audit"."strange_parts";' in str(caught.value)
    assert rows("select id, more from audit.large order by id") == [(7, 14), (8, 16)]
    assert rows("select count(*) from shop.a") == [(9,)]
    run({"models/a.sql": "select n as id, n as part from generate_series(7, 9) as n"})
    assert rows("select id from audit.large order by id") == [(7,), (8,)]


def test_failures_are_kept_where_a_run_asks_for_it_unless_the_test_says_otherwise(
    run: Run, rows: Any
) -> None:
    files = {
        "models/a.sql": "{{ config(materialized='table') }} select 1 as id",
        "tests/silent.sql": "select * from {{ ref('a') }} where {{ should_store_failures() }}",
        "tests/never.sql": "{{ config(store_failures=false) }} select 1 as id limit 0",
        "tests/seen.sql": "{{ config(store_failures_as='view') }} select 1 as id limit 0",
    }
    run(files)
    with pytest.raises(TestsFailedError) as caught:
        run(store_failures=True)  # which is another test, though nothing changed
    tests = [each for each in caught.value.results if each.resource_type == "test"]
    assert {each.name: each.stored_in for each in tests if each.status != "reused"} == {
        "silent": '"dbt_test__audit"."silent"'
    }
    assert {each.name for each in tests} == {"silent", "never", "seen"}
    assert rows("select id from dbt_test__audit.silent") == [(1,)]


def test_keeping_failures_destroys_nothing(run: Run, rows: Any, connection: Any) -> None:
    connection.execute("create schema audit; create table audit.mine as select 1 as id")
    with pytest.raises(RunFailedError) as caught:
        run(
            {
                "models/a.sql": "{{ config(materialized='table') }} select 1 as id",
                "tests/one.sql": """
                    {{ config(store_failures=true, schema='audit', alias='mine') }}
                    select * from {{ ref('a') }}
                """,
                "tests/two.sql": """
                    {{ config(store_failures=true, schema='shop', alias='a') }}
                    select * from {{ ref('a') }}
                """,
                "tests/three.sql": """
                    {{ config(store_failures_as='file') }} select * from {{ ref('a') }}
                """,
            }
        )
    assert set(caught.value.failed) == {"one", "two", "three"}
    assert "datapipe did not make what stands there" in str(caught.value)
    assert "which holds other data" in str(caught.value)
    assert "store_failures_as is table, view or ephemeral, not file" in str(caught.value)
    assert rows("select id from audit.mine") == [(1,)]


def test_a_test_that_cannot_be_run_is_an_error_with_its_line_beside_those_that_fail(
    run: Run, rows: Any
) -> None:
    with pytest.raises(RunFailedError) as caught:
        run(
            {
                "models/a.sql": "select 1 as id",
                "tests/broken.sql": "select *\nfrom {{ ref('a') }}\nwhere idd is null",
                "tests/refuses.sql": """
                    -- what it finds wrong, it finds out when it is run
                    {% if execute %}{{ exceptions.raise_compiler_error('not today') }}{% endif %}
                    select * from {{ ref('a') }}
                """,
                "tests/fails.sql": """
                    {% set found = run_query('select count(*) from ' ~ ref('a')) %}
                    select {{ found.columns[0].values()[0] if execute else 0 }} from {{ ref('a') }}
                """,
                "tests/off.sql": "{{ config(enabled=false) }} select 1",
                "tests/passes.sql": "select * from {{ ref('a') }} where id > 1",
            }
        )
    ended = {each.name: (each.status, each.line) for each in caught.value.results}
    assert ended == {
        "a": ("success", None),
        "broken": ("error", 3),
        "refuses": ("error", 2),
        "fails": ("fail", 1),
        "passes": ("pass", 1),
    }
    message = str(caught.value)
    assert 'column "idd" does not exist. Perhaps you meant' in message
    assert "refuses.sql:2: not today" in message
    assert "fails (" in message
    assert rows("select to_regclass('shop.a')") == [(None,)]


def test_wide_tables_of_rows_are_cut_and_nothing_in_them_moves_the_cursor(run: Run) -> None:
    with pytest.raises(TestsFailedError) as caught:
        run(
            {
                "models/a.sql": """
                    select n, e'one\\ntwo\\x1b[2J' as moving, repeat('w', 50) as wide, '' as empty,
                        n as c1, n as c2, n as c3, n as c4, n as c5, n as c6, n as c7, n as c8
                    from generate_series(1, 7) as n
                """,
                "tests/none.sql": "select * from {{ ref('a') }} order by n",
            }
        )
    lines = str(caught.value).splitlines()
    (head,) = (n for n, line in enumerate(lines) if line.startswith("    n | moving"))
    assert lines[head].endswith(" | ...")
    assert lines[head + 2].startswith("    1 | one\\ntwo?[2J | wwwwwwwwwwwwwwwwwwwwwwwwwww... | ''")
    assert lines[head + 7] == "    and 2 more"
    assert max(map(len, lines[head : head + 7])) <= 104


def test_tests_of_one_name_are_two_as_in_dbt_unless_they_keep_rows_in_one_table(run: Run) -> None:
    text = """
        models:
          - name: a
            columns:
              - name: id
                data_tests:
                  - accepted_values: {arguments: {values: ['1!']}}
                  - accepted_values: {arguments: {values: ['1?']}, config: {severity: warn}}
                  - not_null: {name: mine}
                  - unique: {name: mine}
    """
    done = run({"models/a.sql": "select '1!' as id", "models/a.yml": text})
    assert [(test.name, test.status) for test in sorted(done.tests, key=lambda t: t.unique_id)] == [
        ("accepted_values_a_id__1_", "pass"),
        ("accepted_values_a_id__1_", "warn"),
        ("mine", "pass"),
        ("mine", "pass"),
    ]
    with pytest.raises(ProjectError, match="accepted_values_a_id__1_ would keep its rows") as told:
        run(store_failures=True)
    assert told.value.line == 7
