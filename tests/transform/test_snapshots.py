"""Snapshots keep every version of a row, as dbt does, and are published with the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError, TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Rows = Callable[..., list[tuple[Any, ...]]]

SNAPSHOT = """
    {{% snapshot {name} %}}
    {{{{ config(schema='shop', unique_key='id', {config}) }}}}
    select id, name, at from public.things
    {{% endsnapshot %}}
"""
FIRST = "(1, 'one', '2020-01-01'), (2, 'two', '2020-01-01'), (3, null, '2020-01-01')"
THEN = "(1, 'ONE', '2020-02-01'), (2, 'two', '2020-01-01'), (4, 'four', '2020-02-01')"
AGAIN = f"{THEN}, (3, 'back', '2020-03-01')"


@pytest.fixture
def things(connection: psycopg.Connection) -> Callable[[str], None]:
    connection.execute("create table public.things (id int, name text, at timestamp)")

    def become(values: str) -> None:
        connection.execute(f"truncate public.things; insert into public.things values {values}")

    return become


BY_TIME = "strategy='timestamp', updated_at='at'"
BY_NAME = "strategy='check', check_cols=['name']"


# id, name, whether it has ended; dbt 1.11 gives the same
VERSIONS = {
    # What is not seen to be gone has not ended when it comes back.
    BY_TIME: ["1 ONE", "1 one -", "2 two", "3 -", "3 back", "4 four"],
    f"{BY_TIME}, hard_deletes='invalidate'": [
        "1 ONE", "1 one -", "2 two", "3 -", "3 back", "4 four"
    ],
    f"{BY_NAME}, invalidate_hard_deletes=true": [
        "1 ONE", "1 one -", "2 two", "3 -", "3 back", "4 four"
    ],
    f"{BY_NAME}, hard_deletes='new_record', updated_at='at'": [
        "1 ONE", "1 one -", "2 two", "3 -", "3 - gone", "3 back", "4 four"
    ],
}  # fmt: skip


def test_rows_that_change_go_and_come_back_have_their_versions(
    run: Run, rows: Rows, things: Callable[[str], None]
) -> None:
    files = {}
    for n, config in enumerate(VERSIONS):
        open_ = f"select id from {{{{ ref('s{n}') }}}} where dbt_valid_to is null"
        files[f"snapshots/s{n}.sql"] = SNAPSHOT.format(name=f"s{n}", config=config)
        files[f"models/open{n}.sql"] = open_
    for values in (FIRST, THEN, AGAIN, AGAIN):
        things(values)
        run(files)
    for n, (config, versions) in enumerate(VERSIONS.items()):
        gone = "dbt_is_deleted = 'True'" if "new_record" in config else "false"
        found = rows(
            "select concat_ws(' ', id, name, case when dbt_valid_to is not null then '-' end, "
            f"case when {gone} then 'gone' end) from shop.s{n}"
        )
        assert sorted(row[0] for row in found) == versions, config
        assert rows(f"select count(*) from shop.open{n}") == [(4,)], config
        hashed = f"select dbt_scd_id = md5(concat(id, '|', at)) from shop.s{n} where id = 2"
        assert rows(hashed) == [("timestamp" in config or "at'" in config,)], config


def test_meta_columns_may_have_other_names_and_open_ends_a_date(
    run: Run, rows: Rows, things: Callable[[str], None], connection: psycopg.Connection
) -> None:
    names = "snapshot_meta_column_names={'dbt_valid_to': 'until', 'dbt_scd_id': 'version'}"
    config = f"{BY_TIME}, dbt_valid_to_current=\"'9999-12-31'::timestamp\", {names}"
    files = {"snapshots/s.sql": SNAPSHOT.format(name="s", config=config)}
    things(FIRST)
    run(files)
    connection.execute("alter table public.things add column more varchar(4)")
    things("(1, 'ONE', '2020-02-01', 'more')")
    run({"snapshots/s.sql": files["snapshots/s.sql"].replace("at from", "at, more from")})
    found = rows("select id, name, more, until::date::text from shop.s where id = 1 order by at")
    assert found == [(1, "one", None, "2020-02-01"), (1, "ONE", "more", "9999-12-31")]
    assert rows("select count(distinct version) from shop.s") == [(4,)]
    length = "select character_maximum_length from information_schema.columns"
    assert rows(f"{length} where table_schema = 'shop' and column_name = 'more'") == [(4,)]


def test_a_failed_test_leaves_the_snapshot_as_it_was(
    run: Run, rows: Rows, things: Callable[[str], None]
) -> None:
    files = {"snapshots/s.sql": SNAPSHOT.format(name="s", config=BY_TIME)}
    things(FIRST)
    run(files)
    things(THEN)
    with pytest.raises(TestsFailedError):
        run({"tests/none_new.sql": "select * from {{ ref('s') }} where id = 4"})
    assert rows("select count(*) from shop.s where dbt_valid_to is null") == [(3,)]


def test_a_table_that_is_no_snapshot_is_not_made_one(
    run: Run, rows: Rows, things: Callable[[str], None], connection: psycopg.Connection
) -> None:
    things(FIRST)
    connection.execute("create schema shop; create table shop.s as select 1 as id")
    with pytest.raises(ProjectError, match="has no column dbt_scd_id"):
        run({"snapshots/s.sql": SNAPSHOT.format(name="s", config=BY_TIME)})
    assert rows("select id from shop.s") == [(1,)]
