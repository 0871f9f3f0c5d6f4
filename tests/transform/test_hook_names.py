"""What hooks name is what the run has, however they write it: it stands aside until the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datapipe.errors import TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]


def test_hooks_mean_by_bare_names_what_the_run_has(run: Run, rows: Rows) -> None:
    key = "alter table price add constraint of_firm foreign key (id) references firm (id)"
    to = "select confrelid = 'firm'::regclass from pg_constraint"
    files = {
        "dbt_project.yml": "{name: shop, models: {+schema: public, +materialized: table}}",
        "models/firm.sql": """
            {{ config(post_hook=after_commit("alter table firm add primary key (id)")) }}
            select {{ var('id', 1) }} as id
        """,
        "models/price.sql": f"""
            {{{{ config(pre_hook="create table if not exists seen (n int)", post_hook=[
                after_commit("{key}"),
                "insert into seen select max(id) from firm",
                "update price set said = (select count(*) from firm)",
                "create index on price (said)",
            ]) }}}}
            select id, 0 as said from {{{{ ref('firm') }}}}
        """,
    }
    for number in (1, 2):
        run(files, variables={"id": number})
        assert rows("select id, said from price") == [(number, 1)]
        assert rows("select max(n), count(*) from seen") == [(number, number)]
        assert rows(f"{to} where contype = 'f'") == [(True,)]
    assert rows("select count(*) from pg_indexes where tablename = 'price'") == [(1,)]


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


@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_a_hook_drops_an_index_where_the_table_is_built(run: Run, rows: Rows, kind: str) -> None:
    again = "drop index if exists {{ this.schema }}.by_id; create index by_id on {{ this }} (id)"
    files = {
        "models/m.sql": f"""
            {{{{ config(materialized='{kind}',
                pre_hook="drop index if exists shop.by_said, {{{{ this.schema }}}}.other",
                post_hook=["create unique index by_said on {{{{ this }}}} (said)",
                           after_commit("{again}")]) }}}}
            select {{{{ var('id', 1) }}}} as id, {{{{ var('said', 1) }}}} as said
        """
    }
    indexes = (
        "select indexrelid::regclass::text, indexrelid from pg_index "
        "where indrelid = 'shop.m'::regclass order by 1"
    )
    run(files)
    before = rows(indexes)
    tests = {"tests/no.sql": "select * from {{ ref('m') }} where id = 2"}
    with pytest.raises(TestsFailedError):
        run(tests, variables={"id": 2, "said": 2})
    assert rows(indexes) == before
    run(variables={"id": 3, "said": 3})
    assert [name for name, _ in rows(indexes)] == ["shop.by_id", "shop.by_said"]
    assert rows(indexes) != before


def test_a_key_that_a_hook_makes_to_what_grows_is_there_when_that_has_grown(
    run: Run, rows: Rows
) -> None:
    key = "constraint of_firm foreign key (id) references {{ ref('firm') }} (id)"
    drop = "alter table {{ this }} drop constraint if exists of_firm"
    grows = "materialized='incremental'"
    files = {
        "dbt_project.yml": "{name: shop, models: {+schema: shop, +materialized: table}}",
        "models/firm.sql": f"""
            {{{{ config({grows}, post_hook="create unique index if not exists of on {{{{ this }}}} "
                "(id)") }}}} select {{{{ var('id', 1) }}}} as id
        """,
        "models/whole.sql": f"""
            {{{{ config(post_hook="alter table {{{{ this }}}} add {key} not valid") }}}}
            select id from {{{{ ref('firm') }}}}
        """,
        "models/part.sql": f"""
            {{{{ config({grows}, post_hook=["{drop}; analyze {{{{ this }}}}; "
                "alter table {{{{ this }}}} add {key}"]) }}}}
            select max(id) as id from {{{{ ref('firm') }}}}
        """,
    }
    keys = "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint"
    for number in (1, 2, 3):
        run(files, variables={"id": number})
        assert rows(f"{keys} where contype = 'f' order by 1") == [
            ("shop.part", "shop.firm"),
            ("shop.whole", "shop.firm"),
        ]
    assert rows("select count(*) from shop.part where id in (select id from shop.whole)") == [(3,)]


def test_code_in_hooks_is_about_the_table_as_it_is_built(run: Run, rows: Rows) -> None:
    has_key = (
        "select from information_schema.table_constraints where table_schema = '{{ this.schema }}' "
        "and table_name = '{{ this.name }}' and constraint_type = 'PRIMARY KEY'"
    )
    by_code = "execute format('{} %I.%I {}', '{{{{ this.schema }}}}', '{{{{ this.name }}}}')"
    hooks = [
        (
            f"do $$ begin if not exists ({has_key}) then "
            "alter table {{ this }} add primary key (id); end if; end $$"
        ),
        f"do $$ begin {by_code.format('create index by_code on', '(id)')}; end $$",
        "create sequence if not exists {{ this.schema }}.ids",
        "alter sequence {{ this.schema }}.ids owned by {{ this }}.id",
        "alter table {{ this }} alter id set default nextval('{{ this.schema }}.ids')",
    ]
    files = {
        "models/m.sql": f"{{{{ config(materialized='table', post_hook={hooks!r}) }}}} "
        "select {{ var('id', 1) }} as id",
    }
    indexes = "select indexrelid::regclass::text from pg_index where indrelid = 'shop.m'::regclass"
    for number in (1, 2, 3):
        assert run(files, variables={"id": number}).warnings == ()
        assert rows(f"{indexes} order by 1") == [("shop.by_code",), ("shop.m_pkey",)]
        assert rows("select id from shop.m") == [(number,)]
    assert rows("select pg_get_serial_sequence('shop.m', 'id')") == [("shop.ids",)]


def test_a_hook_sets_up_a_table_that_grows_as_it_does_one_that_is_built(
    run: Run, rows: Rows
) -> None:
    hooks = [
        "alter table {{ this }} set (fillfactor = 70)",
        "alter table {{ this }} alter column said set default 'nothing'",
        "drop trigger if exists loud on {{ this }}",
        (
            "create trigger loud before insert on {{ this }} for each row "
            "execute function public.loud()"
        ),
    ]
    files = {
        "dbt_project.yml": """
            name: shop
            models: {+schema: shop}
            on-run-start: |
                create or replace function public.loud() returns trigger language plpgsql as
                'begin new.said := upper(new.said); return new; end'
        """,
        "models/m.sql": f"""
            {{{{ config(materialized='incremental', post_hook={hooks!r}) }}}}
            select {{{{ var('id', 1) }}}} as id, 'x' as said
        """,
        "models/plain.sql": f"""
            {{{{ config(materialized='incremental', post_hook={hooks[:2]!r}) }}}}
            select {{{{ var('id', 1) }}}} as id, 'x' as said
        """,
    }
    for number in (1, 2, 3):
        run(files, variables={"id": number})
    assert rows("select id, said from shop.m order by id") == [(1, "x"), (2, "X"), (3, "X")]
    for name in ("m", "plain"):
        options = f"select reloptions[1] from pg_class where oid = 'shop.{name}'::regclass"
        assert rows(options) == [("fillfactor=70",)]
        default = (
            f"select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'shop.{name}'"
        )
        assert rows(f"{default}::regclass") == [("'nothing'::text",)]


def test_a_hook_may_put_a_partitioned_table_in_the_place_of_the_models(
    run: Run, rows: Rows
) -> None:
    code = """
        do $$ begin
            create table {{ this.schema }}.kinds_new (like {{ this }}) partition by list (id);
            create table {{ this.schema }}.kind_1 partition of {{ this.schema }}.kinds_new
            for values in (1);
            create table {{ this.schema }}.kind_x partition of {{ this.schema }}.kinds_new default;
            insert into {{ this.schema }}.kinds_new select * from {{ this }};
            drop table {{ this }} cascade;
            alter table {{ this.schema }}.kinds_new rename to kinds;
        end $$
    """
    files = {
        "models/kinds.sql": f"""
            {{{{ config(materialized='table', post_hook={code!r}) }}}}
            select generate_series(1, {{{{ var('id', 2) }}}}) as id
        """,
        "models/after.sql": "select count(*) as n from {{ ref('kinds') }}",
        "tests/one.sql": "select * from {{ ref('kinds') }} where {{ var('id', 2) }} = 3",
    }
    run(files)
    for number in (3, 4, 4):
        if number == 3:
            with pytest.raises(TestsFailedError):
                run(variables={"id": number})
            assert rows("select n from shop.after") == [(2,)]
        else:
            assert run(variables={"id": number}).warnings == ()
    assert rows(
        "select tableoid::regclass::text, count(*) from shop.kinds group by 1 order by 1"
    ) == [
        ("shop.kind_1", 1),
        ("shop.kind_x", 3),
    ]
    assert rows("select n from shop.after") == [(4,)]
