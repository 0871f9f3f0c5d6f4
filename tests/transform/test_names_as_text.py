"""What a project names without ref is read as this run has it, and waited for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from datapipe.errors import RunFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

TABLE = "{{ config(materialized='table') }} "
# Each is named in another spelling; only b says what it depends on.
NAMED = {
    "models/z_seed.sql": TABLE + "select {{ var('n') }} as id",
    "models/a.sql": TABLE + "select seed.id from {{ this.schema }}.z_seed as seed",
    "models/b.sql": "-- depends_on: {{ ref('z_seed') }}\nselect shop.z_seed.id from Shop.z_seed",
    "models/c.sql": "{{ config(materialized='ephemeral') }} select id from shop . \"b\" -- shop.b",
    "models/d.sql": "{{ config(materialized='incremental', unique_key='id') }}"
    "select id, 'shop.b' as said from {{ ref('c') }}"
    "{% if is_incremental() %} where id > (select max(id) from {{ this }}){% endif %}",
    "models/e.sql": "-- depends_on: {{ ref('b') }}\n"
    "select id from {{ api.Relation.create(schema='shop', identifier='d') }}, "
    "(select {{ run_query('select count(*) from shop.b').rows[0][0] }} as counted) as other",
    "models/f.sql": "{{ config(post_hook='insert into {{ this }} select 1, - id from shop.a') }}"
    + TABLE
    + "with shop as (select 1 as e) select shop.e, it.id from shop, "
    '"{{ target.dbname }}".shop.e as it',
    "tests/same.sql": "select * from shop.f where id > {{ var('n') }}",
}
ALL = (
    "select a.id, b.id, d.id, e.id, f.id from shop.a, shop.b, shop.d, shop.e, shop.f "
    "where f.id > 0 and exists (select from shop.f where f.id = - a.id)"
)


def reused(done: Transformed) -> set[str]:
    return {each.name for each in done.results if each.status == "reused"}


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_named_as_text_is_what_this_run_has_built(
    run: Run, rows: Any, threads: int
) -> None:
    first = run(NAMED, variables={"n": 1}, threads=threads)
    assert rows(ALL) == [(1,) * 5]
    assert rows("select said from shop.d") == [("shop.b",)]
    assert not reused(first)
    run(variables={"n": 1}, threads=threads)  # the first increment
    again = run(variables={"n": 1}, threads=threads)
    assert reused(again) == {each.name for each in first.results}
    second = run(variables={"n": 2}, threads=threads)
    assert not reused(second)
    assert sorted(rows(ALL)) == [(2, 2, *n) for n in product((1, 2), repeat=3)]
    assert rows("select count(*) from pg_namespace where nspname like 'shop\\_\\_%'") == [(0,)]


def test_what_was_not_built_in_this_run_is_read_where_it_is_published(run: Run, rows: Any) -> None:
    override = """
        {% macro ref(name) %}
        {% do return(builtins.ref(name).replace_path(identifier='other')) %}
        {% endmacro %}
    """
    files = {
        "macros/ref.sql": override,
        "models/one.sql": TABLE + "select {{ var('n') }} as id",
        "models/other.sql": TABLE + "select 10 as id",
        "models/reader.sql": TABLE + "select id from {{ ref('one') }}",
    }
    run(files, variables={"n": 1})
    done = run(variables={"n": 2})
    assert reused(done) == {"other"}
    assert rows("select id from shop.reader") == [(10,)]


def test_two_that_name_each_other_are_built_upon_what_is_published(run: Run, rows: Any) -> None:
    other = "models/other.sql"
    run({"models/one.sql": TABLE + "select 1 as id", other: TABLE + "select 1 as id"})
    run({other: TABLE + "select id + 1 as id from shop.one",
         "models/one.sql": TABLE + "select id + 10 as id from {{ ref('other') }}"})  # fmt: skip
    assert rows("select one.id, other.id from shop.one, shop.other") == [(12, 2)]


def test_a_mistake_is_told_at_its_line_behind_a_name_and_what_waited_is_skipped(run: Run) -> None:
    files = {
        "models/m.sql": "select id\nfrom\n  shop.n\n  join {{ this.schema }}.n as o using (idd)",
        "models/n.sql": "select 1 as id",
        "models/o.sql": "select * from shop.p",
        "models/p.sql": "select nothing",
        "models/q.sql": "select id, 1 / zero from shop.n\n, shop.p",
    }
    with pytest.raises(RunFailedError) as caught:
        run(files)
    ended = {each.name: (each.status, each.line, each.because) for each in caught.value.results}
    assert ended["m"] == ("error", 4, "")
    assert ended["p"] == ("error", 1, "")
    assert ended["o"] == ended["q"] == ("skipped", None, "p")
