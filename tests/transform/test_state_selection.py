"""``state:`` in a selection tells nodes apart as dbt does, also those that nothing is built of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from datapipe import transform
from datapipe.transform import Options
from datapipe.warehouse import Warehouse

YAML = """
sources: [{name: ext, tables: [{name: prices}]}]
models:
  - {name: a, columns: [{name: id, data_tests: [positive]}]}
  - {name: b, config: {contract: {enforced: true}}, columns: [{name: id, data_type: int}]}
unit_tests:
  - {name: u, model: b, given: [{input: ref('e'), rows: [{id: 1}]}], expect: {rows: [{id: 1}]}}
exposures:
  - {name: x, type: dashboard, owner: {email: a@b.c}, depends_on: [ref('b')]}
"""
TABLE = "{{ config(materialized='table') }} "
FILES = {
    "models/some.yml": YAML,
    "models/a.sql": TABLE + "select id from {{ source('ext', 'prices') }}",
    "models/b.sql": TABLE + "select id from {{ ref('e') }}",
    "models/e.sql": "{{ config(materialized='ephemeral') }}"
    "select {{ two('id') }} as id from {{ ref('a') }}",
    "macros/one.sql": "{% macro one(x) %}{{ x }}{% endmacro %}",
    "macros/two.sql": "{% macro two(x) %}{{ one(x) }}{% endmacro %}",
    "tests/generic/positive.sql": "{% test positive(model, column_name) %}"
    "select * from {{ model }} where {{ column_name }} < 0{% endtest %}",
}


# What is changed, the part of state:modified that is asked for, and what is found.
CHANGES = [
    ("macros/one.sql", "{{ x }}", "({{ x }})", ".macros", {"e"}),
    ("models/e.sql", "select ", "select  ", ".body", {"e"}),
    ("models/a.sql", "table'", "table', alias='aa'", ".relation", {"a"}),
    ("models/a.sql", "table'", "table', alias='aa'", ".configs", set()),
    ("models/some.yml", "name: a, ", "name: a, config: {tags: [t]}, ", "", set()),
    ("models/e.sql", "('a') }}", "('a') }}\n\n", "", set()),
    ("models/some.yml", "name: a, ", "name: a, access: public, ", ".configs", {"a"}),
    (
        "models/some.yml",
        "enforced: true}",
        "enforced: true}, persist_docs: {relation: true}",
        ".persisted_descriptions",
        set(),
    ),
    ("models/b.sql", "'table'", "'view'", ".contract", {"b"}),
    ("models/some.yml", "{name: prices", "{name: prices, identifier: p2", ".relation", {"prices"}),
    ("models/some.yml", "dashboard", "notebook", "", {"x"}),
    ("models/some.yml", "expect: {rows: [{id: 1}", "expect: {rows: [{id: 2}", "", {"u"}),
    ("models/some.yml", "expect: {rows: [{id: 1}", "expect: {rows: [{id: 2}", ".body", set()),
    ("tests/generic/positive.sql", "< 0", "< -1", ".macros", {"positive_a_id"}),
]


def test_what_was_modified_is_found(
    run: Any, write: Any, warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    connection.execute("create schema ext; create table ext.prices as select 1 as id")
    run(FILES)

    def chosen(criterion: str) -> set[str]:
        asked = Options(project_dir=write({}), select=[criterion], indirect="empty")
        nodes, _ = transform.listed(asked, lambda: warehouse)
        return {node.name for node in nodes}

    assert chosen("state:modified") == chosen("state:new") == set()
    for file, old, new, part, found in CHANGES:
        write({file: FILES[file].replace(old, new)})
        assert chosen(f"state:modified{part}") == found, (file, part)
        write({file: FILES[file]})
    write({"tests/new.sql": "select 1 where false"})
    assert chosen("state:new") == chosen("state:modified.contract") == {"new"}
    assert chosen("state:modified.macros") == set()


def test_what_was_changed_without_being_built_again_is_known_by_the_next_run(
    run: Any, write: Any, warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    connection.execute("create schema ext; create table ext.prices as select 1 as id")
    run(FILES)
    folder: Path = write({"models/a.sql": "{# said #}" + FILES["models/a.sql"]})

    def modified() -> set[str]:
        asked = Options(project_dir=folder, select=["state:modified"], indirect="empty")
        return {node.name for node in transform.listed(asked, lambda: warehouse)[0]}

    assert modified() == {"a"}
    assert {each.status for each in run().results} == {"reused"}
    assert modified() == set()
