"""A project is read as dbt reads it: packages, versions, snapshots, settings, names of tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe.transform import manifest, project
from datapipe.transform.graph.asked import asked
from datapipe.transform.graph.select import Earlier, Facts, Selection, select
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest import Manifest

Write = Callable[..., Path]
Read = Callable[..., Manifest]

FILES = {
    "dbt_project.yml": """
        name: shop
        vars: {since: 2024, extra: {since: 2020}}
        models:
          +tags: [all]
          shop: {marts: {+materialized: table, +post-hook: "analyze {{ this }}"}}
          extra: {+schema: ext}
        seeds: {+enabled: "{{ var('seeds', true) }}"}
    """,
    "macros/schema_name.sql": "",
    "models/stg.sql": "{{ config(tags='low', grants={'+select': 'bi'}) }} select 1 as id",
    "models/marts/dim_v1.sql": "select * from {{ ref('base') }}",
    "models/marts/dim.sql": """
        {{ config(tags=['x'], post_hook=["select 1", {'sql': 'vacuum', 'transaction': false}]) }}
        select * from {{ ref('dim', v=1) }} join {{ ref('extra', 'base') }} using (id)
    """,
    "models/top.sql": """
        select * from {{ ref('dim') }} join {{ source('out', 'people') }} using (id)
        where year >= {{ var('since') }}
    """,
    "models/schema.yml": """
        models:
          - name: stg
            description: "{{ doc('orders') }}"
            config: {meta: {owner: me}, grants: {select: [admin]}}
            columns:
              - name: id
                quote: true
                data_tests:
                  - unique
                  - accepted_values:
                      arguments: {values: [one value, another value, and one that is very long]}
                      config: {severity: warn, where: id > 0}
          - name: dim
            latest_version: 2
            columns: [{name: id, data_tests: [not_null]}, {name: old}]
            versions:
              - {v: 1}
              - v: 2
                columns: [{include: all, exclude: [old]}, {name: new}]
        sources:
          - name: out
            schema: public
            loaded_at_field: loaded
            freshness: {warn_after: {count: 1, period: day}, error_after: {count: 2, period: day}}
            tables:
              - {name: people, identifier: persons, freshness: {warn_after: {count: 6}}}
              - {name: places, freshness: null}
        unit_tests:
          - name: adds_up
            model: top
            given:
              - {input: ref('dim'), format: csv, fixture: dims}
              - {input: "source('out', 'people')", rows: [{id: 1}]}
            expect: {rows: []}
            overrides: {vars: {since: 1}}
        exposures:
          - {name: board, type: dashboard, owner: {name: me}, depends_on: [ref('top')]}
    """,
    "models/texts.md": "{% docs orders %}\nWhat was *ordered*.\n{% enddocs orders %}",
    "tests/fixtures/dims.csv": "id\n1\n",
    "seeds/codes.csv": "id\n1\n",
    "snapshots/old.sql": """
        {% snapshot first %}{{ config(strategy='check', check_cols='all', unique_key='id') }}
        select * from {{ ref('stg') }}{%- endsnapshot one -%}
        {% snapshot second %}
        {{ config(strategy='check', check_cols='all', unique_key='id', target_schema='old') }}
        select * from {{ ref('top') }}{% endsnapshot %}
    """,
    "snapshots/third.yml": """
        snapshots:
          - name: third
            relation: source('out', 'people')
            config: {strategy: timestamp, updated_at: at, unique_key: id}
    """,
    "dbt_packages/extra/dbt_project.yml": """
        name: extra
        vars: {since: 1990, of: 7}
        models: {extra: {+schema: own, +tags: [extra]}}
    """,
    "dbt_packages/extra/models/base.sql": """
        select {{ seven() }} as id, {{ var('since') }} as year, {{ var('of') }} as of
    """,
    "dbt_packages/extra/macros/seven.sql": """
        {% macro seven() %}7{% endmacro %}
        {% test holds(model) %}select 1 from {{ model }} where false{% endtest %}
    """,
    "dbt_packages/extra/models/schema.yml": "models: [{name: base, data_tests: [holds]}]",
}


@pytest.fixture
def read(write: Write) -> Read:
    def read_project(files: dict[str, str] | None = None, **variables: Any) -> Manifest:
        loaded = project.load(write(files or FILES), variables)
        return manifest.read(Renderer(loaded, described(None, "public")))

    return read_project


def test_packages_are_read_with_their_own_macros_and_variables(read: Read) -> None:
    found = read()
    base = found.models["base"]
    assert base.unique_id == "model.extra.base"
    assert base.relation.local == '"public_ext"."base"'  # the root overrules the package
    assert base.config["tags"] == ["extra", "all"]
    assert found.project.variables_for("extra") == {
        "since": 2020,
        "of": 7,
        "extra": {"since": 2020},
    }
    assert found.models["top"].refs == ("dim.v2",)
    assert [test.unique_id for test in found.tests if test.package == "extra"] == [
        "test.extra.holds_base_.32ae08627f"
    ]


def test_what_a_package_says_of_its_model_holds_for_the_one_that_takes_its_place(
    read: Read,
) -> None:
    files = {
        "dbt_project.yml": "name: mine\nmodels: {extra: {base: {+enabled: false}}}\n",
        "models/base.sql": "select 1 as id",
        "dbt_packages/extra/dbt_project.yml": "name: extra\n",
        "dbt_packages/extra/models/base.sql": "select 2 as id",
        "dbt_packages/extra/models/schema.yml": "models: [{name: base, description: of extra}]",
    }
    base = read(files).models["base"]
    assert (base.unique_id, base.description) == ("model.mine.base", "of extra")


def test_versions_have_their_columns_their_names_and_their_tests(read: Read) -> None:
    found = read()
    old, new = found.models["dim.v1"], found.models["dim.v2"]
    assert (old.relation.identifier, new.relation.identifier) == ("dim_v1", "dim_v2")
    assert (tuple(old.columns), tuple(new.columns)) == (("id", "old"), ("id", "new"))
    assert new.fqn == ("shop", "marts", "dim", "v2")
    assert new.refs == ("dim.v1", "base")
    assert new.is_latest_version
    assert not old.is_latest_version
    assert {test.name for test in found.tests if test.of.startswith("dim")} == {
        "not_null_dim_v1_id",
        "not_null_dim_v2_id",
    }


def test_settings_of_all_places_come_together_by_dbts_rules(read: Read) -> None:
    found = read()
    stg, dim = found.models["stg"], found.models["dim.v2"]
    assert stg.config["tags"] == ["all", "low"]
    assert stg.config["grants"] == {"select": ["admin", "bi"]}
    assert stg.config["meta"] == {"owner": "me"}
    assert stg.description == "What was *ordered*."
    assert dim.materialized == "table"
    assert [(hook["sql"], hook["transaction"]) for hook in dim.config["post_hook"]] == [
        ("analyze {{ this }}", True),
        ("select 1", True),
        ("vacuum", False),
    ]
    assert "codes" in found.models
    assert "codes" not in read(seeds=False).models


def test_several_snapshots_may_lie_in_a_file_or_in_yaml(read: Read) -> None:
    models = read().models
    snapshots = {key: model for key, model in models.items() if model.resource_type == "snapshot"}
    assert snapshots.keys() == {"first", "second", "third"}
    assert snapshots["first"].fqn == ("shop", "old", "first")
    assert snapshots["second"].relation.schema == "old"
    assert snapshots["second"].raw_code.splitlines()[4].startswith("select * from {{ ref('top')")
    assert snapshots["third"].sources == (("out", "people"),)


def test_long_names_of_tests_are_shortened_as_dbt_does(read: Read) -> None:
    tests = {test.arguments.get("column_name"): test for test in read().tests if test.of == "stg"}
    long = tests['"id"']
    assert long.name == (
        "accepted_values_stg__id___one_value__another_value__and_one_that_is_very_long"
    )
    assert long.alias == "accepted_values_stg_e1c2ed9d21f244c55073a36bfe058f5a"
    assert long.config["severity"] == "warn"
    assert long.config["where"] == "id > 0"


def test_sources_inherit_how_fresh_they_must_be(read: Read) -> None:
    sources = read().sources
    people, places = sources["out", "people"], sources["out", "places"]
    assert people.relation.local == '"public"."persons"'
    assert people.config["loaded_at_field"] == "loaded"
    assert people.freshness is not None
    assert people.freshness["warn_after"] == {"count": 6, "period": "day"}
    assert people.freshness["error_after"] == {"count": 2, "period": "day"}
    assert places.freshness is None


def test_unit_tests_have_the_rows_of_their_fixtures(read: Read) -> None:
    (unit,) = read().unit_tests
    assert (unit.name, unit.model) == ("adds_up", "top")
    assert [each.input for each in unit.given] == ["ref('dim')", "source('out', 'people')"]
    assert unit.given[0].rows.rows == "id\n1\n"
    assert unit.overrides == {"vars": {"since": 1}}


def test_what_is_ignored_is_not_read(read: Read) -> None:
    found = read({**FILES, "models/drafts/bad.sql": "{{ nonsense", ".dbtignore": "drafts/\n"})
    assert "bad" not in found.models


SELECTORS = {
    "selectors.yml": """
        selectors:
          - name: marts
            definition: {union: [path:models/marts, exclude: [version:latest]]}
    """
}


@pytest.mark.parametrize(
    ("criterion", "indirect", "ids"),
    [
        ("dim", "empty", {"model.shop.dim.v1", "model.shop.dim.v2"}),
        ("version:latest", "empty", {"model.shop.dim.v2"}),
        ("dim.v1", "cautious", {"model.shop.dim.v1", "test.shop.not_null_dim_v1_id.d33fec4e6d"}),
        ("selector:marts", "empty", {"model.shop.dim.v1"}),
        ("package:extra,resource_type:model", "empty", {"model.extra.base"}),
        ("test_type:unit", "eager", {"unit_test.shop.top.adds_up"}),
        ("exposure:board", "eager", {"exposure.shop.board"}),
        ("source:out.people+1,resource_type:snapshot", "eager", {"snapshot.shop.third"}),
        ("state:new", "empty", {"model.shop.stg"}),
        ("state:modified.body", "empty", {"model.shop.stg"}),
        ("result:error+1,resource_type:model", "empty", {"model.shop.top"}),
    ],
)
def test_every_kind_of_node_can_be_selected(
    read: Read, criterion: str, indirect: Any, ids: set[str]
) -> None:
    facts = Facts(
        frozenset({"model.shop.stg"}),
        {"model.shop.stg": frozenset({"body"}), "model.shop.top": frozenset({"configs"})},
        {"model.shop.top": "error"},
    )
    found = read({**FILES, **SELECTORS})
    wanted = asked(found.project, unneeded, [criterion], indirect=indirect)
    selection: Selection = select(found, wanted, earlier=Earlier(facts))
    assert {node.unique_id for node in selection.nodes} == ids
    assert wanted.asks("state", "result") == criterion.startswith(("state", "result"))


def unneeded() -> Renderer:
    raise AssertionError
