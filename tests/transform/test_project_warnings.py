"""What is odd in a project, but stops no run, is a warning with its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from datapipe.errors import ProjectError
from datapipe.transform import Options, Transformed
from datapipe.transform.opening import opened

Run = Callable[..., Transformed]
Write = Callable[..., Path]


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


def test_what_nobody_reads_in_the_project_is_a_warning(run: Run) -> None:
    text = "name: shop\nmodel-path: [models]\nvarz: {a: 1}\n"
    warnings = "\n".join(run({"dbt_project.yml": text, "models/a.sql": "select 1 as id"}).warnings)
    assert "yml:2: There is no key model-path here. Did you mean model-paths?" in warnings
    assert "yml:3: There is no key varz here. Did you mean vars?" in warnings


def test_what_applies_to_nothing_is_a_warning(run: Run) -> None:
    files = {
        "dbt_project.yml": (
            "name: shop\ndispatch:\n  - macro_namespace: dbt\n    search_order: [shop, dbtt]\n"
            "models:\n  shop:\n    martz:\n      +schema: x\nseeds:\n  shop:\n"
            "    +column_types:\n      at: date\n      too: text\n"
        ),
        "models/marts/a.sql": (
            "{{ config(materialized='incremental',\n  unique_key=['id', 'idd'],\n"
            "incremental_strategy='merge', merge_update_columns=['ids']) }} select 1 as id"
        ),
        "models/s.yml": (
            "unit_tests:\n  - name: t\n    model: a\n    given: []\n    expect: {rows: [{id: 1}]}\n"
            "    overrides:\n      macros:\n        is_incrementl: true\n"
        ),
        "seeds/days.csv": "at,two\n2026-01-01,x\n",
        "snapshots/s.sql": (
            "{% snapshot s %}{{ config(strategy='check', unique_key='id',\n"
            "  check_cols=['nam']) }} select 1 as id, 'a' as name{% endsnapshot %}"
        ),
    }
    warnings = "\n".join(run(files).warnings)
    for told in (
        r"dbt_project\.yml:4: There is no package dbtt .* Did you mean dbt\?",
        r"dbt_project\.yml:7: What is set for shop\.martz applies to none .* Did you mean marts\?",
        r"dbt_project\.yml:13: The seed days has no column too\. Did you mean two\?",
        r"a\.sql:2: unique_key names idd, and a has no such column",
        r"a\.sql:3: merge_update_columns names ids, .* Did you mean id\?",
        r"s\.yml:8: The unit test t overrides is_incrementl, which a does not call\.",
        r"s\.sql:2: check_cols names nam, .* Did you mean name\?",
    ):
        assert re.search(told, warnings), (told, warnings)


def test_what_stands_twice_is_a_warning(run: Run) -> None:
    files = {
        "dbt_project.yml": "name: shop\nvars: {a: 1}\nvars: {a: 2}\n",
        "models/a.sql": "select 1 as id",
        "models/s.yml": "models: [{name: a, columns: [{name: id},\n  {name: id}]}]",
    }
    warnings = "\n".join(run(files).warnings)
    assert "dbt_project.yml:3: The key vars stands here for the second time" in warnings
    assert "s.yml:2: The column id is described twice" in warnings


def test_warnings_are_told_where_a_project_cannot_be_read(run: Run) -> None:
    files = {
        "models/a.sql": "select * from {{ source('crm', 'people') }}",
        "models/s.yml": "sources:\n  - name: crm\n    tabels: [{name: people}]\n",
    }
    with pytest.raises(
        ProjectError, match=r"There is no source crm\.people[\s\S]*s\.yml:3: .*tables"
    ):
        run(files)


def test_what_dbt_only_warns_of_is_a_warning_with_its_place(run: Run) -> None:
    transformed = run(
        {
            "models/a.sql": "select 1 as id",
            "models/b.sql": (
                "{{ config(materialized='incremental', materialised='x',\n"
                "  on_schema_change='append') }}\nselect id from {{ ref('a') }}"
            ),
            "models/off.sql": "{{ config(enabled=false) }} select 1 as id",
            "models/s.yml": """
                models:
                  - name: a
                    columns:
                      - name: other
                        test: [not_null]
                      - name: id
                        tests:
                          - unique
                          - relationships: {to: ref('off'), field: id}
                          - not_null:
                              config: {severty: warn}
            """,
            "tests/of_off.sql": "select * from {{ ref('off') }}",
        }
    )
    told = [re.sub(r"^.*/|\n.*", "", each) for each in transformed.warnings]
    vain = ", so it has no effect. Did you mean"
    policies = "ignore, fail, append_new_columns, sync_all_columns, not append"
    assert sorted(told) == [
        f"b.sql:1: There is no setting materialised{vain} materialized?",
        f"b.sql:2: on_schema_change must be one of {policies}. As with dbt, changes are ignored.",
        f"s.yml:11: There is no setting severty{vain} severity?",
        f"s.yml:5: There is no key test here{vain} tests?",
    ]
    assert {each.name for each in transformed.results} == {"a", "b", "unique_a_id", "not_null_a_id"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ('[">=1.3.0", "<2.0.0"]', ""),
        ('">=1.6.0-rc1,<3.0.0"', ""),
        ('"<1.0.0"', "yml:2: shop asks for dbt <1.0.0, and datapipe follows dbt 1."),
        ('">=2.0.0"\nflags: {version_check: false}', ""),
        ('[">=1.3", "<2.0.0"]', "yml:2: >=1.3 is no version that dbt knows, such as >=1.6.0."),
    ],
)
def test_a_project_that_asks_for_another_dbt_is_warned_of(
    write: Write, asked: str, told: str
) -> None:
    folder = write({"dbt_project.yml": f"name: shop\nrequire-dbt-version: {asked}\n"})
    warnings = "\n".join(opened(None, Options(project_dir=folder)).warnings)
    assert told in warnings if told else "dbt" not in warnings.replace(str(folder), "")


def test_models_to_be_given_up_are_warned_of_with_those_that_read_them(
    write: Write,
) -> None:
    yaml = """
        models:
          - name: a
            latest_version: 2
            versions:
              - v: 1
                deprecation_date: {}
              - v: 2
    """
    files = {
        "models/a_v1.sql": "select 1 as id",
        "models/a_v2.sql": "select 1 as id",
        "models/b.sql": "select id\nfrom {{ ref('a', v=1) }}",
        "models/c.sql": "select id from {{ ref('a') }}",
    }
    for given, told in (
        ("2020-01-31", ["s.yml:5: The model a.v1 has passed", "b.sql:2: b reads a.v1, which was"]),
        ("2999-01-31", ["b.sql:2: b reads a.v1, which is to be given up by 2999-01-31."]),
    ):
        folder = write({**files, "models/s.yml": yaml.format(given)})
        found = opened(None, Options(project_dir=folder)).warnings
        assert len(found) == len(told)
        assert all(each in text for each, text in zip(told, found, strict=True))
    folder = write({**files, "models/s.yml": yaml.format("soon")})
    with pytest.raises(ProjectError, match=r"s\.yml:5: deprecation_date is a date such as"):
        opened(None, Options(project_dir=folder))
