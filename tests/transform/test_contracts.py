"""Contracts: what a model promises of its columns is checked before it is built, and held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]

YAML = """
    models:
      - name: orders
        constraints:
          - {type: unique, columns: [id, "\\"Größe\\""], name: once}
          - {type: foreign_key, columns: [who], to: "ref('people')", to_columns: [id]}
        columns:
          - {name: who, data_type: int}
          - {name: id, data_type: int, constraints: [{type: not_null}, {type: primary_key}]}
          - {name: Größe, quote: true, data_type: varchar(9), constraints:
               [{type: check, expression: "length(\\"Größe\\") > 1"}]}
      - name: people
        columns: [{name: id, data_type: int, constraints: [{type: primary_key}]}]
"""
FILES = {
    "dbt_project.yml": """
        name: shop
        models: {+schema: shop, +materialized: table, +contract: {enforced: true}}
    """,
    "models/orders.yml": YAML,
    "models/people.sql": "select 1 as id",
    "models/orders.sql": """
        select 'xl'::text as "Größe", {{ var('id', 1) }} as id, {{ var('who', 1) }} as who
        from {{ ref('people') }}
    """,
}


def test_columns_and_constraints_are_made_as_declared(run: Run, rows: Rows) -> None:
    for number in (1, 2):
        run(FILES, variables={"id": number})
    columns = "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute"
    assert rows(f"{columns} where attrelid = 'shop.orders'::regclass and attnum > 0") == [
        ("who", "integer", False), ("id", "integer", True), ("Größe", "character varying(9)", False)
    ]  # fmt: skip
    made = "select contype, pg_get_constraintdef(oid) from pg_constraint"
    assert rows(f"{made} where conrelid = 'shop.orders'::regclass and contype <> 'n' order by 1")[
        1:3
    ] == [("f", "FOREIGN KEY (who) REFERENCES shop.people(id)"), ("p", "PRIMARY KEY (id)")]
    # The foreign key of a table that is not built again refers to the new table, too.
    run(select=["people"], full_refresh=True, variables={"id": 3})
    assert len(rows(f"{made} where conrelid = 'shop.orders'::regclass and contype = 'f'")) == 1


def test_a_string_is_text_unless_alias_types_is_off(run: Run, rows: Rows) -> None:
    contract = "{enforced: true, alias_types: %s}"
    text = """
        models:
          - {name: a, config: {contract: %s, materialized: table},
             columns: [{name: v, data_type: String}]}
    """
    seen = "'{{ model.columns.v.data_type }} {{ graph.nodes['model.shop.a'].columns.v.data_type }}'"
    files = {"dbt_project.yml": "{name: shop, models: {+schema: shop}}"}
    files["models/a.sql"] = f"select {seen} as v"
    run(files | {"models/a.yml": text % "{enforced: true}"})
    typed = "select pg_typeof(v)::text, v from shop.a"
    assert rows(typed) == [("text", "TEXT String")]
    with pytest.raises(ProjectError, match=r'a\.yml.*type "string" does not exist'):
        run({"models/a.yml": text % (contract % "false")})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models/people.sql": "select 'x' as id"}, r"id +\| text +\| int +\| another data type"),
        ({"models/people.sql": "select 1 as id, 2 as more"}, "missing in the contract"),
        ({"models/people.sql": "select 1 as name"}, "missing in the model"),
        ({"models/people.sql": "select null::int as id"}, "its constraints forbid"),
        ({"models/people.sql": "select 1 as idd, nothing as id"}, 'column "nothing" does not'),
    ],
)
def test_a_broken_contract_names_what_differs_and_nothing_is_published(
    run: Run, rows: Rows, change: dict[str, str], said: str
) -> None:
    with pytest.raises(ProjectError, match=said):
        run({**FILES, **change})
    assert rows("select to_regclass('shop.people')") == [(None,)]


GROWING = {
    "dbt_project.yml": """
        name: shop
        models: {+schema: shop, +materialized: table, +contract: {enforced: true},
                 +on_schema_change: append_new_columns}
    """,
    "models/some.yml": """
        models:
          - name: people
            config: {materialized: incremental, incremental_strategy: merge, unique_key: id,
                     full_refresh: "{{ var('full', none) }}"}
            columns: [{name: id, data_type: int, constraints: [{type: primary_key}]}]
          - name: orders
            constraints:
              - {type: foreign_key, columns: [who], to: "ref('people')", to_columns: [id], name: k}
            columns: [{name: who, data_type: int}]
          - name: lines
            config: {materialized: incremental, post_hook: "update {{ this }} set who = who"}
            columns: [{name: who, data_type: int, constraints: [
                         {type: foreign_key, expression: "{{ target.schema }}_shop.people (id)"}]}]
    """,
    "models/people.sql": "select n as id from generate_series(1, {{ var('n') }}) n",
    "models/orders.sql": "select id + {{ var('more', 0) }} as who from {{ ref('people') }}",
    "models/lines.sql": "select id as who from {{ ref('people') }} where id >= {{ var('n') }}",
    "macros/schema_name.sql": "",
}


def test_a_foreign_key_may_refer_to_a_table_that_grows_in_the_same_run(
    run: Run, rows: Rows
) -> None:
    keys = (
        "select conrelid::regclass::text, conname, confrelid::regclass::text from pg_constraint "
        "where contype = 'f' order by 1"
    )
    for number, full in ((1, None), (2, None), (3, True)):
        run(GROWING, variables={"n": number, "full": full})
        assert rows(keys) == [
            ("public_shop.lines", "lines_who_fkey", "public_shop.people"),
            ("public_shop.orders", "k", "public_shop.people"),
        ]
        counted = "select count(*), max(who) from public_shop."
        assert rows(counted + "orders") == rows(counted + "lines") == [(number, number)]
    with pytest.raises(ProjectError, match=r"Key \(who\)=\(4\) is not present") as caught:
        run(variables={"n": 3, "more": 2})
    assert caught.value.model == "orders"


def test_what_grows_may_refer_to_what_a_swapped_table_gains(run: Run, rows: Rows) -> None:
    files = {
        "dbt_project.yml": FILES["dbt_project.yml"],
        "models/orders.yml": """
            models:
              - name: orders
                config: {materialized: incremental, on_schema_change: append_new_columns}
                constraints:
                  - {type: foreign_key, columns: [who], to: "ref('people')", to_columns: [id]}
                columns: [{name: who, data_type: int}]
              - name: people
                columns: [{name: id, data_type: int, constraints: [{type: primary_key}]}]
        """,
        "models/people.sql": "select generate_series(1, {{ var('n', 1) }}) as id",
        "models/orders.sql": "select max(id) as who from {{ ref('people') }}",
    }
    run(files)
    run(variables={"n": 2})
    assert rows("select who from shop.orders order by 1") == [(1,), (2,)]
    made = "select count(*) from pg_constraint where conrelid = 'shop.orders'::regclass"
    assert rows(f"{made} and contype = 'f'") == [(1,)]


def test_a_table_that_gains_a_column_keeps_its_constraints(run: Run, rows: Rows) -> None:
    yaml = """
        models:
          - name: people
            config: {materialized: incremental, incremental_strategy: merge, unique_key: id}
            constraints: [{type: check, expression: id > 0, name: positive}]
            columns:
              - {name: id, data_type: int, constraints: [{type: primary_key}]}
    """
    run({"dbt_project.yml": GROWING["dbt_project.yml"], "models/some.yml": yaml,
         "models/people.sql": "select 1 as id"})  # fmt: skip
    more = "select n as id, 'x'::text as more from generate_series(1, 2) n"
    yaml += "          - {name: more, data_type: text}\n"
    run({"models/some.yml": yaml, "models/people.sql": more})
    assert rows("select id, more from shop.people order by 1") == [(1, "x"), (2, "x")]
    kept = "select conname from pg_constraint where conrelid = 'shop.people'::regclass"
    assert rows(f"{kept} and contype <> 'n' order by 1") == [("people_pkey",), ("positive",)]


def test_a_new_foreign_key_refers_to_a_table_that_stays_the_table_it_is(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    people = {name: FILES[name] for name in ("dbt_project.yml", "models/people.sql")}
    run({**people, "models/orders.yml": YAML})
    connection.execute(
        "create function mine(shop.people) returns int language sql as 'select $1.id'"
    )
    was = rows("select 'shop.people'::regclass::oid")
    run(FILES, full_refresh=True)
    key = "select confrelid from pg_constraint where conrelid = 'shop.orders'::regclass"
    assert rows(f"{key} and contype = 'f'") == was


def test_the_constraints_of_a_view_are_not_enforced_and_that_is_said(run: Run, rows: Rows) -> None:
    transformed = run(
        {
            "dbt_project.yml": "{name: shop, models: {+schema: shop}}",
            "models/people.sql": "select null::int as id",
            "models/people.yml": """
                models:
                  - name: people
                    config: {contract: {enforced: true}}
                    columns: [{name: id, data_type: int, constraints: [{type: not_null}]}]
            """,
        }
    )
    assert rows("select id from shop.people") == [(None,)]
    assert any("constraints are not enforced" in warning for warning in transformed.warnings)
