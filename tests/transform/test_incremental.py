"""Incremental models: the new rows are seen by the run as they will be, and published with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError, RunFailedError, TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]

BEFORE = "(1, 'a', 1), (2, 'b', 1), (2, 'c', 1), (null, 'd', 1)"
MERGE = "incremental_strategy='merge', unique_key='id'"
AFTER = "(2, 'b', 2), (3, 'e', 2), (null, 'd', 2)"


def model(config: str, first: str = BEFORE, then: str = AFTER, columns: str = "id, k, run") -> str:
    options = f"materialized='incremental', {config}" if config else "materialized='incremental'"
    return (
        f"{{{{ config({options}) }}}}\nselect * from (values\n"
        f"{{% if is_incremental() %}}{then}{{% else %}}{first}{{% endif %}}\n) as v ({columns})\n"
    )


# By strategy and key: which rows of before are kept.
KEPT = {
    "": ["1a1", "2b1", "2c1", "d1"],
    "incremental_strategy='append', unique_key='id'": ["1a1", "2b1", "2c1", "d1"],
    "unique_key='id'": ["1a1", "d1"],
    "unique_key=['id', 'k'], incremental_strategy='delete+insert'": ["1a1", "2c1", "d1"],
    "unique_key='id', incremental_predicates=[\"k = 'b'\"]": ["1a1", "2c1", "d1"],
    "unique_key='coalesce(id, 0)'": ["1a1"],
    "unique_key=['id', 'k'], incremental_strategy='merge'": ["1a1", "2c1", "d1"],
    f"{MERGE}, incremental_predicates=['DBT_INTERNAL_DEST.k < $$c$$']": ["1a1", "2c1", "d1"],
}


def test_rows_are_changed_as_the_strategy_says_and_everybody_in_the_run_sees_it(
    run: Run, rows: Rows
) -> None:
    files = {}
    for n, config in enumerate(KEPT):
        ref = f"{{{{ ref('grown{n}') }}}}"
        table = "{{ config(materialized='table') }}"
        files[f"models/grown{n}.sql"] = model(config)
        files[f"models/down{n}.sql"] = f"{table} select * from {ref}"
        files[f"models/seen{n}.sql"] = f"select * from {ref}"
        files[f"tests/seen{n}_as_it_will_be.sql"] = f"""
            select 1 from (select count(*) filter (where run = 2) as n from {ref}) c
            where n <> {{{{ var('new', 0) }}}}
        """
    oids = "select relname, oid from pg_class where relname ~ 'grown' order by 1"
    run(files)
    before = rows(oids)
    transformed = run(variables={"new": 3})
    built = {each.name: each.rows for each in transformed.models}
    for n, (config, kept) in enumerate(KEPT.items()):
        expected = sorted([*kept, "2b2", "3e2", "d2"])
        for name in ("grown", "down", "seen"):
            found = rows(f"select concat(id, k, run) from shop.{name}{n}")
            assert sorted(row[0] for row in found) == expected, config
        assert built[f"grown{n}"] == 3, config
    assert rows(oids) == before
    assert rows("select nspname from pg_namespace where nspname like 'shop\\_\\_%'") == []


MERGED = {
    "merge_update_columns=['run']": [(1, "x", 2, 1), (2, "n", 2, 2)],
    "merge_exclude_columns=['NAME']": [(1, "x", 2, 2), (2, "n", 2, 2)],
    "": [(1, "n", 2, 2), (2, "n", 2, 2)],
}


def test_a_merge_changes_only_the_columns_it_is_told(run: Run, rows: Rows) -> None:
    values = "(1, 'x', 1, 1)", "(1, 'n', 2, 2), (2, 'n', 2, 2)", "id, name, run, other"
    files = {}
    for n, config in enumerate(MERGED):
        files[f"models/m{n}.sql"] = model(f"{MERGE}, {config}", *values)
        copied = f"{{{{ config(materialized='table') }}}} select * from {{{{ ref('m{n}') }}}}"
        files[f"models/copied{n}.sql"] = copied
    run(files)
    run()
    for n, (config, changed) in enumerate(MERGED.items()):
        assert rows(f"select * from shop.m{n} order by id") == changed, config
        assert rows(f"select * from shop.copied{n} order by id") == changed, config


def test_this_is_the_published_table_and_new_rows_follow_from_it(run: Run, rows: Rows) -> None:
    files = {
        "models/counted.sql": """
            {{ config(materialized='incremental') }}
            select coalesce(
                {% if is_incremental() %}(select max(n) from {{ this }}){% else %}null{% endif %}, 0
            ) + 1 as n
        """,
    }
    for _ in range(3):
        run(files)
    assert rows("select n from shop.counted order by n") == [(1,), (2,), (3,)]


def test_a_failed_test_leaves_the_table_as_it_was(run: Run, rows: Rows) -> None:
    yaml = "models: [{name: m, columns: [{name: id, data_tests: [unique]}]}]"
    run({"models/m.sql": model("", "(1, 'a', 1)", "(1, 'b', 2)"), "models/m.yml": yaml})
    with pytest.raises(TestsFailedError):
        run()
    assert rows("select id, k from shop.m") == [(1, "a")]
    run({"models/m.sql": model("unique_key='id'", "(1, 'a', 1)", "(1, 'b', 2)")})
    assert rows("select id, k from shop.m") == [(1, "b")]


def test_a_full_refresh_computes_all_rows_unless_the_model_forbids_it(run: Run, rows: Rows) -> None:
    files = {
        "models/m.sql": model("", "(1, 'a', 1)", "(2, 'b', 2)"),
        "models/kept.sql": model("full_refresh=false", "(1, 'a', 1)", "(2, 'b', 2)"),
        "models/never.sql": model("full_refresh=true", "(1, 'a', 1)", "(2, 'b', 2)"),
    }
    run(files)
    run(full_refresh=True)
    assert rows("select count(*) from shop.m") == [(1,)]
    assert rows("select count(*) from shop.kept") == [(2,)]
    assert rows("select count(*) from shop.never") == [(1,)]


def test_a_view_of_that_name_becomes_a_table_with_all_rows(run: Run, rows: Rows) -> None:
    run({"models/m.sql": "select 9 as id"})
    run({"models/m.sql": model("", "(1, 'a', 1)", "(2, 'b', 2)")})
    assert rows("select id, k from shop.m") == [(1, "a")]


def changed_columns(*policies: str) -> dict[str, str]:
    files = {}
    for policy in policies:
        files[f"models/{policy}.sql"] = f"""
            {{{{ config(materialized='incremental', unique_key='id', on_schema_change='{policy}',
                        indexes=[{{'columns': ['id'], 'unique': true}}]) }}}}
            {{% if var('changed', false) %}}
            select 2 as id, 2::bigint as n, 'new' as added
            {{% else %}}
            select 1 as id, 1::int as n, 'old' as gone
            {{% endif %}}
        """
        table = "{{ config(materialized='table') }}"
        files[f"models/of_{policy}.sql"] = f"{table} select * from {{{{ ref('{policy}') }}}}"
    return files


COLUMNS = """
    select string_agg(column_name || ' ' || data_type, ', ' order by ordinal_position)
    from information_schema.columns where table_schema = 'shop' and table_name = %s
"""
FOLLOWED = {
    "append_new_columns": (
        "id integer, n integer, gone text, added text",
        [(1, 1, "old", None), (2, 2, None, "new")],
    ),
    "sync_all_columns": ("id integer, added text, n bigint", [(1, None, 1), (2, "new", 2)]),
}


def test_columns_follow_the_model_where_on_schema_change_says_so(run: Run, rows: Rows) -> None:
    run(changed_columns(*FOLLOWED))
    transformed = run(variables={"changed": True})
    for policy, (columns, after) in FOLLOWED.items():
        assert rows(COLUMNS, policy) == [(columns,)]
        assert rows(f"select * from shop.{policy} order by id") == after
        assert rows(f"select * from shop.of_{policy} order by id") == after
        indexes = "select count(*) from pg_indexes where schemaname = 'shop' and tablename = %s"
        assert rows(indexes, policy) == [(1,)]
    assert transformed.warnings == ()


REFUSED = {
    "fail": "the column n is bigint and was integer",
    "ignore": "no longer has the column gone",
}


def test_columns_that_may_not_change_stop_the_run(run: Run, rows: Rows) -> None:
    run(changed_columns(*REFUSED))
    with pytest.raises(RunFailedError) as caught:
        run(variables={"changed": True})
    failed = {each.name: each for each in caught.value.results if each.status == "error"}
    assert failed.keys() == REFUSED.keys()
    for policy, said in REFUSED.items():
        assert said in failed[policy].message
        assert failed[policy].path is not None
        assert failed[policy].line == 1
        assert rows(f"select * from shop.{policy}") == [(1, 1, "old")]


def test_a_new_column_is_left_out_where_schema_changes_are_ignored(run: Run, rows: Rows) -> None:
    text = model("", "(1, 'a', 1)", "(2, 'b', 2)")
    run({"models/m.sql": text})
    run({"models/m.sql": text.replace("select *", "select 'x' as more, v.*")})
    assert rows("select * from shop.m order by id") == [(1, "a", 1), (2, "b", 2)]


def test_what_cannot_be_merged_names_the_model_and_the_cure(run: Run, rows: Rows) -> None:
    files = {
        "models/m.sql": model(
            "unique_key='id', incremental_strategy='merge'",
            "(1, 'a', 1)",
            "(1, 'b', 2), (1, 'c', 2)",
        )
    }
    run(files)
    with pytest.raises(ProjectError, match="several new rows for one unique_key"):
        run()
    assert rows("select id, k from shop.m") == [(1, "a")]
    with pytest.raises(ProjectError, match="cannot apply the new rows of m"):
        run({"models/m.sql": model("unique_key='idd'")})
    with pytest.raises(ProjectError, match="incremental_strategy must be one of append"):
        run({"models/m.sql": model("incremental_strategy='insert_overwrite'")})


def test_readers_do_not_hold_up_an_increment_and_see_the_old_rows(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    run({"models/m.sql": model("", "(1, 'a', 1)", "(2, 'b', 2)")})
    connection.execute("create view shop.mine as select * from shop.m")
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        assert rows("select count(*) from shop.mine") == [(1,)]
        run(wait_seconds=0)
        assert rows("select count(*) from shop.mine") == [(1,)]
    assert rows("select count(*) from shop.mine") == [(2,)]


def test_an_increment_is_read_where_it_was_published_if_it_is_not_selected(
    run: Run, rows: Rows
) -> None:
    files = {
        "models/m.sql": model("", "(1, 'a', 1)", "(2, 'b', 2)"),
        "models/down.sql": "{{ config(materialized='table') }} select * from {{ ref('m') }}",
    }
    run(files)
    run(select=["m"])
    run(select=["down"])
    assert rows("select count(*) from shop.down") == [(2,)]
