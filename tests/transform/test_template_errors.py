"""What PostgreSQL refuses is told by the line of the template that wrote it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datapipe.errors import ProjectError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

CASES = {
    "plain": ("a.sql", 3, {"a": "select\n    1 as id,\n    nothing as name\nfrom pg_class"}),
    "after a block of several lines": (
        "a.sql",
        6,
        {
            "a": """
                {{ config(
                    materialized='table'
                ) }}

                select 1 as id,
                    nothing
            """
        },
    ),
    "in the list of a loop": (
        "a.sql",
        2,
        {
            "a": """
                select
                {%- for column in ['relname', 'relnam'] %}
                    -- a comment
                    {{ column }}{% if not loop.last %},{% endif %}
                {%- endfor %}
                from pg_class
            """
        },
    ),
    "after a loop that wrote more lines than it has": (
        "a.sql",
        6,
        {
            "a": """
                select
                    {% for number in range(9) %}
                    {{ number }} as column_{{ number }},
                    {% endfor %}
                    relname,
                    nothing
                from pg_class
            """
        },
    ),
    "in a loop": (
        "a.sql",
        3,
        {
            "a": """
                select
                {% for column in ['relname', 'relkind'] %}
                    {{ column }}_of_it,
                {% endfor %}
                1 as id
                from pg_class
            """
        },
    ),
    "in what a macro is called with": (
        "a.sql",
        4,
        {
            "a": """
                select
                    relname,
                    {{ half(
                        'relpage'
                    ) }}
                from pg_class
            """,
            "macros/half": "{% macro half(column) %}\n  {{ column }} / 2\n{% endmacro %}",
        },
    ),
    "a quote that is left open": (
        "a.sql",
        2,
        {"a": "select 1 as id,\n  'a as name,\n  'b' as other,\n  3 as more\nfrom pg_class"},
    ),
    "backticks": ("a.sql", 2, {"a": "select\n  `relname`\nfrom pg_class"}),
    "a comma that a loop lacks": (
        "a.sql",
        3,
        {"a": "select\n{% for c in ['1', '2', '3'] %}\n  {{ c }} as a{{ c }}\n{% endfor %}"},
    ),
    "an alias given twice": (
        "a.sql",
        3,
        {"a": "select 1 as one\nfrom pg_class c\njoin pg_index c on true"},
    ),
    "in the other branch": (
        "a.sql",
        4,
        {"a": "select\n{% if false %}\n1\n{% else %}nothing{% endif %} as id"},
    ),
    "in a macro": (
        "columns.sql",
        4,
        {
            "a": "select\n    {{ columns() }}\nfrom pg_class",
            "macros/columns": """
                {% macro columns() %}
                    relname,

                    nothing
                {% endmacro %}
            """,
        },
    ),
    "in a macro that is called in a macro, and trimmed": (
        "inner.sql",
        2,
        {
            "a": "select {{ outer() | trim }} from pg_class",
            "macros/outer": "{% macro outer() %}\n\n  {{ inner() | trim }}\n{% endmacro %}",
            "macros/inner": "{% macro inner() -%}\n  nothing\n{%- endmacro %}",
        },
    ),
    "in a block that was set": (
        "a.sql",
        2,
        {"a": "{% set column %}\nnothing\n{% endset %}\nselect {{ column }} as id"},
    ),
    "in a block whose text the logic looks at": (
        "a.sql",
        4,
        {
            "a": """
                {% set name %}x{% endset %}
                select
                    {% if name == 'x' %}1 as id{% else %}2 as id{% endif %},
                    nothing
                from pg_class
            """
        },
    ),
    "in an ephemeral model": (
        "base.sql",
        2,
        {
            "base": "{{ config(materialized='ephemeral') }}\nselect nothing as id",
            "a": "select *\nfrom {{ ref('base') }}",
        },
    ),
    "below an ephemeral model": (
        "a.sql",
        3,
        {
            "base": "{{ config(materialized='ephemeral') }}\nselect 1 as id\n\n\n",
            "a": "with x as (select 1 as one)\nselect id,\nnothing\nfrom {{ ref('base') }}, x",
        },
    ),
    "a missing comma": ("a.sql", 3, {"a": "select\n    1 as one\n    2 as two"}),
    "a bracket that is left open": ("a.sql", 2, {"a": "select (1 + 2\nfrom pg_class"}),
    "a bracket that is open to the end": ("a.sql", 2, {"a": "select (1\n    + 2\n"}),
    "a relation that is not there": ("a.sql", 2, {"a": "select *\nfrom nowhere"}),
    "a type that does not fit": ("a.sql", 2, {"a": "select\n1 + true as sum"}),
    "behind letters of more than one byte": (
        "a.sql",
        2,
        {"a": "select 'Größe – 価格 🙂' as größe,\n    nothing as id from pg_class"},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["view", "table"])
def test_the_line_of_the_template_is_named(run: Run, case: str, kind: str) -> None:
    name, line, templates = CASES[case]
    files = {
        f"{template}.sql" if "/" in template else f"models/{template}.sql": text
        for template, text in templates.items()
    }
    files["dbt_project.yml"] = (
        "name: shop\nmodels:\n  shop:\n    +schema: shop\n    +materialized: " + kind
    )
    with pytest.raises(ProjectError) as caught:
        run(files)
    assert caught.value.path is not None
    assert (caught.value.path.name, caught.value.line) == (name, line)
    assert f"\n  {line} | " in str(caught.value)


def test_a_near_column_is_proposed(run: Run) -> None:
    with pytest.raises(ProjectError, match=r'Perhaps you meant .*"a.closing"|Did you mean closing'):
        run(
            {
                "models/a.sql": "select 1 as closing, 2 as volume",
                "models/b.sql": "select closin from {{ ref('a') }} as a",
            }
        )


MEANT = {
    "select * from raw.daily_price": "Did you mean daily_prices?",
    "select * from rwa.daily_prices": "There is no schema rwa. Did you mean raw?",
    "with prices as (select 1 as one) select * from price": "Did you mean prices?",
    "select clas.relname from pg_class as class": "Did you mean class?",
    "select lowr('X')": "Did you mean lower?",
    "select * from ref('a')": "In a template it is called so: {{ ref(...) }}.",
    "select coalesc(1, 2)": "Did you mean coalesce?",
    "select '1'::int64": "Did you mean bigint?",
    "select '1'::intger": "Did you mean integer?",
    'select 1 from pg_class where relkind = "r"': "text stands in single ones: 'r'.",
}


@pytest.mark.parametrize("sql", MEANT)
def test_what_may_have_been_meant_is_proposed(run: Run, sql: str) -> None:
    with pytest.raises(ProjectError) as caught:
        run({"models/a.sql": sql})
    assert MEANT[sql] in str(caught.value)


def test_an_error_among_the_rows_names_the_model(run: Run) -> None:
    with pytest.raises(ProjectError) as caught:
        run(
            {
                "models/a.sql": """
                    {{ config(materialized='table') }}
                    select 1 / (n - 3) as x from generate_series(1, 5) as n
                """
            }
        )
    assert "division by zero" in str(caught.value)
    assert caught.value.model == "a"


def test_a_broken_test_is_found_at_its_line(run: Run) -> None:
    with pytest.raises(ProjectError) as caught:
        run(
            {
                "models/a.sql": "select 1 as id",
                "models/schema.yml": """
                    models:
                      - name: a
                        columns:
                          - name: id
                            data_tests: [unique]
                          - name: ident
                            data_tests:
                              - not_null
                """,
            }
        )
    assert caught.value.path is not None
    assert caught.value.path.name in {"schema.yml", "generic_tests.sql"}
    assert "not_null_a_ident" in str(caught.value)


def test_rows_that_a_unique_index_forbids_are_told(run: Run) -> None:
    with pytest.raises(ProjectError, match=r"\(id\)=\(1\) is duplicated") as caught:
        run(
            {
                "models/a.sql": """
                    {{ config(
                        materialized='table',
                        indexes=[{'columns': ['id'], 'unique': true}],
                    ) }}
                    select 1 as id union all select 1
                """
            }
        )
    assert caught.value.line == 3
