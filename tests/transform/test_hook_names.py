"""What hooks name is what the run has, however they write it: it stands aside until the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]


def test_a_key_that_a_hook_points_at_what_is_built_later_refers_to_the_new_table(
    run: Run, rows: Rows
) -> None:
    add = "alter table {{ this }} add foreign key (id) references shop.firm"
    files = {
        "dbt_project.yml": "{name: shop, models: {+schema: shop, +materialized: table}}",
        "models/a.sql": f"""
            {{{{ config(post_hook="{{% if var('id', 1) > 1 %}}{add}{{% endif %}}") }}}}
            select 1 as id
        """,
        "models/firm.sql": """
            {{ config(post_hook="alter table {{ this }} add primary key (id)") }}
            select generate_series(1, {{ var('id', 1) }}) as id, (select pg_sleep(0.1))::text
        """,
    }
    to = "select conrelid::regclass::text, confrelid = 'shop.firm'::regclass from pg_constraint"
    for number in (1, 2, 3):
        done = run(files, variables={"id": number}, threads=2)
        assert done.warnings == ()
    assert rows(f"{to} where contype = 'f'") == [("shop.a", True)]
