"""Materialized views are built aside, and then refer to what is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]

GROWN = """
    {{ config(materialized='incremental') }}
    select {{ var('run', 1) }} as id
"""
COUNTED = """
    {{ config(materialized='materialized_view', indexes=[{'columns': ['n'], 'unique': true}]) }}
    select count(*) as n, max(seen.id) as last from {{ ref('seen') }} join {{ ref('filled') }}
    using (run);  -- dbt puts no brackets round it
"""
FILES = {
    "models/grown.sql": GROWN,
    "models/seen.sql": "select id, {{ var('run', 1) }} as run from {{ ref('grown') }}",
    "models/filled.sql": "{{ config(materialized='table') }} select {{ var('run', 1) }} as run",
    "models/counted.sql": COUNTED,
    "models/upon.sql": "{{ config(materialized='materialized_view') }} "
    "select n from {{ ref('counted') }}",
}


def test_it_refers_to_what_is_published_whatever_becomes_of_its_inputs(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    run(FILES)
    # filled cannot be swapped now, grown gets an increment, and seen is a view
    connection.execute(
        "create function shop.all_filled() returns setof shop.filled language sql "
        "as 'select * from shop.filled'; create view public.mine as select n from shop.upon; "
        "grant select on shop.counted to public; "
        "comment on materialized view shop.counted is 'ours'"
    )
    for number in (2, 3):
        run(variables={"run": number})
        assert rows("select * from shop.counted") == [(number, number)]
        assert rows("select * from public.mine") == [(number,)]
    connection.execute("refresh materialized view shop.counted")
    assert rows("select * from shop.counted") == [(3, 3)]
    kept = "has_table_privilege('public', 'shop.counted', 'select')"
    assert rows(f"select obj_description('shop.counted'::regclass), {kept}") == [("ours", True)]
    assert rows("select count(*) from pg_indexes where tablename = 'counted'") == [(1,)]
    assert rows("select 1 from pg_namespace where nspname like 'shop\\_\\_%'") == []


def test_a_model_changes_its_kind_with_all_that_others_made_on_it(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    text = "{{{{ config(materialized='{}') }}}} select 1 as id"
    run({"models/m.sql": text.format("view")})
    connection.execute(
        "create view public.mine as select id from shop.m; grant select on shop.m to public; "
        "comment on view shop.m is 'ours'"
    )
    before = rows("select 'public.mine'::regclass::oid::int")
    kinds = {"materialized_view": "m", "incremental": "r", "view": "v", "table": "r"}
    for kind in ("materialized_view", "incremental", "view", "table", "materialized_view", "view"):
        run({"models/m.sql": text.format(kind)})
        there = "select relkind, obj_description(oid), has_table_privilege('public', oid, 'select')"
        found = rows(f"{there} from pg_class where oid = 'shop.m'::regclass")
        assert found == [(kinds[kind], "ours", True)]
        assert rows("select id from public.mine") == [(1,)]
    assert rows("select 'public.mine'::regclass::oid::int") == before


@pytest.mark.parametrize(("policy", "columns"), [("apply", 2), ("continue", 1), ("fail", 1)])
def test_other_indexes_are_made_or_not_as_on_configuration_change_says(
    run: Run, rows: Rows, policy: str, columns: int
) -> None:
    text = f"""
        {{{{ config(materialized='materialized_view', on_configuration_change='{policy}',
                    indexes=[{{'columns': ['a']}}, {{'columns': ['b']}}][:var('indexes', 1)]) }}}}
        select 1 as a, 2 as b
    """
    run({"models/m.sql": text, "models/down.sql": "select * from {{ ref('m') }}"})
    if policy == "fail":
        with pytest.raises(ProjectError, match="on_configuration_change is fail"):
            run(variables={"indexes": 2})
    else:
        transformed = run(variables={"indexes": 2})
        told = [text for text in transformed.warnings if "stays as it was" in text]
        assert len(told) == (policy == "continue")
    assert rows("select count(*) from pg_indexes where tablename = 'm'") == [(columns,)]
    assert rows("select a, b from shop.down") == [(1, 2)]
