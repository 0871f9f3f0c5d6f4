"""Functions of a project's own: made aside, published with the models, remembered."""

from __future__ import annotations

import os
from typing import Any

import psycopg
import pytest

from datapipe import transform
from datapipe.errors import ProjectError, PublishError, RunFailedError
from datapipe.transform import Options
from datapipe.warehouse import Warehouse

TWICE = {
    "functions/twice.sql": "select n * 2",
    "functions/four_times.sql": "select {{ function('twice') }}({{ function('twice') }}(n))",
    "functions/functions.yml": """
        functions:
          - name: twice
            config: {schema: shop, volatility: deterministic}
            arguments: [{name: n, data_type: int}]
            returns: {data_type: int}
          - name: four_times
            config: {schema: lib}
            arguments: [{name: n, data_type: int, default_value: 5}]
            returns: {data_type: int}
    """,
}
SHOP = {
    **TWICE,
    "models/numbers.sql": """
        {{ config(materialized='table') }}
        select i as n, {{ function('four_times') }}(i) as four from generate_series(1, 3) i
    """,
    "models/seen.sql": "select n, {{ function('twice') }}(four) as eight from {{ ref('numbers') }}",
    "models/counted.sql": """
        {{ config(materialized='materialized_view') }}
        select sum({{ function('twice') }}(n)) as total, {{ function('four_times') }}() as twenty
        from {{ ref('numbers') }}
    """,
    "models/grown.sql": """
        {{ config(materialized='incremental', unique_key='n') }}
        select n, {{ function('twice') }}(n) as two from {{ ref('numbers') }}
    """,
    "tests/twice_is_even.sql": """
        select n from {{ ref('numbers') }} where {{ function('twice') }}(n) % 2 <> 0
    """,
}
BY_FOUR = {"functions/twice.sql": "select n * 4"}
ALL = "select n, eight, (select total from shop.counted), (select sum(two) from shop.grown)"
FUNCTIONS = """
    select p.oid::regprocedure::text, pg_get_function_result(p.oid), provolatile::text, prosrc,
           obj_description(p.oid), proacl::text
    from pg_proc p join pg_namespace n on n.oid = pronamespace
    where nspname in ('shop', 'lib') order by 1
"""


@pytest.fixture
def role(connection: psycopg.Connection) -> Any:
    name = f"caller_{os.getpid()}"
    connection.execute(f"create role {name}")
    yield name
    connection.execute(f"drop owned by {name} cascade; drop role {name}")


def done(result: transform.Transformed) -> dict[str, str]:
    return {each.name: each.status for each in result.results}


def test_models_are_built_with_functions_that_are_published_with_them_and_reused(
    run: Any, rows: Any
) -> None:
    assert set(done(run(SHOP)).values()) == {"success", "pass"}
    assert rows(f"{ALL} from shop.seen where n = 3") == [(3, 24, 12, 12)]
    assert [row[0] for row in rows(FUNCTIONS)] == ["lib.four_times(integer)", "shop.twice(integer)"]
    assert "__" not in str(rows(FUNCTIONS))
    views = "select pg_get_viewdef(name) from unnest('{shop.seen,shop.counted}'::regclass[]) name"
    assert "shop.twice" in str(rows(views))
    assert "__" not in str(rows(views))
    assert rows("select nspname from pg_namespace where nspname like '%\\_\\_%'") == []
    run()  # the first increment
    assert set(done(run()).values()) == {"reused"}


def test_what_calls_a_changed_function_is_built_again_and_the_function_stays_what_it_is(
    run: Any, rows: Any, connection: psycopg.Connection
) -> None:
    run(SHOP)
    connection.execute(
        """
        create table public.mine (n int, twice int generated always as (shop.twice(n)) stored);
        create index on public.mine (shop.twice(n));
        create view public.dear as select n, shop.twice(n) as two from shop.numbers;
        comment on function shop.twice is 'mine';
        revoke execute on function shop.twice from public;
        """
    )
    before = rows(FUNCTIONS)[1]
    with pytest.raises(RunFailedError):
        run(
            {
                **BY_FOUR,
                "models/bad.sql": "select 1 / {{ function('twice') }}(0) as n from nowhere",
            }
        )
    assert rows(FUNCTIONS)[1] == before
    assert rows("select two from public.dear where n = 3") == [(6,)]
    ended = done(run({**BY_FOUR, "models/bad.sql": ""}))
    assert set(ended.values()) == {"success", "pass"}
    assert rows(f"{ALL} from shop.seen where n = 3") == [(3, 192, 24, 24)]
    assert rows("select two from public.dear where n = 3") == [(12,)]
    after = rows(FUNCTIONS)[1]
    assert after == (*before[:3], after[3], *before[4:])
    assert "n * 4" in after[3]
    # Where one of another hangs on our materialized view, that stays and is filled anew.
    connection.execute("create materialized view public.copied as select * from shop.counted")
    run({"functions/twice.sql": "select n * 6"})
    assert rows(f"{ALL} from shop.seen where n = 3") == [(3, 648, 36, 36)]


def test_a_function_that_gives_another_type_is_swapped_and_what_would_break_refuses(
    run: Any, rows: Any, connection: psycopg.Connection, role: str
) -> None:
    run(TWICE)
    connection.execute(
        "create view public.text as select shop.twice(1)::text as t; "
        "comment on function shop.twice is 'mine'; "
        f"grant execute on function shop.twice to {role}"
    )
    before = rows(FUNCTIONS)[1]
    bigint = TWICE["functions/functions.yml"].replace(
        "returns: {data_type: int}", "returns: {data_type: bigint}", 1
    )
    wider = {"functions/functions.yml": bigint, "functions/four_times.sql": "select n * 4"}
    connection.execute("create view public.typed as select shop.twice(1) as n")
    with pytest.raises(PublishError, match=r"view public\.typed would break"):
        run(wider)
    connection.execute("drop view public.typed; create table public.t (n int)")
    connection.execute("create index on public.t (shop.twice(n))")
    with pytest.raises(PublishError, match=r"index t_twice_idx uses .*twice"):
        run()
    assert rows(FUNCTIONS)[1] == before
    connection.execute("drop table public.t")
    run()
    after = rows(FUNCTIONS)[1]
    assert after == (before[0], "bigint", *before[2:])
    assert rows("select t from public.text") == [("2",)]


def test_a_function_with_other_arguments_comes_in_the_place_of_the_old_one(
    run: Any, rows: Any
) -> None:
    run(SHOP)
    numeric = SHOP["functions/functions.yml"].replace("data_type: int}", "data_type: numeric}", 2)
    files = {
        "functions/functions.yml": numeric,
        "functions/four_times.sql": "select {{ function('twice') }}(n)::int * 2",
    }
    run(files)
    assert [row[0] for row in rows(FUNCTIONS)] == ["lib.four_times(integer)", "shop.twice(numeric)"]
    assert rows(f"{ALL} from shop.seen where n = 3") == [(3, 24, 12, 12)]


def test_overloaded_functions_share_a_name_and_hooks_change_what_is_published(
    run: Any, rows: Any
) -> None:
    hook = "{{ config(alias='say', post_hook='alter function {{ this }}(int) cost 7') }}"
    run(
        {
            "functions/say.sql": "select 'text ' || what",
            "functions/say_int.sql": f"{hook} select {{{{ function('say') }}}}(what::text) || '!'",
            "functions/functions.yml": """
                functions:
                  - name: say
                    config: {schema: shop}
                    arguments: [{name: what, data_type: text}]
                    returns: {data_type: text}
                  - name: say_int
                    config: {schema: shop}
                    arguments: [{name: what, data_type: int}]
                    returns: {data_type: text}
            """,
            "models/said.sql": """
                select {{ function('say') }}('a') as a, {{ function('say_int') }}(1) as b,
                shop.say(2) as c
            """,
        }
    )
    assert rows("select * from shop.said") == [("text a", "text 1!", "text 2!")]
    assert rows("select procost from pg_proc where proname = 'say' order by procost") == [
        (7,),
        (100,),
    ]


def test_a_function_that_was_changed_or_dropped_by_hand_is_made_again(
    run: Any, rows: Any, connection: psycopg.Connection, warehouse: Warehouse, write: Any
) -> None:
    run(TWICE)
    connection.execute("alter function shop.twice(int) stable")
    planned = transform.plan(warehouse, Options(project_dir=write({})))
    assert [(each.name, each.reason) for each in planned.build] == [
        ("twice", "its function was made anew, which this project did not do"),
        ("four_times", "twice is built"),
    ]
    assert done(run()) == {"twice": "success", "four_times": "success"}
    connection.execute("drop function lib.four_times(int)")
    assert done(run()) == {"twice": "reused", "four_times": "success"}
    assert rows("select lib.four_times(), provolatile from pg_proc where proname = 'twice'") == [
        (20, "i")
    ]


def test_a_run_that_goes_on_keeps_what_calls_functions_unless_these_have_changed(
    run: Any, rows: Any
) -> None:
    bad = {"models/bad.sql": "{{ config(materialized='table') }} select 1 / 0 as n"}
    with pytest.raises(RunFailedError):
        run({**SHOP, **bad})
    with pytest.raises(RunFailedError) as caught:
        run(resume=True)
    kept = {each.name for each in caught.value.results if getattr(each, "is_kept", False)}
    assert kept == {"numbers", "grown"}
    run({**BY_FOUR, "models/bad.sql": ""}, resume=True)
    assert rows(f"{ALL} from shop.seen where n = 3") == [(3, 192, 24, 24)]


def test_what_calls_a_function_that_reads_the_clock_is_never_reused(run: Any) -> None:
    files = {
        "functions/today.sql": "select current_date",
        "functions/f.yml": """
            functions:
              - name: today
                config: {schema: shop}
                returns: {data_type: date}
        """,
        "models/day.sql": """
            {{ config(materialized='table') }} select {{ function('today') }}() as day
        """,
    }
    run(files)
    assert done(run()) == {"today": "reused", "day": "success"}


def test_grants_of_a_function_leave_nobody_else_with_a_privilege(
    run: Any, rows: Any, role: str
) -> None:
    granted = TWICE["functions/functions.yml"].replace(
        "volatility: deterministic",
        f"grants: {{execute: {role}}}, persist_docs: {{relation: true}}",
    )
    described = granted.replace("name: twice", "name: twice\n            description: It's twice.")
    run({**TWICE, "functions/functions.yml": described})
    may = f"""
        select has_function_privilege('{role}', oid, 'execute'), obj_description(oid),
               exists (select from aclexplode(proacl) where grantee = 0)
        from pg_proc where proname = 'twice'
    """
    assert rows(may) == [(True, "It's twice.", False)]
    with pytest.raises(PublishError, match=r"functions.yml:\d+: The grants of .* cannot be given"):
        run({"functions/functions.yml": described.replace(role, "nobody_there")})


@pytest.mark.parametrize("per_model", [False, True])
def test_macros_of_the_project_make_aggregates_and_functions_give_rows_of_models(
    run: Any, rows: Any, per_model: bool
) -> None:
    files = {
        **SHOP,
        "macros/aggregates.sql": """
            {% macro postgres__aggregate_function_sql(target_relation) %}
            create or replace aggregate {{ target_relation }} (int)
                (sfunc = {{ model.compiled_code }}, stype = int, initcond = '0')
            {% endmacro %}
            {% macro postgres__scalar_function_body_sql() %}
            $$ {{ model.compiled_code }} $$ language {{ model.config.meta.language or 'sql' }}
            {% endmacro %}
        """,
        "functions/at_most_3.sql": """
            begin if n > 3 then return {{ this }}(n - 1); end if; return n; end
        """,
        "functions/plus_twice.sql": "select total + {{ function('twice') }}(n)",
        "functions/sum_twice.sql": "{{ config(type='aggregate') }} {{ function('plus_twice') }}",
        "functions/last_number.sql": """
            select o from {{ ref('numbers') }} o order by n desc limit 1
        """,
        "functions/more.yml": """
            functions:
              - name: plus_twice
                config: {schema: shop}
                arguments: [{name: total, data_type: int}, {name: n, data_type: int}]
                returns: {data_type: int}
              - name: sum_twice
                config: {schema: shop}
                arguments: [{name: n, data_type: int}]
                returns: {data_type: int}
              - name: at_most_3
                config: {schema: shop, meta: {language: plpgsql}}
                arguments: [{name: n, data_type: int}]
                returns: {data_type: int}
              - name: last_number
                config: {schema: shop}
                returns: {data_type: shop.numbers}
        """,
        "models/summed.sql": """
            {{ config(materialized='materialized_view') }}
            select {{ function('sum_twice') }}(n) as s, shop.twice(1) as two
            from {{ ref('numbers') }}
        """,
        "models/last.sql": """
            select l.*, {{ function('at_most_3') }}(9) as m from {{ function('last_number') }}() l
        """,
    }
    run(files, per_model=per_model)
    assert rows("select s, two, n, four, m from shop.summed, shop.last") == [(12, 2, 3, 12, 3)]
    run({**BY_FOUR, "macros/more.sql": ""}, per_model=per_model)
    assert rows("select s, two, n, four, m from shop.summed, shop.last") == [(24, 4, 3, 48, 3)]
    assert rows("select nspname from pg_namespace where nspname like '%\\_\\_%'") == []


def test_a_function_is_selected_listed_compiled_and_shown_to_templates(
    write: Any, run: Any, rows: Any, warehouse: Warehouse
) -> None:
    shown = "select '{{ graph.functions['function.shop.four_times'].depends_on.nodes[0] }}' as of"
    folder = write({**SHOP, "models/shown.sql": shown})
    functions = Options(project_dir=folder, select=["+resource_type:function"])
    nodes, _ = transform.listed(functions, lambda: warehouse)
    assert [node.selector for node in nodes if node.resource_type == "function"] == [
        "shop.four_times",
        "shop.twice",
    ]
    compiled, _ = transform.compiled(warehouse, Options(project_dir=folder, select=["four_times"]))
    assert '."shop"."twice"(' in compiled[0].sql
    with pytest.raises(ProjectError, match=r"numbers reads four_times.*never published"):
        run(select=["numbers"])
    assert done(run(select=["shown", "twice"])) == {"twice": "success", "shown": "success"}
    assert rows("select of from shop.shown") == [("function.shop.twice",)]
    page, warnings = transform.documented(warehouse, Options(project_dir=folder))
    assert "<h2>four_times()</h2>" in page
    assert "<td><code>5</code></td>" in page  # the default of its argument
    assert warnings == ()


TWICE_ALONE = """
functions:
  - name: twice
    arguments: [{name: n, data_type: int}]
    returns: {data_type: int}
"""
NO_TYPE = TWICE_ALONE.replace("data_type: int}", "type: int}", 1)
NO_DEFAULT = TWICE_ALONE.replace(
    "int}]", "int, default_value: 1},\n                {name: m, data_type: int}]"
)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"models/m.sql": "select\n{{ function('twize') }}(1)"},
            "m.sql:2: There is no function twize. Did you mean twice",
        ),
        ({"models/m.sql": "select {{ ref('twice') }}(1)"}, "m.sql:1: There is no model twice"),
        (
            {"functions/twice.sql": "select\n{{ function('twice') }}(n)"},
            "twice.sql:2: .* in a circle",
        ),
        ({"functions/twice.sql": "select\n  m * 2"}, 'twice.sql:2: .*column "m" does not exist'),
        (
            {"functions/nowhere.sql": "select 1"},
            "nowhere.sql:1: The function nowhere is not described",
        ),
        (
            {"functions/f.yml": TWICE_ALONE.replace("returns", "return")},
            "f.yml:4: .* does not say what it returns. Write returns, not return",
        ),
        (
            {"functions/f.yml": TWICE_ALONE.replace("    returns: {data_type: int}\n", "")},
            "f.yml:2: .* does not say what it returns",
        ),
        ({"functions/f.yml": NO_TYPE}, "f.yml:3: .* must have a name and a data_type"),
        ({"functions/f.yml": NO_DEFAULT}, "f.yml:4: The argument m .* has no default_value"),
        (
            {"functions/f.yml": TWICE_ALONE + "    config:\n      volatility: immutable"},
            "f.yml:6: volatility must be one of",
        ),
        (
            {"functions/f.yml": TWICE_ALONE + "    config: {materialized: table}"},
            "f.yml:5: .* cannot be materialized as table",
        ),
        (
            {
                "functions/f.yml": TWICE_ALONE + "    config: {enabled: false}",
                "models/m.sql": "select {{ function('twice') }}(1)",
            },
            "m.sql:1: The function twice is disabled",
        ),
        (
            {"functions/py.py": "a = 1", "models/m.sql": "select {{ function('py') }}(1)"},
            "m.sql:1: .* there is no macro postgres__scalar_function_python",
        ),
        (
            {
                "functions/again.sql": "{{ config(alias='twice') }} select 1",
                "functions/g.yml": TWICE_ALONE.replace("twice", "again"),
            },
            "twice.sql:1: The functions again and twice would both be",
        ),
    ],
)
def test_a_mistake_in_a_function_is_told_with_its_place(
    run: Any, files: dict[str, str], message: str
) -> None:
    with pytest.raises((ProjectError, RunFailedError), match=message):
        run({"functions/twice.sql": "select n * 2", "functions/f.yml": TWICE_ALONE, **files})


def test_a_function_that_no_macro_makes_is_left_out_with_a_warning(run: Any) -> None:
    result = run({**TWICE, "functions/py.py": "def main(a): return a"})
    assert set(done(result)) == {"twice", "four_times"}
    assert "py is written in Python" in result.warnings[0]
