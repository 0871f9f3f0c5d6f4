"""What PostgreSQL refuses is told by the line of the template that wrote it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datapipe.errors import ProjectError, RunFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

OTHERS = {
    "macros/half.sql": "{% macro half(column) %}\n  {{ column }} / 2\n{% endmacro %}",
    "macros/columns.sql": """
        {% macro columns() %}
            relname,

            nothing
        {% endmacro %}
    """,
    "macros/outer.sql": "{% macro outer() %}\n\n  {{ inner() | trim }}\n{% endmacro %}",
    "macros/inner.sql": "{% macro inner() -%}\n  nothing\n{%- endmacro %}",
    "models/broken.sql": "{{ config(materialized='ephemeral') }}\nselect nothing as id",
    "models/sound.sql": "{{ config(materialized='ephemeral') }}\nselect 1 as id\n\n\n",
}

# Each model, and the line that is to be named; it is the model's own where no other file is.
CASES = {
    "plain": (3, "select\n    1 as id,\n    nothing as name\nfrom pg_class"),
    "after_a_block_of_several_lines": (
        6,
        """
            {{ config(
                tags=['late']
            ) }}

            select 1 as id,
                nothing
        """,
    ),
    "in_the_list_of_a_loop": (
        2,
        """
            select
            {%- for column in ['relname', 'relnam'] %}
                -- a comment
                {{ column }}{% if not loop.last %},{% endif %}
            {%- endfor %}
            from pg_class
        """,
    ),
    "after_a_loop_that_wrote_more_lines_than_it_has": (
        6,
        """
            select
                {% for number in range(9) %}
                {{ number }} as column_{{ number }},
                {% endfor %}
                relname,
                nothing
            from pg_class
        """,
    ),
    "in_a_loop": (
        3,
        """
            select
            {% for column in ['relname', 'relkind'] %}
                {{ column }}_of_it,
            {% endfor %}
            1 as id
            from pg_class
        """,
    ),
    "in_what_a_macro_is_called_with": (
        4,
        """
            select
                relname,
                {{ half(
                    'relpage'
                ) }}
            from pg_class
        """,
    ),
    "a_quote_that_is_left_open": (
        2,
        "select 1 as id,\n  'a as name,\n  'b' as other,\n  3 as more\nfrom pg_class",
    ),
    "backticks": (2, "select\n  `relname`\nfrom pg_class"),
    "a_comma_that_a_loop_lacks": (
        3,
        "select\n{% for c in ['1', '2', '3'] %}\n  {{ c }} as a{{ c }}\n{% endfor %}",
    ),
    "an_alias_given_twice": (3, "select 1 as one\nfrom pg_class c\njoin pg_index c on true"),
    "in_the_other_branch": (
        4,
        "select\n{% if false %}\n1\n{% else %}nothing{% endif %} as id",
    ),
    "in_a_macro": ("columns.sql:4", "select\n    {{ columns() }}\nfrom pg_class"),
    "in_a_macro_that_is_called_in_a_macro_and_trimmed": (
        "inner.sql:2",
        "select {{ outer() | trim }} from pg_class",
    ),
    "in_a_block_that_was_set": (
        2,
        "{% set column %}\nnothing\n{% endset %}\nselect {{ column }} as id",
    ),
    "in_a_block_whose_text_the_logic_looks_at": (
        4,
        """
            {% set name %}x{% endset %}
            select
                {% if name == 'x' %}1 as id{% else %}2 as id{% endif %},
                nothing
            from pg_class
        """,
    ),
    "in_an_ephemeral_model": ("broken.sql:2", "select *\nfrom {{ ref('broken') }}"),
    "below_an_ephemeral_model": (
        3,
        "with x as (select 1 as one)\nselect id,\nnothing\nfrom {{ ref('sound') }}, x",
    ),
    "a_missing_comma": (3, "select\n    1 as one\n    2 as two"),
    "a_bracket_that_is_left_open": (2, "select (1 + 2\nfrom pg_class"),
    "a_bracket_that_is_open_to_the_end": (2, "select (1\n    + 2\n"),
    "a_relation_that_is_not_there": (2, "select *\nfrom nowhere"),
    "a_type_that_does_not_fit": (2, "select\n1 + true as sum"),
    "behind_letters_of_more_than_one_byte": (
        2,
        "select 'Größe – 価格 🙂' as größe,\n    nothing as id from pg_class",
    ),
}


@pytest.mark.parametrize("kind", ["view", "table"])
def test_the_line_of_the_template_is_named(run: Run, kind: str) -> None:
    models = {f"models/{name}.sql": source for name, (_, source) in CASES.items()}
    project = f"name: shop\nmodels:\n  shop:\n    +schema: shop\n    +materialized: {kind}\n"
    with pytest.raises(RunFailedError) as caught:
        run({"dbt_project.yml": project, **OTHERS, **models})
    failed = {each.name: each for each in caught.value.results if each.status == "error"}
    assert failed.keys() == CASES.keys()
    for name, (place, _) in CASES.items():
        told = failed[name]
        at = f"{name}.sql:{place}" if isinstance(place, int) else place
        assert told.path is not None, name
        assert f"{told.path.name}:{told.line}" == at
        assert f"\n  {told.line} | " in told.message, name


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
    "select * from public.daily_prices": "There is a raw.daily_prices.",
    "select * from public.missing": '"public.missing" does not exist.\n',
    "select * from rwa.daily_prices": "There is no schema rwa. Did you mean raw?",
    "with prices as (select 1 as one) select * from price": "Did you mean prices?",
    "select clas.relname from pg_class as class": "Did you mean class?",
    "select lowr('X')": "Did you mean lower?",
    "select * from ref('a')": "In a template it is called so: {{ ref(...) }}.",
    "select coalesc(1, 2)": "Did you mean coalesce?",
    "select '1'::int64": "Did you mean bigint?",
    "select '1'::intger": "Did you mean integer?",
    "select nvl(1, 2)": "In PostgreSQL it is coalesce(a, b).",
    "select re\u200blname from pg_class": "has the invisible character U+200B in it",
    "select \u2018a\u2019 as name": "Quotes are straight in SQL",
    "select 1 as id;": "leave out the semicolon",
    "select sum(case when true then 1 else 0) as n": "Is END missing",
    "select ('it's') as x": "Is the quote that opens here ever closed?",
    "select\n  (1 as id": "A bracket is not closed: one of this line.",
    "with a as (select abs(1)) as b) select 1 from a": ".sql:1 one too many?",
    'select 1 from pg_class where relkind = "r"': "text stands in single ones: 'r'.",
}


def test_what_may_have_been_meant_is_proposed(run: Run) -> None:
    with pytest.raises(RunFailedError) as caught:
        run({f"models/m{number}.sql": sql for number, sql in enumerate(MEANT)})
    told = {each.name: each.message for each in caught.value.results}
    for number, meant in enumerate(MEANT.values()):
        assert meant in told[f"m{number}"]


def test_schemas_that_only_runs_use_are_not_proposed(run: Run) -> None:
    with pytest.raises(RunFailedError) as caught:
        run(
            {
                "models/m.sql": """
                    {{ config(schema='not_there_yet') }}
                    select * from {{ this.schema }}.raw_people
                """
            }
        )
    told = str(caught.value)
    assert 'raw_people" does not exist.\n' in told


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


MACRO = """{% macro most_of(column) %}
{% set q %}
select max({{ column }}) from pg_class
where relpagez > 0
{% endset %}
{{ return(run_query(q).columns[0][0]) }}
{% endmacro %}"""


@pytest.mark.parametrize(
    ("macro", "place", "more"),
    [
        (MACRO.replace("pagez", "pages"), "a.sql:3", r"into the SQL at .*most\.sql:6\."),
        (MACRO, "most.sql:4", r"called for a at .*a\.sql:2\."),
    ],
)
def test_a_name_that_a_macro_was_given_for_its_query_is_told_where_it_was_given(
    run: Run, macro: str, place: str, more: str
) -> None:
    given = "relpagez" if place == "a.sql:3" else "relpages"
    model = f"select 1 as id,\n  {{{{ most_of(\n    '{given}') }}}} as relpagez"
    with pytest.raises(ProjectError, match=more) as caught:
        run({"macros/most.sql": macro, "models/a.sql": model})
    assert f"{place}: " in str(caught.value)
