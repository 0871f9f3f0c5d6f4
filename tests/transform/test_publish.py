"""What others made on the published relations survives a publication, or the run refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe import transform
from datapipe.errors import ProjectError, PublishError, TestsFailedError, WarehouseError
from datapipe.transform import Listener, Options, Transformed
from datapipe.transform.publish import locks
from datapipe.transform.publish.plan import Plan
from datapipe.warehouse import Warehouse

Run = Callable[..., Transformed]
Write = Callable[..., Path]

PRICES = """
    {{ config(materialized='table', indexes=[{'columns': ['symbol'], 'unique': true}]) }}
    select symbol, close, 1 as run from (values ('A', 1.5), ('B', 2.5)) as p (symbol, close)
"""
SHOP = {
    "models/prices.sql": PRICES,
    "models/cheap.sql": "select symbol, close from {{ ref('prices') }} where close < 2",
}
SECOND = {"models/prices.sql": PRICES.replace("1 as run", "2 as run")}


@pytest.fixture
def role(connection: psycopg.Connection) -> Any:
    name = f"reader_{os.getpid()}"
    connection.execute(f"create role {name}")
    yield name
    connection.execute(f"drop owned by {name} cascade; drop role {name}")


def state_of(rows: Any, relation: str) -> Any:
    return rows(
        """
        select c.oid, pg_get_userbyid(c.relowner), c.relacl::text, c.reloptions,
               obj_description(c.oid), pg_get_viewdef(c.oid),
               (select array_agg((attname, attacl::text, col_description(c.oid, attnum))::text
                        order by attnum) from pg_attribute where attrelid = c.oid and attnum > 0)
        from pg_class c where c.oid = %s::regclass
        """,
        relation,
    )


def test_views_of_the_user_stay_the_views_they_are_and_show_the_new_rows(
    run: Run, rows: Any, connection: psycopg.Connection, role: str
) -> None:
    run(SHOP)
    connection.execute(
        f"""
        create schema mine;
        create view mine.dear with (security_barrier = true, check_option = local) as
            select symbol, close, run from shop.prices where close > 2;
        create view mine."two of them" as
            select d.symbol, c.close from mine.dear d left join shop.cheap c using (symbol)
            join shop.prices p on p.symbol = d.symbol;
        comment on view mine.dear is 'What is dear';
        comment on column mine.dear.close is 'in francs';
        grant select on mine.dear to {role};
        grant select (symbol) on mine."two of them" to public;
        """
    )
    before = [state_of(rows, name) for name in ("mine.dear", 'mine."two of them"', "shop.cheap")]
    for _ in range(2):
        run(SECOND)
    after = [state_of(rows, name) for name in ("mine.dear", 'mine."two of them"', "shop.cheap")]
    assert after == before
    assert rows("select run from mine.dear") == [(2,)]
    assert rows('select symbol from mine."two of them"') == [("B",)]


def test_grants_comments_owner_and_options_of_a_table_are_carried_over(
    run: Run, rows: Any, connection: psycopg.Connection, role: str
) -> None:
    run(SHOP)
    connection.execute(
        f"""
        grant select, insert on shop.prices to {role} with grant option;
        grant update (close) on shop.prices to public;
        comment on table shop.prices is 'It''s a \\ price';
        comment on column shop.prices.close is 'in francs';
        alter table shop.prices set (autovacuum_enabled = false);
        alter table shop.prices owner to {role};
        """
    )
    what = (
        "select pg_get_userbyid(relowner), relacl::text, reloptions, obj_description(oid), "
        "(select array_agg((attname, attacl::text, col_description(attrelid, attnum))::text "
        "order by attnum) from pg_attribute where attrelid = c.oid and attnum > 0) "
        "from pg_class c where oid = 'shop.prices'::regclass"
    )
    before = rows(what)
    run(SECOND)
    assert rows(what) == before
    assert rows("select distinct run from shop.prices") == [(2,)]


def test_default_privileges_of_the_schema_hold_for_a_new_table(
    run: Run, rows: Any, connection: psycopg.Connection, role: str
) -> None:
    connection.execute(
        "create schema shop; "
        f"alter default privileges in schema shop grant select on tables to {role}"
    )
    run(SHOP)
    asked = "select has_table_privilege(%s, 'shop.prices', 'select')"
    assert rows(asked, role) == [(True,)]
    connection.execute(f"revoke select on shop.prices from {role}")
    run(SECOND)
    assert rows(asked, role) == [(False,)]


def test_a_column_that_a_users_view_needs_is_not_taken_away(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    connection.execute("create view public.dear as select symbol from shop.prices where close > 2")
    with pytest.raises(PublishError, match=r"view public\.dear uses the column close") as caught:
        run(
            {
                "models/prices.sql": "{{ config(materialized='table') }} select 'A' as symbol",
                "models/cheap.sql": "select symbol from {{ ref('prices') }}",
            }
        )
    assert caught.value.model == "prices"
    assert rows("select count(*) from shop.prices") == [(2,)]
    assert rows("select symbol from public.dear") == [("B",)]
    assert rows("select symbol, close from shop.cheap") == [("A", 1.5)]
    assert rows("select 1 from pg_namespace where nspname = 'shop__old'") == []


def test_a_column_whose_type_would_break_a_users_view_is_named(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    connection.execute("create view public.dear as select symbol, close from shop.prices")
    changed = PRICES.replace("close, 1", "close::float8, 1 {{ nobody }}")
    with pytest.raises(PublishError, match=r'view public\.dear would break: .*"close"') as caught:
        run({"models/prices.sql": changed})
    assert rows("select close from public.dear order by 1") == [(1.5,), (2.5,)]
    assert "'nobody' is undefined" in " ".join(caught.value.__notes__)


def test_columns_that_nobody_uses_may_go_and_new_ones_may_come(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    connection.execute("create view public.dear as select symbol from shop.prices")
    run(
        {
            "models/prices.sql": """
                {{ config(materialized='table') }} select 7 as first, 'Z'::text as symbol
            """,
            "models/cheap.sql": "select first, symbol from {{ ref('prices') }}",
        }
    )
    assert rows("select symbol from public.dear") == [("Z",)]
    assert rows("select * from shop.cheap") == [(7, "Z")]


def test_a_view_model_may_become_a_table_and_a_table_a_view(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    connection.execute("create view public.mine as select c.symbol from shop.cheap c, shop.prices")
    connection.execute("grant select on shop.cheap, shop.prices to public")
    run(
        {
            "models/prices.sql": "select 'A' as symbol, 1.5 as close, 3 as run",
            "models/cheap.sql": """
                {{ config(materialized='table') }} select symbol, close from {{ ref('prices') }}
            """,
        }
    )
    assert rows(
        "select relname, relkind, relacl::text like '%=r/%' from pg_class "
        "where relnamespace = 'shop'::regnamespace order by 1"
    ) == [("cheap", "r", True), ("prices", "v", True)]
    assert rows("select symbol from public.mine") == [("A",)]


STUCK = {
    "a materialized view": "create materialized view public.kept as select symbol from shop.{0}",
    "a policy": (
        "alter table shop.{0} enable row level security;"
        "create policy all_of_it on shop.{0} using (true)"
    ),
    "row security": "alter table shop.{0} enable row level security",
    "a function with an SQL body": (
        "create function public.highest() returns numeric begin atomic "
        "select max(close) from shop.{0}; end"
    ),
    "a function that returns its rows": (
        "create function public.all_prices() returns setof shop.{0} language sql "
        "as 'select * from shop.{0}'"
    ),
    "a column of its row type": "create table public.copies (price shop.{0})",
    "a view of whole rows": "create view public.whole as select p from shop.{0} p",
    "a primary key": "alter table shop.{0} add primary key (symbol)",
    "extended statistics": "create statistics public.both on symbol, close from shop.{0}",
    "a rule on another table": (
        "create table public.log (x text);"
        "create rule logged as on insert to public.log "
        "do also select count(*) from shop.{0}"
    ),
    "a rule on a view of the project's": (
        "create rule to_the_table as on insert to shop.cheap_{0} "
        "do instead insert into shop.{0} (symbol) values (new.symbol)"
    ),
    "a table of which it is a partition": (
        "create table public.parts (like shop.{0}) partition by list (symbol);"
        "alter table public.parts attach partition shop.{0} for values in ('A', 'B')"
    ),
    "a table from which it inherits": (
        "create table public.older (symbol text); alter table shop.{0} inherit public.older"
    ),
}


def test_a_table_that_cannot_be_replaced_is_filled_anew_where_it_is(
    run: Run, write: Write, rows: Any, connection: psycopg.Connection
) -> None:
    files: dict[str, str] = {}
    tables = [f"prices_{number}" for number in range(len(STUCK))]
    for table in tables:
        cheap = f"select symbol from {{{{ ref('{table}') }}}} where close < 2"
        files |= {f"models/{table}.sql": PRICES, f"models/cheap_{table}.sql": cheap}
    run(files)
    for table, what in zip(tables, STUCK.values(), strict=True):
        connection.execute(what.format(table))
    oids = "select relname, oid from pg_class where relname = any(%s) order by 1"
    before = rows(oids, tables)
    second = {f"models/{table}.sql": SECOND["models/prices.sql"] for table in tables}
    run(second)
    assert rows(oids, tables) == before
    for table, what in zip(tables, STUCK, strict=True):
        of = rows(f"select symbol, run from shop.{table} order by 1")
        assert of == [("A", 2), ("B", 2)], what
        assert rows(f"select symbol from shop.cheap_{table}") == [("A",)], what
        with pytest.raises(PublishError, match=rf"{table}\.sql: .* columns change \(column run\)"):
            run({f"models/{table}.sql": PRICES.replace("1 as run", "'x' as run")})
        write(second)


def test_rows_that_cannot_be_replaced_where_they_are_are_told_with_the_model(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    connection.execute(
        "create table public.parts (like shop.prices) partition by list (run);"
        "alter table public.parts attach partition shop.prices for values in (1)"
    )
    with pytest.raises(PublishError, match=r"prices\.sql: .* violates partition constraint"):
        run(SECOND)
    assert rows("select distinct run from public.parts") == [(1,)]


def test_a_foreign_key_on_a_model_is_refused(run: Run, connection: psycopg.Connection) -> None:
    run(SHOP)
    connection.execute("alter table shop.prices add primary key (symbol)")
    connection.execute("create table public.bought (symbol text references shop.prices)")
    with pytest.raises(PublishError, match="foreign key refers to"):
        run(SECOND)


def test_an_index_that_the_model_does_not_declare_is_missed_aloud(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    connection.execute("create index on shop.prices (close desc)")
    transformed = run(SECOND)
    assert len(transformed.warnings) == 1
    assert "CREATE INDEX USING btree (close DESC)" in transformed.warnings[0]
    assert run(SECOND).warnings == ()
    assert rows("select indexname from pg_indexes where schemaname = 'shop'") == [
        ("prices_symbol_idx",)
    ]


def test_what_is_not_a_table_or_view_is_not_replaced(
    run: Run, connection: psycopg.Connection
) -> None:
    connection.execute(
        "create schema shop; create table shop.prices (symbol text) partition by list (symbol)"
    )
    with pytest.raises(PublishError, match="no table or view"):
        run(SHOP)


def test_somebody_elses_schema_is_neither_used_nor_dropped(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    connection.execute("create schema shop__build; create table shop__build.precious as select 1")
    with pytest.raises(PublishError, match="schema shop__build already"):
        run(SHOP)
    assert rows("select count(*) from shop__build.precious") == [(1,)]


def test_somebody_elses_view_on_what_lies_aside_is_not_dropped(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    with pytest.raises(TestsFailedError):
        run({**SECOND, "tests/never.sql": "select 1"})
    connection.execute("create view public.peek as select * from shop__build.prices")
    with pytest.raises(PublishError, match=r"view peek depends on table shop__build\.prices"):
        run({"tests/never.sql": "select 1 where false"})
    assert rows("select count(*) from public.peek") == [(2,)]
    connection.execute("drop view public.peek")
    run()


@pytest.mark.parametrize(
    "broken",
    [
        {
            "models/late.sql": "{{ config(materialized='table') }} select 1/(close-close) as x "
            "from {{ ref('prices') }}"
        },
        {"models/late.sql": "select nothing from {{ ref('prices') }}"},
    ],
    ids=["among the rows", "in its text"],
)
def test_a_broken_model_leaves_everything_as_it_was(
    run: Run, rows: Any, broken: dict[str, str]
) -> None:
    run(SHOP)
    with pytest.raises(ProjectError):
        run({**SECOND, **broken})
    assert rows("select distinct run from shop.prices") == [(1,)]
    there = "select relname from pg_class where relnamespace = 'shop'::regnamespace order by 1"
    assert rows(there) == [("cheap",), ("prices",), ("prices_symbol_idx",)]


def test_a_user_without_special_rights_keeps_what_others_made_on_its_tables(
    write: Write, rows: Any, connection: psycopg.Connection, database_url: str, role: str
) -> None:
    separator = "&" if "?" in database_url else "?"
    plain = Warehouse(f"{database_url}{separator}options=-c%20role%3D{role}")
    database = connection.info.dbname
    connection.execute(
        f"""
        grant create on database "{database}" to {role};
        grant usage on schema meta to {role};
        grant select, insert, update, delete on all tables in schema meta to {role};
        grant usage on all sequences in schema meta to {role};
        """
    )
    transform.run(plain, Options(project_dir=write(SHOP)), run_id=1)
    connection.execute("create view public.mine as select * from shop.prices")
    for _ in range(2):
        transform.run(plain, Options(project_dir=write(SECOND)), run_id=2)
    assert rows("select distinct run from public.mine") == [(2,)]
    owner = "select pg_get_userbyid(relowner) from pg_class where oid = 'shop.prices'::regclass"
    assert rows(owner) == [(role,)]
    with pytest.raises(PublishError, match=r"mine depends on .* \(column run\)"):
        other = write({"models/prices.sql": PRICES.replace("1 as run", "'x' as run")})
        transform.run(plain, Options(project_dir=other), run_id=3)


def test_a_killed_run_changes_nothing_and_the_next_one_cleans_up(
    run: Run, rows: Any, write: Write, database_url: str, connection: psycopg.Connection
) -> None:
    run(SHOP)
    folder = write(
        {
            **SECOND,
            "models/slow.sql": "{{ config(materialized='table') }} "
            "select pg_sleep(60)::text as slept, run from {{ ref('prices') }}",
        }
    )
    program = (
        "import sys; from pathlib import Path; from datapipe import transform; "
        "from datapipe.transform import Options; "
        "from datapipe.warehouse import Warehouse; "
        "transform.run(Warehouse(sys.argv[1]), Options(project_dir=Path(sys.argv[2])), run_id=8)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, database_url, str(folder)])
    sleeper = "from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    while not rows(f"select pid {sleeper}"):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    connection.execute(f"select pg_terminate_backend(pid, 5000) {sleeper}")
    assert rows("select distinct run from shop.prices") == [(1,)]
    assert rows("select count(*) from pg_namespace where nspname = 'shop__build'") == [(1,)]
    run({"models/slow.sql": "select 1 as id"})
    assert rows("select distinct run from shop.prices") == [(2,)]
    assert rows("select nspname from pg_namespace where nspname like 'shop%'") == [("shop",)]


def test_a_reader_that_never_ends_is_named_and_nothing_is_published(
    run: Run, rows: Any, warehouse: Warehouse
) -> None:
    run(SHOP)
    with warehouse.connect() as reader:
        reader.execute("select * from shop.prices")
        with pytest.raises(WarehouseError, match=r"in use by process \d+ \(select \* from shop"):
            run(SECOND, wait_seconds=0)
        reader.rollback()
    assert rows("select distinct run from shop.prices") == [(1,)]
    run(SECOND)
    assert rows("select distinct run from shop.prices") == [(2,)]


def test_a_waiting_reader_is_let_through_between_the_attempts(
    run: Run, rows: Any, warehouse: Warehouse
) -> None:
    run(SHOP)
    told: list[str] = []
    seen: list[Any] = []

    def release(message: str) -> None:
        """Called after some attempts: the reader goes on, which no lock may hinder, and ends."""
        told.append(message)
        seen.append(reader.execute("select distinct run from shop.prices").fetchall())
        reader.commit()

    with warehouse.connect() as reader:
        reader.execute("select * from shop.cheap")
        run(SECOND, listener=Listener(message=release))
    assert told == ["Readers hold the published tables; waiting for a gap."]
    assert seen == [[(1,)]]
    assert rows("select distinct run from shop.prices") == [(2,)]


def test_what_is_made_while_the_run_waits_is_kept_too(
    run: Run, rows: Any, warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    run(SHOP)
    before = rows("select 'shop.prices'::regclass::oid")

    def make(message: str) -> None:
        connection.execute("create materialized view public.kept as select * from shop.prices")
        connection.execute("create view public.mine as select * from shop.prices")
        reader.commit()

    with warehouse.connect() as reader:
        reader.execute("select * from shop.cheap")
        run(SECOND, listener=Listener(message=make))
    assert rows("select 'shop.prices'::regclass::oid") == before
    assert rows("select distinct run from public.mine") == [(2,)]
    assert rows("select distinct run from public.kept") == [(1,)]
    connection.execute("refresh materialized view public.kept")
    assert rows("select distinct run from public.kept") == [(2,)]


def test_what_is_made_just_before_the_locks_are_taken_is_kept_too(
    run: Run, rows: Any, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(SHOP)
    take = locks.take

    def late(own: psycopg.Connection, plan: Plan, patience_ms: int) -> None:
        connection.execute("create view public.mine as select * from shop.prices")
        take(own, plan, patience_ms)

    monkeypatch.setattr(locks, "take", late)
    run(SECOND)
    assert rows("select distinct run from public.mine") == [(2,)]


def test_a_reader_never_sees_an_error_or_two_versions(
    run: Run, rows: Any, connection: psycopg.Connection, warehouse: Warehouse
) -> None:
    def version(number: int) -> dict[str, str]:
        table = (
            "{{ config(materialized='table') }} select %d as run, n from generate_series(1, 50) n"
        )
        both = "select n, o.run from {{ ref('one') }} o join {{ ref('two') }} t using (n)"
        return {
            "models/one.sql": table % number,
            "models/two.sql": table % number,
            "models/both.sql": both,
        }

    run(version(0))
    connection.execute(
        "create view public.joined as select o.run as one, t.run as two, b.run as both_of_them "
        "from shop.one o join shop.two t using (n) join shop.both b using (n)"
    )
    before = state_of(rows, "public.joined")
    stop = threading.Event()
    seen: set[tuple[int, int, int]] = set()
    errors: list[BaseException] = []

    def read(query: str) -> None:
        try:
            with warehouse.connect(autocommit=True) as reader:
                while not stop.is_set():
                    seen.update(reader.execute(query).fetchall())
        except BaseException as error:
            errors.append(error)

    queries = [
        "select distinct one, two, both_of_them from public.joined",
        "select distinct t.run, o.run, o.run from shop.two t join shop.one o using (n)",
    ]
    readers = [threading.Thread(target=read, args=[query]) for query in queries]
    for reader in readers:
        reader.start()
    published = [0]
    try:
        for number in range(1, 21):
            failing = "select 1" if number % 2 else "select 1 where false"
            try:
                run({**version(number), "tests/every_other.sql": failing})
                published.append(number)
            except TestsFailedError:
                pass
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert len(published) == 11
    assert seen <= {(number, number, number) for number in published}
    assert state_of(rows, "public.joined") == before
    assert rows("select distinct one from public.joined") == [(20,)]
