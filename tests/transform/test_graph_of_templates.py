"""What templates see of the whole project, and names that are written without quotes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe.transform import Options
from datapipe.transform.compile.graph import Graph
from datapipe.transform.opening import opened

PROJECT = """
name: shop
profile: shop
quoting: {database: false, schema: false, identifier: false}
models:
  shop:
    +schema: Shop
"""

SHOWN = """
select {% if execute %}$json${{ tojson({
  'sources': graph.sources.values() | map(attribute='identifier') | list,
  'tests': graph.nodes.values() | selectattr('resource_type', 'equalto', 'test')
    | map(attribute='depends_on') | list,
  'exposures': graph.exposures.values() | map(attribute='depends_on.nodes') | list,
}) }}$json$::json{% else %}null{% endif %} as graph -- {{ source('far', 'away') }}
"""

DESCRIBED = """
sources:
  - {name: far, schema: shop_far, tables: [{name: away, identifier: away_2024}]}
models:
  - {name: Shown, columns: [{name: graph, data_tests: [not_null, kept]}]}
exposures:
  - name: board
    type: dashboard
    owner: {name: Ann}
    depends_on: [ref('Shown')]
"""


def test_the_graph_has_sources_and_what_tests_and_exposures_depend_on(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    run(
        {
            "dbt_project.yml": PROJECT,
            "models/Shown.sql": SHOWN,
            "models/schema.yml": DESCRIBED,
            "macros/kept.sql": "{% test kept(model, column_name) %}select 1 limit 0{% endtest %}",
        }
    )
    [(graph,)] = rows("select graph::text from shop.shown")
    assert json.loads(graph) == {
        "sources": ["away_2024"],
        "tests": [
            {"macros": ["macro.dbt.test_not_null"], "nodes": ["model.shop.Shown"]},
            {
                "macros": ["macro.shop.test_kept", "macro.dbt.get_where_subquery"],
                "nodes": ["model.shop.Shown"],
            },
        ],
        "exposures": [["model.shop.Shown"]],
    }


def test_names_without_quotes_are_folded_as_postgresql_does(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    run(
        {
            "dbt_project.yml": PROJECT,
            "models/First.sql": "select 1 as id",
            "models/Second.sql": "select id from {{ ref('First') }}",
            "models/schema.yml": """
                models:
                  - {name: Second, columns: [{name: id, data_tests: [unique]}]}
            """,
        }
    )
    assert rows("select id from shop.second") == [(1,)]


def test_every_node_names_the_macros_that_it_calls_itself_and_has_what_dbt_nodes_have(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    insert = """insert into {{ this }} {%- for each in graph.nodes.values() %}
      select '{{ each.unique_id }}', '{{ each.depends_on.macros | join(" ") }}',
        '{{ each.database ~ "." ~ each.schema }}', {{ each.columns | length }}
      {{ "union all" if not loop.last }}{% endfor %}"""
    run(
        {
            "dbt_project.yml": "name: shop\nmodels: {+schema: shop}\n"
            "on-run-end: select {{ one() }}\n",
            "macros/all.sql": "{% macro one() %}{{ two() }}{% endmacro %}{% macro two() %}2"
            "{% endmacro %}{% macro fill() %}{% if execute %}{% call statement() %}"
            + insert
            + "{% endcall %}{% endif %}{% endmacro %}",
            "models/raw.sql": "{{ config(materialized='ephemeral') }}select {{ one() }} as two",
            "models/all_nodes.sql": "{{ config(materialized='table', post_hook='{{ fill() }}') }}"
            "select ''::text as id, ''::text as macros, ''::text as place, 0 as columns limit 0",
            "models/schema.yml": "models: [{name: raw, columns: [{name: two, tests: [unique]}]}]",
            "analyses/sum.sql": "select {{ dbt.type_int() }}",
        }
    )
    [(database,)] = rows("select current_database()")
    found = rows(
        "select id, macros, replace(place, %s, 'db'), columns from shop.all_nodes", database
    )
    assert sorted(found) == [
        ("analysis.shop.sum", "macro.dbt.type_int", "db.public", 0),
        ("model.shop.all_nodes", "macro.shop.fill", "db.shop", 0),
        ("model.shop.raw", "macro.shop.one", "db.shop", 1),
        ("operation.shop.shop-on-run-end-0", "macro.shop.one", "db.public", 0),
        ("test.shop.unique_raw_two.a1e4ce59d2", "macro.dbt.test_unique", "db.dbt_test__audit", 0),
    ]


def test_what_a_template_keeps_in_the_graph_is_found_by_all_later_ones_of_the_run(
    run: Callable[..., Any], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    keep = "{% do graph.setdefault('mine', {}).update({'NAME': execute}) if execute %}"
    run(
        {
            "dbt_project.yml": f"""
                name: shop
                models: {{+schema: shop}}
                on-run-start: "{keep.replace("NAME", "start")}"
                on-run-end: "create table shop.kept as select '{{{{ graph.mine | join(' ') }}}}' as
                  what, {{{{ selected_resources | length }}}} as selected"
            """,
            "models/first.sql": keep.replace("NAME", "model") + "select 1 as id",
            "tests/none.sql": keep.replace("NAME", "test")
            + "select * from {{ ref('first') }} where id > 1",
        }
    )
    assert rows("select * from shop.kept") == [("start model test", 2)]


def test_nodes_have_the_keys_docs_blocks_and_calls_of_config_that_dbt_finds(
    write: Callable[..., Path],
) -> None:
    folder = write(
        {
            "models/a.sql": "{{ config(tags='t', post_hook='select 1') }}"
            "{{ config(meta={'b': 1}) }} select 1 as id",
            "models/b.sql": "select 1 as y",
            "models/c.sql": "select 1 as y, 2 as z",
            "models/schema.yml": """
                models:
                  - name: a
                    description: "{{ doc('of_a') }} {{ doc('shop', 'of_b') }}"
                    columns:
                      - {name: x, data_tests: [unique]}
                      - {name: id, description: "{{ doc('of_b') }}", tests: [unique, not_null]}
                  - {name: b, columns: [{name: y, constraints: [{type: primary_key}]}]}
                  - {name: c, constraints: [{type: primary_key, columns: [z, y]}]}
            """,
            "models/docs.md": "{% docs of_a %}A.{% enddocs %} {% docs of_b %}B.{% enddocs %}",
            "seeds/rates.csv": "id\n1\n",
        }
    )
    project = opened(None, Options(project_dir=folder))
    nodes = Graph(project.manifest, project.renderer)["nodes"]
    a, b, c = (nodes[f"model.shop.{name}"] for name in "abc")
    assert (a["primary_key"], b["primary_key"], c["primary_key"]) == (["id"], ["y"], ["y", "z"])
    assert a["doc_blocks"] == ["doc.shop.of_a", "doc.shop.of_b"]
    assert a["columns"]["id"]["doc_blocks"] == ["doc.shop.of_b"]
    called = {"tags": "t", "post-hook": "select 1", "meta": {"b": 1}}
    assert a["config_call_dict"] == called
    assert nodes["seed.shop.rates"]["root_path"] == str(folder)


def test_nodes_have_their_settings_as_they_are_written(write: Callable[..., Path]) -> None:
    folder = write(
        {
            "dbt_project.yml": """
                name: shop
                models:
                  +materialized: "{{ 'table' if var('big', false) else 'view' }}"
                  shop: {+tags: low, +post-hook: "analyze {{ this }}"}
                data_tests: {+severity: "{{ 'warn' }}"}
                sources: {+enabled: "{{ var('outside', true) }}"}
                exposures: {+enabled: "{{ var('shown', true) }}"}
            """,
            "models/a.sql": "{{ config(tags='t', post_hook='select 1', alias=model.name) }}"
            "select 1 as id",
            "models/schema.yml": """
                models:
                  - name: a
                    config: {tags: [x], meta: {b: 1}}
                    columns: [{name: id, data_tests: [unique: {config: {where: "{{ 'a' }}"}}]}]
                sources: [{name: s, tables: [{name: t, meta: {d: 2}, config: {tags: z}}]}]
                exposures:
                  - {name: e, type: dashboard, owner: {email: a@b.c}, config: {meta: {c: 1}}}
            """,
        }
    )
    project = opened(None, Options(project_dir=folder))
    graph = Graph(project.manifest, project.renderer)
    nodes = {**graph["nodes"], **graph["sources"], **graph["exposures"]}
    written = {node["name"]: node["unrendered_config"] for node in nodes.values()}
    assert written == {  # as in dbt 1.11
        "a": {
            "materialized": "{{ 'table' if var('big', false) else 'view' }}",
            "tags": "t",
            "meta": {"b": 1},
            "post-hook": "select 1",
            "alias": "a",
        },
        "unique_a_id": {"severity": "{{ 'warn' }}", "where": "a"},
        "t": {
            "enabled": "{{ var('outside', true) }}",
            "loaded_at_field": None,
            "loaded_at_query": None,
            "meta": {"d": 2},
            "tags": ["z"],
        },
        "e": {"enabled": "{{ var('shown', true) }}", "meta": {"c": 1}},
    }


@pytest.mark.parametrize(("stores", "kept"), [(False, ["kept"]), (True, ["kept", "not_kept"])])
def test_a_test_has_a_relation_where_it_keeps_the_rows_that_it_finds(
    write: Callable[..., Path], stores: bool, kept: list[str]
) -> None:
    folder = write(
        {
            "tests/kept.sql": "{{ config(store_failures_as='view') }} select 1",
            "tests/not_kept.sql": "select 1",
        }
    )
    project = opened(None, Options(project_dir=folder))
    nodes = Graph(project.manifest, project.renderer, stores=stores)["nodes"].values()
    relations = {node["name"]: node["relation_name"] for node in nodes if node["relation_name"]}
    database = project.renderer.target["dbname"]
    assert relations == {name: f'"{database}"."dbt_test__audit"."{name}"' for name in kept}


def test_paths_and_names_begin_within_the_folder_of_their_kind(
    write: Callable[..., Path],
) -> None:
    folder = write(
        {
            "dbt_project.yml": """
                name: shop
                model-paths: [dbt/models]
                test-paths: [dbt/tests]
                sources: {shop: {crm: {+meta: {owner: me}}}}
            """,
            "dbt/models/crm/a.sql": "select 1 as id",
            "dbt/models/crm/schema.yml": """
                models: [{name: a, columns: [{name: id, data_tests: [unique]}]}]
                sources: [{name: s, tables: [{name: t}]}]
                exposures: [{name: e, type: dashboard, owner: {email: a@b.c}}]
            """,
            "dbt/tests/crm/odd.sql": "select 1 where false",
        }
    )
    project = opened(None, Options(project_dir=folder))
    graph = Graph(project.manifest, project.renderer)
    nodes = {**graph["nodes"], **graph["sources"], **graph["exposures"]}
    shown = {node["name"]: (node["path"], ".".join(node["fqn"])) for node in nodes.values()}
    assert shown == {  # as in dbt 1.11, which forgets it for generic tests
        "a": ("crm/a.sql", "shop.crm.a"),
        "unique_a_id": ("unique_a_id.sql", "shop.models.crm.unique_a_id"),
        "odd": ("crm/odd.sql", "shop.crm.odd"),
        "t": ("dbt/models/crm/schema.yml", "shop.crm.s.t"),
        "e": ("crm/schema.yml", "shop.crm.e"),
    }
    assert nodes["source.shop.s.t"]["meta"] == {"owner": "me"}


def test_nodes_are_shown_with_all_that_dbt_tells_of_them(write: Callable[..., Path]) -> None:
    folder = write(
        {
            "models/a.sql": "select * from {{ ref('b') }}, {{ ref('b') }}, {{ source('s', 't') }}",
            "models/b.sql": "select 1 as id",
            "models/schema.yml": """
                groups: [{name: g, owner: {email: a@b.c}}]
                models: [{name: b, config: {group: g}, columns: [{name: id, tests: [unique]}]}]
                sources: [{name: s, schema: "{{ target.schema }}", tables: [{name: t}]}]
                exposures: [{name: e, type: dashboard, owner: {name: me}}]
                snapshots: [{name: p, relation: ref('b'), config: {
                    unique_key: id, strategy: check, check_cols: all,
                    snapshot_meta_column_names: {dbt_valid_to: until}}}]
            """,
            "seeds/t.csv": "id\r\n1\r\n",
            "analyses/c.sql": "select 1",
        }
    )
    project = opened(None, Options(project_dir=folder))
    graph = Graph(project.manifest, project.renderer)
    nodes = {node["name"]: node for node in graph["nodes"].values()}
    assert [ref["name"] for ref in nodes["a"]["refs"]] == ["b", "b"]
    assert nodes["a"]["depends_on"]["nodes"] == ["source.shop.s.t", "model.shop.b"]
    assert nodes["t"]["checksum"]["checksum"] == hashlib.sha256(b"id\r\n1").hexdigest()
    assert nodes["c"]["relation_name"] is None
    assert nodes["unique_b_id"]["group"] == "g"
    assert nodes["p"]["config"]["snapshot_meta_column_names"] == {
        "dbt_valid_from": None, "dbt_valid_to": "until", "dbt_scd_id": None,
        "dbt_updated_at": None, "dbt_is_deleted": None,
    }  # fmt: skip
    assert graph["exposures"]["exposure.shop.e"]["owner"] == {"email": None, "name": "me"}
    assert graph["groups"]["group.shop.g"]["owner"] == {"email": "a@b.c", "name": None}
