"""Data tests hold what was built aside; if one fails, nothing is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import TestsFailedError
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
    query = message.partition("not_null_orders_id (")[2].partition("\n")[2].partition(";")[0]
    assert rows(query) == [(None, 4, None)]


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
    assert caught.value.failed == ("has_rows_a__1_1_", "below_a_n__2")


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
