"""Mistakes in a project are found before any statement is sent, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datapipe.errors import ProjectError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Write = Callable[..., Path]


def error_of(run: Run, files: dict[str, str], **options: object) -> ProjectError:
    with pytest.raises(ProjectError) as caught:
        run(files, **options)
    return caught.value


def place(error: ProjectError) -> tuple[str, int | None]:
    return "" if error.path is None else error.path.name, error.line


def test_an_unknown_model_is_named_with_the_nearest_one(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/orders.sql": "select 1 as id",
            "models/paid.sql": "select *\nfrom\n    {{ ref('order') }}",
        },
    )
    assert place(error) == ("paid.sql", 3)
    assert "no model order. Did you mean orders?" in str(error)
    assert error.model == "paid"


def test_an_unknown_model_behind_a_macro_is_found_in_the_macro(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/paid.sql": "select * from {{ all_orders() }}",
            "macros/orders.sql": "{% macro all_orders() %}\n{{ ref('orders') }}\n{% endmacro %}",
        },
    )
    assert place(error) == ("orders.sql", 2)


def test_an_unknown_source_is_named_with_the_nearest_one(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/sources.yml": "sources: [{name: raw, tables: [{name: daily_prices}]}]",
            "models/prices.sql": "select * from {{ source('raw', 'daily_price') }}",
        },
    )
    assert place(error) == ("prices.sql", 1)
    assert "Did you mean raw.daily_prices?" in str(error)


def test_a_circle_is_spelt_out(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/a.sql": "select 1 as id\nfrom {{ ref('c') }}",
            "models/b.sql": "select * from {{ ref('a') }}",
            "models/c.sql": "select * from {{ ref('b') }}",
        },
    )
    names = str(error).partition("circle: ")[2].partition(".")[0].split(" -> ")
    assert names[0] == names[-1]
    assert set(names) == {"a", "b", "c"}
    assert error.line == (2 if names[0] == "a" else 1)


def test_two_models_of_one_name_are_refused(run: Run) -> None:
    error = error_of(
        run, {"models/one/orders.sql": "select 1", "models/two/orders.sql": "select 2"}
    )
    assert "two models called orders: the other is models/one/orders.sql" in str(error)


def test_two_models_of_one_relation_are_refused(run: Run) -> None:
    error = error_of(
        run,
        {"models/a.sql": "select 1", "models/b.sql": "{{ config(alias='a') }} select 2"},
    )
    assert 'would both be "shop"."a"' in str(error)


def test_a_model_described_twice_is_refused(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/a.sql": "select 1 as id",
            "models/one.yml": "models:\n  - name: a\n",
            "models/two.yml": "models:\n  - name: a\n",
        },
    )
    assert place(error) == ("two.yml", 2)


def test_a_description_without_a_model_is_a_warning(run: Run) -> None:
    transformed = run(
        {
            "models/orders.sql": "select 1 as id",
            "models/schema.yml": """
                models:
                  - name: oders
                    columns: [{name: id, tests: [unique]}]
            """,
        }
    )
    assert len(transformed.warnings) == 1
    assert "schema.yml:2: There is no model oders" in transformed.warnings[0]
    assert "Did you mean orders?" in transformed.warnings[0]


def test_broken_yaml_is_found_at_its_line(run: Run) -> None:
    error = error_of(
        run, {"models/a.sql": "select 1", "models/schema.yml": "models:\n  - name: a\n  bad: ["}
    )
    assert place(error)[0] == "schema.yml"
    assert error.line in {3, 4}


def test_an_unknown_generic_test_is_named_with_the_nearest_one(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/a.sql": "select 1 as id",
            "models/schema.yml": """
                models:
                  - name: a
                    columns:
                      - name: id
                        data_tests:
                          - unique
                          - not_nul
            """,
        },
    )
    assert place(error) == ("schema.yml", 7)
    assert "Did you mean not_null?" in str(error)


@pytest.mark.parametrize("kind", ["materialized_view", "snapshot"])
def test_what_is_not_supported_yet_is_refused_at_its_line(run: Run, kind: str) -> None:
    error = error_of(
        run, {"models/a.sql": f"-- a model\n{{{{ config(materialized='{kind}') }}}}\nselect 1"}
    )
    assert place(error) == ("a.sql", 2)
    assert f"{kind} is not supported yet" in str(error)


def test_a_setting_that_would_be_ignored_is_refused_at_its_line(run: Run) -> None:
    error = error_of(
        run,
        {"models/a.sql": "{{ config(\n    post_hook='grant select on x to y'\n) }}\nselect 1"},
    )
    assert place(error) == ("a.sql", 2)
    assert "post_hook is not supported yet" in str(error)


def test_no_model_may_go_where_loaded_data_lies(run: Run) -> None:
    error = error_of(
        run, {"models/daily_prices.sql": "{{ config(schema='raw') }} select 'A' as symbol"}
    )
    assert "The schema raw holds what datapipe loads" in str(error)


def test_a_file_that_is_not_utf8_is_named(run: Run, write: Write) -> None:
    (write({"models/a.sql": ""}) / "models" / "a.sql").write_bytes(b"select '\xff'")
    error = error_of(run, {})
    assert place(error) == ("a.sql", None)
    assert "cannot be read" in str(error)


def test_a_project_without_models_is_a_run_without_models(run: Run) -> None:
    assert run({}).models == ()


def test_snapshots_are_refused_by_name(run: Run) -> None:
    error = error_of(run, {"models/a.sql": "select 1", "snapshots/old.sql": "select 1"})
    assert place(error) == ("old.sql", 1)


def test_an_undefined_name_is_found_with_the_nearest_one(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/a.sql": """
                {% set columns = ['id'] %}
                select
                {% for column in colums %}
                    {{ column }}
                {% endfor %}
            """
        },
    )
    assert place(error) == ("a.sql", 3)
    assert "'colums' is undefined. Did you mean columns?" in str(error)


def test_a_name_may_be_asked_for_without_being_there(run: Run) -> None:
    run({"models/a.sql": "select {% if nothing %}1{% else %}2{% endif %} as id"})


def test_a_syntax_error_of_jinja_is_found_at_its_line(run: Run) -> None:
    error = error_of(run, {"models/a.sql": "select 1\n{% if true %}\n, 2\n"})
    assert error.path is not None
    assert error.path.name == "a.sql"
    assert error.line in {2, 3, 4}


def test_a_syntax_error_in_a_macro_file_is_found_there(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/a.sql": "select {{ one() }}",
            "macros/one.sql": "{% macro one() %}\n{{ 1 + }}\n{% endmacro %}",
        },
    )
    assert place(error) == ("one.sql", 2)


def test_two_macros_of_one_name_are_refused(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/a.sql": "select 1",
            "macros/one.sql": "{% macro one() %}1{% endmacro %}",
            "macros/two.sql": "\n\n{% macro one() %}1{% endmacro %}",
        },
    )
    assert "two macros called one" in str(error)


def test_a_compiler_error_of_the_project_is_passed_on(run: Run) -> None:
    error = error_of(
        run,
        {
            "models/a.sql": """
                select 1
                {{ exceptions.raise_compiler_error('Not on a Monday.') }}
            """
        },
    )
    assert place(error) == ("a.sql", 2)
    assert "Not on a Monday." in str(error)


def test_a_variable_that_is_not_set_names_the_cure(run: Run) -> None:
    error = error_of(run, {"models/a.sql": "select '{{ var('since') }}' as since"})
    assert place(error) == ("a.sql", 1)
    assert "Set it under vars:" in str(error)


def test_a_folder_without_a_project_is_refused(run: Run, tmp_path: Path, warehouse) -> None:
    from datapipe import transform

    with pytest.raises(ProjectError, match=r"no dbt_project\.yml"):
        transform.run(warehouse, tmp_path, run_id=1)


def test_nothing_is_sent_before_the_project_is_known_to_be_sound(run: Run, rows) -> None:
    error_of(run, {"models/a.sql": "select 1", "models/b.sql": "select * from {{ ref('x') }}"})
    assert rows("select 1 from pg_namespace where nspname like 'shop%'") == []
