"""``on-run-start`` and ``on-run-end`` are sent around a run, as dbt sends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datapipe.errors import ProjectError, TestsFailedError
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


def test_on_run_end_is_not_sent_where_nothing_was_published(run: Run, rows: Any) -> None:
    with pytest.raises(TestsFailedError):
        run({**FILES, "tests/none.sql": "select * from {{ ref('a') }}"})
    assert rows("select to_regnamespace('tools') is null, to_regclass('tools.seen')") == [
        (False, None)
    ]


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ("\n  - select 1\n  - select nothing_there", "PostgreSQL stopped on-run-start"),
        ("\n  - select 1\n  - select {{ ref('b') }}", "There is no model b"),
        ("\n  - select 1\n  - [select]", "is SQL, or a list of it"),
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
