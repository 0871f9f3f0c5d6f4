"""What templates see of the whole project, and names that are written without quotes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

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
            {"macros": ["macro.shop.test_kept"], "nodes": ["model.shop.Shown"]},
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
