"""``pre_hook`` and ``post_hook`` do to what is built aside what dbt has them do to the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError, RunFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]


def test_hooks_run_in_dbts_order_and_what_they_do_is_published(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    connection.execute("create schema audit; create table audit.log (n serial, what text)")
    told = "insert into audit.log (what) values ('{}')"
    files = {
        "dbt_project.yml": f"""
            name: shop
            models:
              +schema: shop
              +post-hook: "{told.format("project {{ this.schema }}.{{ this.name }}")}"
            seeds:
              +schema: shop
              +post-hook: "alter table {{{{ this }}}} add column more int default 7"
        """,
        "models/a.sql": f"""
            {{{{ config(
                materialized='table',
                pre_hook=["{told.format("before")}",
                          {{'sql': "{told.format("first")}", 'transaction': false}}],
                post_hook=["create index on {{{{ this }}}} (id)",
                           "comment on table {{{{ this }}}} is 'by a hook'",
                           "update {{{{ this.schema }}}}.{{{{ this.name }}}} set id = id + 1",
                           after_commit("vacuum {{{{ this }}}}")],
            ) }}}} select 1 as id
        """,
        "models/b.sql": "{{ config(post_hook='grant select on {{ this }} to public') }} "
        "select id from {{ ref('a') }}",
        "seeds/s.csv": "id\n5\n",
    }
    for _ in range(2):
        connection.execute("truncate audit.log")
        run(files, variables={"again": _}, full_refresh=True)
        assert rows("select id from shop.b") == [(2,)]
        assert rows("select id, more from shop.s") == [(5, 7)]
        comment = "select obj_description('shop.a'::regclass), count(*) from pg_indexes"
        assert rows(f"{comment} where schemaname = 'shop'") == [("by a hook", 1)]
        assert rows("select has_table_privilege('public', 'shop.b', 'select')") == [(True,)]


def test_a_hook_may_change_the_rows_of_an_increment_and_its_surroundings(
    run: Run, rows: Rows
) -> None:
    text = """
        {{{{ config(materialized='incremental', unique_key='id', post_hook={hooks}) }}}}
        select {{{{ var('id', 1) }}}} as id, 'new' as said
    """
    around = ["create index if not exists by_said on {{ this }} (said)", "analyze {{ this }}"]
    down = "{{ config(materialized='table') }} select * from {{ ref('m') }}"
    run({"models/m.sql": text.format(hooks=around), "models/down.sql": down})
    before = rows("select 'shop.m'::regclass::oid::int")
    run(variables={"id": 2})
    assert rows("select 'shop.m'::regclass::oid::int") == before
    change = [*around, "update {{ this }} set said = 'old' where id < {{ var('id', 1) }}"]
    run({"models/m.sql": text.format(hooks=change)}, variables={"id": 3})
    for name in ("m", "down"):
        assert rows(f"select id, said from shop.{name} order by id") == [
            (1, "old"), (2, "old"), (3, "new"),
        ]  # fmt: skip
    assert rows("select indexname from pg_indexes where schemaname = 'shop'") == [("by_said",)]


def test_a_hook_finds_the_keys_of_a_table_that_grows(run: Run, rows: Rows) -> None:
    files = {
        "macros/key.sql": """
            {% macro key() %}{% if execute %}
                {% set there = run_query("select 1 from pg_constraint where conrelid = '"
                                         ~ this ~ "'::regclass and contype = 'p'") %}
                {% if not there | length %}alter table {{ this }} add primary key (id){% endif %}
            {% endif %}{% endmacro %}
        """,
        "models/m.sql": "{{ config(materialized='incremental', post_hook='{{ key() }}') }} "
        "select {{ var('id', 1) }} as id",
    }
    for id_ in (1, 2):
        run(files, variables={"id": id_})
    assert rows("select id from shop.m order by 1") == [(1,), (2,)]
    keys = "select conname from pg_constraint where conrelid = 'shop.m'::regclass"
    assert rows(f"{keys} and contype = 'p'") == [("m_pkey",)]


def test_a_hook_changes_other_models_as_they_are_in_this_run_and_nobody_sees_it_before(
    run: Run, rows: Rows
) -> None:
    files = {
        "dbt_project.yml": "name: shop\nmodels: {+schema: shop, +materialized: table}\n",
        "models/whole.sql": "select 0 as id",
        "models/grows.sql": """
            {{ config(materialized='incremental') }}
            select 0 as id {% if is_incremental() %} where false {% endif %}
        """,
        "models/first.sql": """
            {{ config(post_hook=[
                "insert into {{ ref('grows') }} (id) select id from {{ this }}",
                "insert into {{ ref('whole') }} select id from {{ this }}",
            ]) }} select {{ var('id', 1) }} as id
        """,
        "models/second.sql": """
            {{ config(pre_hook="delete from only {{ ref('grows') }} where id = 0") }}
            {% do run_query("insert into " ~ ref('grows') ~ " values (9)") if execute %}
            select count(*) as n, 1 / {{ var('by', 1) }} as x from {{ ref('grows') }}
            -- {{ ref('first') }}
        """,
    }
    run(files)
    assert rows("select id from shop.grows") == [(1,), (9,)]
    before = rows("select 'shop.grows'::regclass::oid::int")
    with pytest.raises(RunFailedError):
        run(variables={"id": 2, "by": 0})
    assert rows("select id from shop.grows") == [(1,), (9,)]
    for _ in range(2):
        run(variables={"id": 2})
    assert rows("select id from shop.grows order by 1") == [(1,), (2,), (2,), *[(9,)] * 3]
    assert rows("select 'shop.grows'::regclass::oid::int") == before
    assert rows("select id from shop.whole order by 1") == [(0,), (2,)]
    assert rows("select n from shop.second") == [(6,)]


def test_a_pre_hook_sees_what_is_published_and_changes_a_copy_of_it(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    files = {
        "models/m.sql": """
            {{ config(materialized='incremental', pre_hook=
                "{% if is_incremental() %}delete from {{ this }} where id = 1{% endif %}") }}
            select {{ var('id', 1) }} as id
        """,
        "models/broken.sql": "select 1 / {{ var('by', 1) }} as x, id from {{ ref('m') }}",
        "tests/none.sql": "select * from {{ ref('broken') }} where {{ var('by', 1) }} = 0",
    }
    run(files)
    with pytest.raises(ProjectError):
        run({"models/broken.sql": "select nothing from {{ ref('m') }}"}, variables={"id": 2})
    assert rows("select id from shop.m") == [(1,)]
    run({"models/broken.sql": files["models/broken.sql"]}, variables={"id": 2})
    assert rows("select id from shop.m") == [(2,)]


def test_a_broken_hook_names_the_model_and_nothing_is_published(run: Run, rows: Rows) -> None:
    text = "{{ config(materialized='table', post_hook='drop tabel {{ this }}') }} select 1 as id"
    with pytest.raises(ProjectError, match="post_hook of m") as caught:
        run({"models/m.sql": text})
    assert caught.value.line == 1
    assert rows("select to_regclass('shop.m')") == [(None,)]


def test_a_header_is_sent_before_the_model(run: Run, rows: Rows) -> None:
    head = "create temporary table if not exists helped as select 42 as n;"
    run(
        {
            "models/m.sql": f"{{{{ config(materialized='table', sql_header='{head}') }}}} "
            "select n from helped",
        }
    )
    assert rows("select n from shop.m") == [(42,)]


def test_a_hook_that_writes_by_itself_does_so_once_in_each_run_and_is_never_reused(
    run: Run, rows: Rows
) -> None:
    files = {
        "dbt_project.yml": "name: shop\nmodels: {+schema: shop, +materialized: table}\n",
        "macros/fill.sql": """{% macro fill(table) %}{% if execute %}
            {% call statement() %}insert into {{ table }} values (7){% endcall %}
        {% endif %}{% endmacro %}""",
        "models/filled.sql": "{{ config(post_hook='{{ fill(this) }}') }} select 1 as id",
        "models/kept.sql": "{{ config(post_hook='grant select on {{ this }} to public') }}"
        " select 2 as id",
    }
    for kept in ("success", "reused"):
        done = run(files)
        statuses = {each.name: each.status for each in done.results}
        assert statuses == {"filled": "success", "kept": kept}
        assert rows("select id from shop.filled order by 1") == [(1,), (7,)]


def test_what_a_hook_refers_to_is_built_first_and_known_to_exist(run: Run, rows: Rows) -> None:
    files = {
        "dbt_project.yml": "name: shop\nmodels: {+schema: shop, +materialized: table}\n",
        "models/first.sql": '{{ config(post_hook="insert into {{ this }} select * from '
        "{{ ref('second') }}\") }} select 1 as id",
        "models/second.sql": "select 2 as id",
    }
    run(files)
    assert rows("select id from shop.first order by 1") == [(1,), (2,)]
    with pytest.raises(ProjectError, match="no model third") as refused:
        run(
            {
                "models/first.sql": "-- first\n"
                + files["models/first.sql"].replace("second", "third")
            }
        )
    assert refused.value.line == 2


def test_what_hooks_make_elsewhere_and_of_the_table_stands_after_every_run(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    connection.execute(
        "create schema audit; create function audit.f() returns trigger language plpgsql as "
        "'begin return null; end'"
    )
    guarded = [
        "alter table {{ this }} add column n int default 7, enable row level security",
        "create policy all_of_it on {{ this }} using (true)",
        "create statistics if not exists {{ this.schema }}.both on id, said from {{ this }}",
        "create trigger never before insert on {{ this }} for each row execute function audit.f()",
    ]
    anew = [
        "drop materialized view if exists audit.kept",
        "create materialized view audit.kept as select * from {{ this }}",
        "create or replace view audit.seen as select * from {{ this }}",
    ]
    text = """
        {{{{ config(materialized='{kind}', unique_key='id', post_hook={hooks}) }}}}
        select {{{{ var('id', 1) }}}} as id, 'new' as said
    """
    files = {
        "models/grown.sql": text.format(kind="incremental", hooks=anew),
        "models/guarded.sql": text.format(kind="table", hooks=guarded),
    }
    for number in (1, 2, 3):
        assert run(files, variables={"id": number}).warnings == ()
        assert rows("select max(id), count(*) from audit.seen") == [(number, number)]
        assert rows("select max(id), count(*) from audit.kept") == [(number, number)]
        assert rows("select id, n from shop.guarded") == [(number, 7)]
    parts = "select tgname, polname from pg_trigger join pg_policy on polrelid = tgrelid"
    assert rows(f"{parts} where tgrelid = 'shop.guarded'::regclass") == [("never", "all_of_it")]


def test_what_hooks_make_by_bare_names_stands_where_these_are_looked_up(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    hooks = [
        "create table if not exists noted (n int); insert into noted select count(*) from a",
        "create sequence if not exists ids",
        "alter table a alter column id set default nextval('ids')",
        'drop view if exists "Of a"; create or replace view "Of a" as select * from a',
        "create or replace function twice(n int) returns int language sql as 'select 2 * n'",
        "create temp table if not exists mine as select 1",
    ]
    files = {
        "dbt_project.yml": "{name: shop, models: {+schema: public, +materialized: table}}",
        "models/a.sql": f"{{{{ config(post_hook={hooks!r}) }}}} select {{{{ var('n', 1) }}}} as id",
    }
    run(files)
    for number in (7, 9):
        run(variables={"n": number})
        connection.execute("insert into a default values")
        assert rows('select max(twice(id)), count(*) from "Of a"') == [(2 * number, 2)]
    assert rows("select count(*), max(n) from noted") == [(3, 1)]
    assert rows("select last_value from ids") == [(2,)]


def test_what_statements_leave_in_a_session_the_next_model_does_not_find(
    run: Run, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Kolkata")
    seen = (
        "select current_setting('timezone') as tz, current_setting('search_path') as path, "
        "current_setting('datestyle') as style, to_regclass('mine') as mine, "
        "to_regclass('started') as started"
    )
    left = "set timezone = 'Asia/Tokyo'; create temp table mine as select 1 as n"
    hooks = [left, "set search_path = elsewhere", "set local work_mem = '1MB'"]
    run(
        {
            "dbt_project.yml": """
                name: shop
                models: {+schema: shop, +materialized: table}
                on-run-start: ["set timezone = 'Asia/Tokyo'", create temp table started ()]
                on-run-end: ["set role pg_read_all_data", "set search_path = elsewhere"]
            """,
            "models/a.sql": f"{{{{ config(pre_hook={hooks!r}) }}}} {seen}, n from mine",
            "models/b.sql": f"-- {{{{ ref('a') }}}}\n{seen}",
            "models/c.sql": "-- {{ ref('b') }}{% do run_query('set datestyle = german') %}\n"
            "select 1 as n",
            "models/d.sql": f"{{{{ config(sql_header={left!r}) }}}}-- {{{{ ref('c') }}}}\n{seen}",
            "models/e.sql": f"-- {{{{ ref('d') }}}}\n{seen}",
        }
    )
    fresh = [("Asia/Kolkata", '"$user", public', "ISO, MDY", None, None)]
    assert rows("select tz, path, n from shop.a") == [("Asia/Tokyo", "elsewhere", 1)]
    assert rows("select * from shop.b") == rows("select * from shop.e") == fresh


def test_triggers_policies_and_generated_columns_live_on_in_copies_and_swapped_tables(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    hook = "config(materialized='{}', unique_key='id', post_hook='alter table {{{{ this }}}} {}')"
    never_null = hook.format("incremental", "alter column id set not null")
    doubled = hook.format("table", "add column twice int generated always as (2 * id) stored")
    files = {
        "models/a.sql": "{{ " + never_null + " }} select {{ var('n', 1) }} as id, 'new' as how",
        "models/b.sql": "{{ " + doubled + " }} select {{ var('n', 1) }} as id",
        "models/c.sql": "{{ " + doubled + " }} select {{ var('n', 1) }} as id",
    }
    run(files)
    connection.execute(
        "create function shop.touched() returns trigger language plpgsql as "
        "$$ begin new.how = 'touched'; return new; end $$; create trigger touch before insert "
        "on shop.a for each row execute function shop.touched(); "
        "create policy own on shop.a for select to public using (id > 0); "
        "alter table shop.a enable row level security; create policy of_c on shop.c using (id > 0);"
        "create function shop.of_b(shop.b) returns int language sql as 'select $1.twice'"
    )
    run(variables={"n": 2})
    assert rows("select * from shop.a order by id") == [(1, "new"), (2, "touched")]
    assert rows(
        "select relrowsecurity, polname, polcmd, tgname from pg_class c "
        "join pg_policy on polrelid = c.oid join pg_trigger on tgrelid = c.oid "
        "where c.oid = 'shop.a'::regclass"
    ) == [(True, "own", "r", "touch")]
    assert rows("select id, twice, shop.of_b(b) from shop.b b") == [(2, 4, 4)]
    assert rows("select id, twice from shop.c") == [(2, 4)]


def test_what_hooks_call_after_their_model_stays_beside_what_is_published(
    run: Run, rows: Rows
) -> None:
    hooks = [
        "create table if not exists {{ this }}_log (n int)",
        "insert into {{ this }}_log select max(id) from {{ this }}",
        "create or replace view {{ this }}_now as select {{ this }}.id from {{ this }}",
    ]
    model = f"{{{{ config(materialized='table', post_hook={hooks!r}) }}}}"
    files = {
        "dbt_project.yml": "{name: shop, models: {+schema: shop}, quoting: {identifier: false, "
        "schema: false, database: false}}",
        "models/a.sql": model + " select {{ var('n', 1) }} as id",
        "models/a_b.sql": "select * from {{ ref('a') }}",
    }
    for number in (1, 2):
        run(files, variables={"n": number})
        assert rows("select * from shop.a_now") == [(number,)]
    assert rows("select n from shop.a_log order by n") == [(1,), (2,)]


def test_macros_of_hooks_find_what_is_published_and_the_sql_of_the_model(
    run: Run, rows: Any
) -> None:
    files = {
        "dbt_project.yml": """
            name: shop
            models: {+schema: shop}
            on-run-start: "create table if not exists public.told (what text, number bigint)"
        """,
        "macros/hooks.sql": """
            {% macro before() %}
                {% if load_relation(this) %}
                    {% set number = run_query("select count(*) from " ~ this).rows[0][0] %}
                    {% set columns = adapter.get_columns_in_relation(this) %}
                    insert into public.told values ('{{ columns[0].name }}', {{ number }});
                    {% do run_query("delete from " ~ this ~ " where id = 2") %}
                {% endif %}
            {% endmacro %}
            {% macro after() %}
                insert into public.told values ($${{ compiled_code if sql in model.values() }}$$, 0)
            {% endmacro %}
        """,
        "models/a.sql": "select 1 as id",
        "models/m.sql": "{{ config(materialized='incremental', unique_key='id', "
        "pre_hook='{{ before() }}', post_hook=['{{ after() }}', 'select $${{ sql }}$$']) }}"
        "select id from {{ ref('a') }} -- {{ sql }}\n"
        "{% if not is_incremental() %} union select 2{% endif %}",
    }
    told = "select replace(what, %s, ''), number from public.told offset %s"
    run(files)
    [(database,)] = rows("select '\"' || current_database() || '\".'")
    first = 'select id from "shop"."a" -- None\n union select 2'
    assert rows(told, database, 0) == [(first, 0)]
    run({**files, "models/a.sql": "select 3 as id"})
    assert rows(told, database, 1) == [("id", 2), ('select id from "shop"."a" -- None\n', 0)]
    assert rows("select id from shop.m order by id") == [(1,), (3,)]


def test_what_hooks_make_elsewhere_shows_what_is_published_before_and_after_a_failure(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    connection.execute("create schema audit; create view audit.gone as select 1")
    hooks = [
        "drop view audit.gone; drop materialized view if exists audit.kept",
        "create materialized view audit.kept as select * from {{ this }}",
        "-- all\ncreate or replace view audit.seen as select * from {{ this }}",
        "create or replace view bare as select id from audit.seen",
        "comment on view bare is 'of a'; grant select on audit.seen to public",
        "create or replace function f() returns int as 'select id from {{ this }}' language sql",
        "{{ made() }}",
    ]
    files = {
        "macros/made.sql": """{% macro made() %}
            {% do run_query("create or replace view audit.told as select id from " ~ this) %}
        {% endmacro %}""",
        "models/a.sql": f"{{{{ config(materialized='table', post_hook={hooks!r}) }}}} "
        "select {{ var('n', 1) }} as id {{ var('more', '') }}",
        "models/b.sql": "select 1 / {{ var('n', 1) }} as x from {{ ref('a') }}",
        "tests/t.sql": "select x from {{ ref('b') }} where x > 1",
    }

    def seen() -> Any:
        """What a view of a user's shows, what the function gives, and what of a view is left."""
        return rows("select mine.*, f(), to_regclass('audit.gone') from public.mine")

    table = "models/table.sql"
    for hook in ("drop view if exists audit.seen", "create or replace view audit.seen as select 1"):
        connection.execute("create table audit.seen ()")
        with pytest.raises(ProjectError, match="is not a view"):
            run({table: f"{{{{ config(materialized='table', post_hook='{hook}') }}}} select 1"})
        connection.execute("drop table audit.seen")
    with pytest.raises(RunFailedError):
        run({table: "select 1 as id", **files}, variables={"n": 0})
    for view in ("audit.seen", "audit.told", "bare"):
        assert rows("select to_regclass(%s)", view) == [(None,)]
    assert rows("select count(*) from audit.gone") == [(1,)]
    run()
    connection.execute(
        "create view public.mine as select seen.id, kept.id as kept, bare.id as bare "
        "from audit.seen, audit.kept, bare natural join audit.told"
    )
    assert seen() == [(1, 1, 1, 1, None)]
    with pytest.raises(RunFailedError):
        run(variables={"n": 0, "more": ", 2 as more"})
    assert seen() == [(1, 1, 1, 1, None)]
    run(variables={"n": 2, "more": ", 2 as more"})
    assert seen() == [(2, 2, 2, 2, None)]
    assert rows("select more from audit.seen union all select more from audit.kept") == [(2,), (2,)]
    assert rows(
        "select obj_description('bare'::regclass), has_table_privilege('public', 'audit.seen', "
        "'select'), count(*) from pg_namespace where nspname like '%\\_\\_build'"
    ) == [("of a", True, 0)]


def test_a_view_of_a_hook_may_read_what_is_built_after_it(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    connection.execute("create schema audit; create schema shop; create table shop.z (id int)")
    hook = "create or replace view audit.both as select a.id, z.id as z from {{ this }} a, shop.z"
    files = {
        "models/a.sql": f"{{{{ config(materialized='table', post_hook='{hook}') }}}} "
        "select {{ var('n', 1) }} as id",
        "models/z.sql": "{{ config(materialized='table') }} select {{ var('n', 1) }} as id",
    }
    for number in (1, 2):
        assert run(files, variables={"n": number}).warnings == ()
        assert rows("select * from audit.both") == [(number, number)]


def test_a_hook_may_end_the_transaction_that_dbt_sends_it_in(
    run: Run, rows: Rows, connection: psycopg.Connection
) -> None:
    """Packages that log what is built do; here what they write is kept with the rest."""
    connection.execute("create schema audit; create table audit.log (n serial, what text)")
    told = "insert into audit.log (what) values ('{} commit;'); commit; -- done;"
    files = {
        "dbt_project.yml": f"""
            name: shop
            models:
              +schema: public
              +pre-hook: "{told.format("before {{ this.name }}")}"
              +post-hook: ["begin", "{told.format("after {{ this.name }}")}"]
            on-run-end: "{told.format("end")}"
        """,
        "models/a.sql": "{{ config(materialized='incremental') }} select 1 as id",
        "models/b.sql": "select id from {{ ref('a') }}",
    }
    written = ["before a", "after a", "before b", "after b", "end"]
    for times in (1, 2):
        run(files)
        logged = rows("select what from audit.log order by n")
        assert [what for (what,) in logged] == [f"{each} commit;" for each in written] * times
    assert rows("select count(*) from public.b") == [(2,)]
