"""Selection means what it means in dbt; what is not selected is read where it was published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe import transform
from datapipe.errors import DatapipeError, ProjectError, TestsFailedError, UsageError
from datapipe.transform import Listener, Options, Transformed, project
from datapipe.transform.graph.asked import asked
from datapipe.transform.graph.select import Selection, select
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest import read

Run = Callable[..., Transformed]
Write = Callable[..., Path]

SHOP = {
    "models/staging/stg_orders.sql": "select 1 as id, {{ var('version', 1) }} as version",
    "models/staging/stg_customers.sql": (
        "{{ config(tags=['nightly']) }} select 1 as id from {{ source('outside', 'people') }}"
    ),
    "models/marts/orders.sql": """
        {{ config(materialized='table', tags=['nightly', 'mart']) }}
        select o.id, o.version from {{ ref('stg_orders') }} o
        join {{ ref('stg_customers') }} c on c.id = o.id
    """,
    "models/marts/totals.sql": (
        "{{ config(materialized='table') }} "
        "select count(*) as n, max(version) as version from {{ ref('orders') }}"
    ),
    "models/marts/other.sql": "{{ config(tags='mart') }} select 1 as id",
    "models/staging/schema.yml": """
        sources: [{name: outside, schema: public, tables: [{name: people}]}]
        models:
          - name: stg_orders
            columns: [{name: id, data_tests: [not_null]}]
    """,
    "models/marts/schema.yml": """
        models:
          - name: orders
            columns:
              - name: id
                data_tests:
                  - unique
                  - relationships: {to: ref('stg_customers'), field: id}
          - name: other
            columns: [{name: id, data_tests: [not_null]}]
    """,
    "tests/totals_are_small.sql": "select * from {{ ref('totals') }} where n > 9",
}


@pytest.fixture
def selected(write: Write) -> Callable[..., Selection]:
    folder = write(SHOP)
    loaded = project.load(folder)
    renderer = Renderer(loaded, described(None, "public"))
    manifest = read(renderer)

    def of(*include: str, exclude: tuple[str, ...] = ()) -> Selection:
        return select(manifest, asked(loaded, lambda: renderer, include, exclude))

    return of


STAGING = {"stg_orders", "stg_customers"}
MARTS = {"orders", "totals", "other"}


CRITERIA = {
    "orders": {"orders"},
    "staging": STAGING,
    "shop.marts": MARTS,
    "marts.orders": {"orders"},
    "stg_*": STAGING,
    "models/staging": STAGING,
    "path:models/marts/orders.sql": {"orders"},
    "path:models/marts/schema.yml": {"orders", "other"},
    "orders.sql": {"orders"},
    "file:tot*": {"totals"},
    "tag:nightly": {"orders", "stg_customers"},
    "tag:nightly,tag:mart": {"orders"},
    "tag:mart stg_orders": {"orders", "other", "stg_orders"},
    "+orders": {"orders", *STAGING},
    "1+totals": {"totals", "orders"},
    "2+totals": {"totals", "orders", *STAGING},
    "orders+": {"orders", "totals"},
    "stg_orders+1": {"stg_orders", "orders"},
    "@stg_orders": {"stg_orders", "orders", "totals", "stg_customers"},
    "source:outside+": {"stg_customers", "orders", "totals"},
    "source:outside.people+1": {"stg_customers"},
    "config.materialized:table": {"orders", "totals"},
    "resource_type:model": {*STAGING, *MARTS},
    "package:this": {*STAGING, *MARTS},
    "test_type:singular": set(),
    "+test_name:relationships": {"orders", *STAGING},
}


def test_criteria_select_what_dbt_selects(selected: Any) -> None:
    for criterion, models in CRITERIA.items():
        selection = selected(criterion)
        assert selection.models == models, criterion
        assert selection.warnings == (), criterion


def test_tests_come_with_any_model_that_they_read(selected: Any) -> None:
    assert {test.name for test in selected("stg_customers").tests} == {
        "relationships_orders_id__id__ref_stg_customers_"
    }
    assert {test.name for test in selected("totals").tests} == {"totals_are_small"}
    assert {test.name for test in selected("test_type:singular").tests} == {"totals_are_small"}


def test_what_is_excluded_goes_with_its_tests(selected: Any) -> None:
    selection = selected("+orders", exclude=("stg_customers",))
    assert selection.models == {"orders", "stg_orders"}
    assert {test.name for test in selection.tests} == {"not_null_stg_orders_id", "unique_orders_id"}
    assert selected(exclude=("tag:mart",)).models == {*STAGING, "totals"}


def test_what_matches_nothing_is_a_warning_as_in_dbt(selected: Any) -> None:
    selection = selected("order", "orders", "tag:mart,stg_orders")
    assert selection.models == {"orders"}
    assert selection.warnings == (
        "The selection criterion 'order' does not match any enabled nodes.",
        "The selection criterion 'tag:mart,stg_orders' does not match any enabled nodes.",
    )


def test_a_criterion_that_cannot_be_read_is_refused(selected: Any) -> None:
    with pytest.raises(UsageError, match=r"tagg is no method of selection\. Did you mean tag\?"):
        selected("tagg:red")
    for criterion in ("@orders+", "source:a.b.c.d", "+", "/etc"):
        with pytest.raises(UsageError):
            selected(criterion)


@pytest.fixture
def people(connection: Any) -> None:
    connection.execute("create table public.people as select 1 as id")


def test_only_what_is_selected_is_built_and_the_rest_stays(
    run: Run, rows: Any, people: None
) -> None:
    run(SHOP, run_id=1)
    transformed = run(select=["orders"], variables={"version": 2}, run_id=2, rebuild=True)
    assert [model.name for model in transformed.models] == ["orders"]
    assert {test.name for test in transformed.tests} == {
        "unique_orders_id",
        "relationships_orders_id__id__ref_stg_customers_",
    }
    # stg_orders was not selected: what is read is the view of the first run.
    assert rows("select version from shop.orders") == [(1,)]
    run(select=["stg_orders+"], exclude=["totals"], variables={"version": 3}, run_id=3)
    assert rows("select version from shop.orders") == [(3,)]
    assert rows("select version from shop.totals") == [(1,)]
    assert sorted(rows("select name, run_id from meta.models")) == [
        ("orders", 3), ("other", 1), ("stg_customers", 1), ("stg_orders", 3), ("totals", 1),
    ]  # fmt: skip


def test_views_that_are_not_selected_show_the_new_rows(run: Run, rows: Any) -> None:
    base = {"models/seen.sql": "select * from {{ ref('kept') }}"}
    kept = "{{{{ config(materialized='table') }}}} select {} as n"
    run({**base, "models/kept.sql": kept.format(1)})
    run({"models/kept.sql": kept.format(2)}, select=["kept"])
    assert rows("select n from shop.seen") == [(2,)]


def test_a_model_that_reads_what_was_never_published_is_refused_with_the_cure(
    run: Run, rows: Any
) -> None:
    files = {
        "models/base.sql": "select 1 as id",
        "models/between.sql": "{{ config(materialized='ephemeral') }} "
        "select * from {{ ref('base') }}",
        "models/top.sql": "select * from {{ ref('between') }}",
    }
    with pytest.raises(ProjectError, match=r"top reads base, which is not selected .*\+top"):
        run(files, select=["top"])
    assert rows("select 1 from pg_namespace where nspname like 'shop%'") == []
    run(select=["+top"])
    assert rows("select id from shop.top") == [(1,)]


def test_what_a_ref_of_the_projects_own_reads_instead_may_be_there(run: Run, rows: Any) -> None:
    done = run(
        {
            "dbt_project.yml": """
                name: shop
                models: {+schema: shop}
                on-run-start: create schema prod; create table prod.base as select 7 as id
            """,
            "macros/ref.sql": """
                {% macro ref(name) %}
                {% set known = selected_resources | map('replace', 'model.shop.', '') | list %}
                {% set found = builtins.ref(name) %}
                {{ return(found if name in known else found.replace_path(schema='prod')) }}
                {% endmacro %}
            """,
            "models/base.sql": "select 1 as id",
            "models/top.sql": "select id from {{ ref('base') }}",
            "tests/seven.sql": "select * from {{ ref('top') }} join {{ ref('base') }} using (id) "
            "where id <> 7",
        },
        select=["top"],
    )
    assert rows("select id from shop.top") == [(7,)]
    assert [test.status for test in done.tests] == ["pass"]


def test_a_test_that_reads_what_was_never_published_is_left_out_aloud(run: Run) -> None:
    transformed = run(
        {
            "models/a.sql": "select 1 as id",
            "models/b.sql": "select 1 as id",
            "tests/same.sql": "select * from {{ ref('a') }} except select * from {{ ref('b') }}",
        },
        select=["a"],
    )
    assert transformed.tests == ()
    assert "The test same was not run: it reads b" in transformed.warnings[0]


def test_tests_come_with_a_selection_as_was_asked_for_or_as_the_project_says(run: Run) -> None:
    project_file = "name: shop\nmodels: {{+schema: shop}}\nflags: {{indirect_selection: {}}}\n"
    run(
        {
            "dbt_project.yml": project_file.format("cautious"),
            "models/a.sql": "select 1 as id",
            "models/b.sql": "select id from {{ ref('a') }}",
            "models/c.sql": "select id from {{ ref('b') }}",
            "tests/of_b.sql": "select * from {{ ref('b') }} where id > 1",
            "tests/of_ab.sql": "select id from {{ ref('a') }} except select id from {{ ref('b') }}",
            "tests/of_bc.sql": "select id from {{ ref('b') }} except select id from {{ ref('c') }}",
            "selectors.yml": "selectors: [{name: bc, definition: {union: [b, c]}}]",
        }
    )

    def tested(*select: str, **options: Any) -> set[str]:
        return {each.name for each in run(select=select, **options).tests}

    assert tested("b") == {"of_b"}
    assert tested("b c") == {"of_b", "of_bc"}
    assert tested("selector:bc") == {"of_b"}
    assert tested("b", indirect="eager") == {"of_b", "of_ab", "of_bc"}
    assert tested("b", indirect="buildable") == {"of_b", "of_ab"}
    assert tested("b", indirect="empty") == set()
    with pytest.raises(ProjectError, match="indirect_selection must be one of eager, cautious"):
        run({"dbt_project.yml": project_file.format("bold")})


SELECTORS = """
selectors:
  - name: nightly
    definition: {tag: nightly}
  - name: usual
    default: "{{ target.name == 'default' }}"
    definition:
      union:
        - {method: selector, value: nightly}
        - method: path
          value: "models/{{ var('folder', 'marts') }}"
        - exclude: [totals]
  - name: changed
    definition:
      intersection: [package:this, {method: state, value: modified, children: true}]
"""


def test_a_selector_stands_for_what_it_says_and_the_default_one_for_nothing_asked(
    run: Run, write: Write, warehouse: Any, people: None
) -> None:
    told: list[str] = []
    run({**SHOP, "selectors.yml": SELECTORS}, select=["* source:*"])
    done = run(rebuild=True, listener=Listener(message=told.append))
    assert {each.name for each in done.models} == {"stg_customers", "orders", "other"}
    assert told == ["What selectors.yml has as its default is selected: usual."]
    folder = write({"models/marts/other.sql": "select 2 as id"})

    def listed(*select: str) -> set[str]:
        nodes, _ = transform.listed(Options(project_dir=folder, select=select), lambda: warehouse)
        return {node.name for node in nodes if node.resource_type == "model"}

    assert listed("selector:changed") == {"other"}
    assert listed() == {"stg_customers", "orders", "other"}


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        (("value: modified", "value: modifed"), 14, "There is no state modifed"),
        (("method: path", "method: paht"), 9, "no method of selection paht. Did you mean path?"),
        (("value: nightly", "value: nigthly"), 8, "no selector nigthly .* mean nightly?"),
        (('value: "models', 'values: "models'), 9, "The method path has no value"),
        (("exclude: [totals]", "exclude: totals"), 11, "exclude must be a list"),
        (("exclude: [totals]", "exclude: [totals]\n        - exclude: [a]"), 12, "an exclude"),
        (("[totals]", "['']"), 11, "'' names nothing"),
        (("children: true", "children_depth: all"), 14, "children_depth must be a number"),
        (("children: true", "indirect_selection: all"), 14, "must be one of eager, .* not all"),
        (("{tag: nightly}", "{tag: nightly, path: a}"), 3, "must have a method, or one key alone"),
        (("== 'default' }}", "}}"), 5, "default must be true or false, not 'default'"),
        (("{tag: nightly}", "{tag: nightly}\n    default: true"), 6, "a default already: nightly"),
        (
            ("      union:", "      tag: x\n      union:"),
            7,
            "must be one union or one intersection",
        ),
    ],
)
def test_a_mistake_in_a_selector_is_told_at_its_line(
    write: Write, warehouse: Any, wrong: tuple[str, str], line: int, said: str
) -> None:
    folder = write({**SHOP, "selectors.yml": SELECTORS.replace(*wrong)})
    with pytest.raises(DatapipeError, match=rf"selectors.yml:{line}: .*{said}"):
        transform.listed(
            Options(project_dir=folder, select=["selector:changed"]), lambda: warehouse
        )


def test_a_failed_test_of_the_selection_publishes_nothing(run: Run, rows: Any) -> None:
    files = {
        "models/a.sql": "{{ config(materialized='table') }} select {{ var('n', 1) }} as n",
        "models/b.sql": "{{ config(materialized='table') }} select {{ var('n', 1) }} as n",
        "tests/same.sql": "select * from {{ ref('a') }} except select * from {{ ref('b') }}",
    }
    run(files)
    with pytest.raises(TestsFailedError):
        run(select=["a"], variables={"n": 2})
    assert rows("select n from shop.a") == [(1,)]
