"""Mistakes in a project are found before any statement is sent, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datapipe.errors import ProjectError
from datapipe.transform import Options, Transformed, manifest, project
from datapipe.transform.graph import ordered
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest import Manifest
from datapipe.transform.snippet import showing
from datapipe.warehouse import Warehouse

Read = Callable[..., Manifest]
Run = Callable[..., Transformed]
Write = Callable[..., Path]


@pytest.fixture
def read(write: Write) -> Read:
    """Writes files, and reads the project as far as a run does before it sends anything."""

    @showing()
    def read_project(files: dict[str, str]) -> Manifest:
        loaded = project.load(write(files))
        read = manifest.read(Renderer(loaded, described(None, "public")))
        ordered(read.models)
        return read

    return read_project


def error_of(run: Run | Read, files: dict[str, str], **options: object) -> ProjectError:
    with pytest.raises(ProjectError) as caught:
        run(files, **options)
    return caught.value


def place(error: ProjectError) -> tuple[str, int | None]:
    return "" if error.path is None else error.path.name, error.line


def test_an_unknown_model_is_named_with_the_nearest_one(read: Read) -> None:
    error = error_of(
        read,
        {
            "models/orders.sql": "select 1 as id",
            "models/paid.sql": "select *\nfrom\n    {{ ref('order') }}",
        },
    )
    assert place(error) == ("paid.sql", 3)
    assert "no model order. Did you mean orders?" in str(error)
    assert error.model == "paid"


def test_an_unknown_model_behind_a_macro_is_found_in_the_macro(read: Read) -> None:
    error = error_of(
        read,
        {
            "models/paid.sql": "select * from {{ all_orders() }}",
            "macros/orders.sql": "{% macro all_orders() %}\n{{ ref('orders') }}\n{% endmacro %}",
        },
    )
    assert place(error) == ("orders.sql", 2)


def test_an_unknown_source_is_named_with_the_nearest_one(read: Read) -> None:
    error = error_of(
        read,
        {
            "models/sources.yml": "sources: [{name: raw, tables: [{name: daily_prices}]}]",
            "models/prices.sql": "select * from {{ source('raw', 'daily_price') }}",
        },
    )
    assert place(error) == ("prices.sql", 1)
    assert "Did you mean raw.daily_prices?" in str(error)


def test_a_circle_is_spelt_out(read: Read) -> None:
    error = error_of(
        read,
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


def test_two_models_of_one_name_are_refused(read: Read) -> None:
    error = error_of(
        read, {"models/one/orders.sql": "select 1", "models/two/orders.sql": "select 2"}
    )
    assert "two models called orders: the other is models/one/orders.sql" in str(error)


def test_two_models_of_one_relation_are_refused(read: Read) -> None:
    error = error_of(
        read,
        {"models/a.sql": "select 1", "models/b.sql": "{{ config(alias='a') }} select 2"},
    )
    assert 'would both be "shop"."a"' in str(error)


def test_a_model_described_twice_is_refused(read: Read) -> None:
    error = error_of(
        read,
        {
            "models/a.sql": "select 1 as id",
            "models/one.yml": "models:\n  - name: a\n",
            "models/two.yml": "models:\n  - name: a\n",
        },
    )
    assert place(error) == ("two.yml", 2)


def test_broken_yaml_is_found_at_its_line(read: Read) -> None:
    error = error_of(
        read, {"models/a.sql": "select 1", "models/schema.yml": "models:\n  - name: a\n  bad: ["}
    )
    assert place(error)[0] == "schema.yml"
    assert error.line in {3, 4}


def test_an_unknown_generic_test_is_named_with_the_nearest_one(read: Read) -> None:
    error = error_of(
        read,
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


def test_a_materialization_that_there_is_not_is_refused_at_its_line(read: Read) -> None:
    error = error_of(
        read, {"models/a.sql": "-- a model\n{{ config(materialized='tabel') }}\nselect 1"}
    )
    assert place(error) == ("a.sql", 2)
    assert "no materialization tabel. Did you mean table?" in str(error)


def test_no_model_may_go_where_datapipe_remembers(read: Read) -> None:
    error = error_of(read, {"models/a.sql": "select 1 as id\n-- {{ config(schema='meta') }}"})
    assert place(error) == ("a.sql", 2)
    assert "The schema meta holds what datapipe remembers" in str(error)


def test_a_file_that_is_not_utf8_is_named(read: Read, write: Write) -> None:
    (write({"models/a.sql": ""}) / "models" / "a.sql").write_bytes(b"select '\xff'")
    error = error_of(read, {})
    assert place(error) == ("a.sql", 1)
    assert "Save the file as UTF-8." in str(error)
    assert "\n  1 | select '" in str(error)


def test_a_project_without_models_is_a_run_without_models(run: Run) -> None:
    assert run({}).models == ()


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


def test_a_name_that_nobody_knows_is_nothing_where_it_is_written_and_warned_of(
    run: Run, warehouse: Warehouse
) -> None:
    done = run(
        {
            "models/a.sql": """
                {% set note = missing_note ~ '' %}
                select '{{ nmae }}' as name, {{ note | length }} as length -- {{ wherever }}
                {% if note %} , 'not empty' as odd {% endif %}
                {% set name = 'only for the question what was meant' %}
            """
        }
    )
    with warehouse.connect() as connection:
        assert connection.execute("select * from shop.a").fetchall() == [("", 0)]
    told = [each.rpartition("/")[2] for each in done.warnings if "is undefined" in each]
    assert told == [
        "a.sql:1: 'missing_note' is undefined, so nothing is written for it.",
        "a.sql:2: 'nmae' is undefined, so nothing is written for it. Did you mean name?",
        "a.sql:2: 'wherever' is undefined, so nothing is written for it.",
    ]


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"models/a.sql": "select 1 as x\nlimit {{ rwos }}"}, ("a.sql", 2)),
        ({"models/a.sql": "select 1 as x\n, {{ rwos }}_total\nas y"}, ("a.sql", 2)),
        ({"models/a.sql": "select\ncast('{{ rwos }}' as date) as x"}, ("a.sql", 2)),
        (
            {
                "models/e.sql": "{{ config(materialized='ephemeral') }}\nselect 1 + {{ rwos }} a",
                "models/a.sql": "select * from {{ ref('e') }}",
            },
            ("e.sql", 2),
        ),
        (
            {
                "macros/top.sql": "{% macro top() %}\n where 1 = {{ rwos }}\n{% endmacro %}",
                "models/a.sql": "select 1 as x {{ top() }} limit 1",
            },
            ("top.sql", 2),
        ),
        (
            {"models/a.sql": "{{ config(post_hook='analyze {{ rwos }}.b') }}\nselect 1 as x"},
            ("a.sql", 1),
        ),
    ],
    ids=["end", "name", "text", "ephemeral", "macro", "hook"],
)
def test_a_name_that_nobody_knows_is_the_mistake_where_postgresql_stumbles_over_nothing(
    run: Run, files: dict[str, str], where: tuple[str, int]
) -> None:
    error = error_of(run, files)
    assert place(error) == where
    assert "'rwos' is undefined, so nothing is written for it." in str(error)


def test_another_mistake_is_told_where_it_is_beside_a_name_that_nobody_knows(run: Run) -> None:
    error = error_of(run, {"models/a.sql": "select '{{ rwos }}' as x\n, nothing_such as y"})
    assert place(error) == ("a.sql", 2)
    assert "rwos" not in str(error).partition("There are warnings")[0]


def test_a_name_may_be_asked_for_without_being_there(run: Run) -> None:
    run({"models/a.sql": "select {% if nothing %}1{% else %}2{% endif %} as id"})


def test_a_syntax_error_of_jinja_is_found_at_its_line(read: Read) -> None:
    error = error_of(read, {"models/a.sql": "select 1\n{% if true %}\n, 2\n"})
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


def test_two_macros_of_one_name_are_refused(read: Read) -> None:
    error = error_of(
        read,
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
        transform.run(warehouse, Options(project_dir=tmp_path), run_id=1)


def test_nothing_is_sent_before_the_project_is_known_to_be_sound(run: Run, rows) -> None:
    error_of(run, {"models/a.sql": "select 1", "models/b.sql": "select * from {{ ref('x') }}"})
    assert rows("select 1 from pg_namespace where nspname like 'shop%'") == []


PLACES = {
    "a model that selects from itself": (
        "a.sql", 2, {"models/a.sql": "select *\nfrom {{ ref('a') }}"},
    ),
    "a disabled model": (
        "b.sql", 2,
        {
            "models/a.sql": "{{ config(enabled=false) }} select 1",
            "models/b.sql": "select *\nfrom {{ ref('a') }}",
        },
    ),
    "a private model": (
        "b.sql", 2,
        {
            "models/a.sql": "{{ config(access='private', group='g') }} select 1",
            "models/b.sql": "select *\nfrom {{ ref('a') }}",
            "models/s.yml": "groups: [{name: g, owner: {name: x}}]",
        },
    ),
    "a version that there is not": (
        "b.sql", 2,
        {
            "models/a_v1.sql": "select 1",
            "models/b.sql": "select *\nfrom {{ ref('a', v=3) }}",
            "models/s.yml": "models: [{name: a, versions: [{v: 1}]}]",
        },
    ),
    "a latest version that there is not": (
        "s.yml", 3,
        {
            "models/a_v1.sql": "select 1",
            "models/s.yml": "models:\n  - name: a\n    latest_version: 2\n    versions: [{v: 1}]",
        },
    ),
    "a version without a file": (
        "s.yml", 5,
        {
            "models/a.sql": "select 1",
            "models/s.yml": (
                "models:\n  - name: a\n    versions:\n      - {v: 1, defined_in: a}\n      - v: 2\n"
            ),
        },
    ),
    "settings without names": ("a.sql", 2, {"models/a.sql": "select 1\n{{ config('table') }}"}),
    "a test of Jinja's that there is not": (
        "a.sql", 2, {"models/a.sql": "select\n  {{ 1 if 3 is evenn else 2 }}"},
    ),
    "microbatches of no size": (
        "a.sql", 2,
        {"models/a.sql": (
            "{{ config(materialized='incremental', event_time='at', unique_key='id',\n"
            "  incremental_strategy='microbatch') }}\nselect 1"
        )},
    ),
    "no schema": (
        "schema_name.sql", 2,
        {
            "models/a.sql": "select 1",
            "macros/schema_name.sql": (
                "{# no #}\n{% macro generate_schema_name(name, node) %} {% endmacro %}"
            ),
        },
    ),
    "a text left open in Jinja": (
        "a.sql", 2, {"models/a.sql": "select\n  {{ var('x) }},\n  1\nfrom {{ ref('b') }}"},
    ),
    "a missing colon in YAML": (
        "s.yml", 3, {"models/s.yml": "models:\n  - name: a\n    description x\n    columns: []\n"},
    ),
    "a null byte": ("a.sql", 2, {"models/a.sql": "select 1,\n  '\0'"}),
    "a quote left open in YAML": (
        "s.yml", 3, {"models/s.yml": "models:\n  - name: a\n    description: 'one\n  - name: b\n"},
    ),
    "a tab in YAML": ("s.yml", 3, {"models/s.yml": "models:\n  - name: a\n\tdescription: x\n"}),
    "a colon in YAML": (
        "s.yml", 3, {"models/s.yml": "models:\n  - name: a\n    description: this: that\n"},
    ),
    "a test of a model that there is not": (
        "s.yml", 6,
        {
            "models/a.sql": "select 1 as id",
            "models/s.yml": (
                "models:\n  - name: a\n    columns:\n      - name: id\n        tests:\n"
                "          - relationships: {to: ref('gone'), field: id}\n"
            )
        },
    ),
    "a file with a test of a model that there is not": (
        "of_gone.sql", 2, {"tests/of_gone.sql": "select *\nfrom {{ ref('gone') }}"},
    ),
    "a setting of the wrong type": (
        "s.yml", 4,
        {
            "models/a.sql": "select 1",
            "models/s.yml": "models:\n  - name: a\n    config:\n      enabled: maybe\n",
        },
    ),
    "a wrong setting of the project": (
        "dbt_project.yml", 4,
        {"models/a.sql": "select 1", "dbt_project.yml": (
            "name: shop\nmodels:\n  shop:\n    +materialized: tabel\n"
        )},
    ),
    "an argument that a test does not have": (
        "s.yml", 7,
        {
            "models/a.sql": "select 1",
            "models/s.yml": (
                "models:\n  - name: a\n    columns:\n      - name: id\n        data_tests:\n"
                "          - accepted_values:\n              valeus: [1]\n"
            ),
        },
    ),
    "a docs block that there is not": (
        "s.yml", 3,
        {
            "models/a.sql": "select 1",
            "models/s.yml": "models:\n  - name: a\n    description: \"{{ doc('x') }}\"\n",
        },
    ),
    "a name in YAML that nobody knows": (
        "s.yml", 3,
        {
            "models/a.sql": "select 1",
            "models/s.yml": "models:\n  - name: a\n    description: \"{{ docs('x') }}\"\n",
        },
    ),
    "a hook without its SQL": (
        "a.sql", 2, {"models/a.sql": "{{ config(\n  post_hook={'sq': 'select 1'}) }} select 1"},
    ),
    "a name without quotes": ("a.sql", 2, {"models/a.sql": "select *\nfrom {{ ref(orders) }}"}),
    "a macro of schemas that does not take a node": (
        "schema_name.sql", 2,
        {
            "models/a.sql": "select 1",
            "macros/schema_name.sql": (
                "{# one #}\n{% macro generate_schema_name(name) %}a{% endmacro %}"
            ),
        },
    ),
    "an exposure without an owner": (
        "s.yml", 2, {"models/s.yml": "exposures:\n  - name: board\n    type: dashboard\n"},
    ),
    "a package from nowhere": (
        "packages.yml", 2, {"packages.yml": "packages:\n  - dbt-labs/dbt_utils: 1.0.0\n"},
    ),
    "a snapshot without a key": (
        "s.sql", 2,
        {"snapshots/s.sql": (
            "{% snapshot s %}\n{{ config(strategy='check', check_cols='all') }}\n"
            "select 1 as id\n{% endsnapshot %}"
        )},
    ),
    "a snapshot of what there is not": (
        "s.sql", 3,
        {"snapshots/s.sql": (
            "{% snapshot s %}\n{{ config(strategy='check', check_cols='all', unique_key='i') }}\n"
            "select * from {{ ref('nobody') }}\n{% endsnapshot %}"
        )},
    ),
    "a unit test of what there is not": (
        "s.yml", 3,
        {"models/s.yml": (
            "unit_tests:\n  - name: t\n    model: nobody\n    given: []\n    expect: {rows: []}\n"
        )},
    ),
    "a package that there is not": (
        "packages.yml", 2, {"packages.yml": "packages:\n  - package: dbt-labs/dbt_utils\n"},
    ),
    "an argument by colon": (
        "a.sql", 3, {"models/a.sql": "{{ config(\n  alias='b',\n  schema: 'c') }} select 1"},
    ),
    "an argument that is given twice": (
        "a.sql", 3, {"models/a.sql": "{{ config(\n  alias='b',\n  alias='c') }} select 1"},
    ),
    "a snapshot without a name": (
        "s.sql", 2, {"snapshots/s.sql": "{# one #}\n{% snapshot %}select 1{% endsnapshot %}"},
    ),
    "a name that is no word": ("dbt_project.yml", 1, {"dbt_project.yml": "name: my-shop\n"}),
    "a hook in a list": (
        "a.sql", 3,
        {"models/a.sql": "{{ config(post_hook=[\n  'select 1',\n  '{{ 1 // 0 }}']) }} select 1"},
    ),
    "a key of a unit test": (
        "s.yml", 4,
        {
            "models/a.sql": "select 1 as b",
            "models/s.yml": (
                "unit_tests:\n  - name: t\n    model: a\n    givn: []\n    expect: {rows: []}\n"
            ),
        },
    ),
    "a contract that is neither on nor off": (
        "s.yml", 5,
        {
            "models/a.sql": "select 1 as b",
            "models/s.yml": (
                "models:\n  - name: a\n    config:\n      contract:\n        enforced: perhaps\n"
            ),
        },
    ),
    "a count in words": (
        "s.yml", 5,
        {"models/s.yml": (
            "sources:\n  - name: s\n    tables: [{name: t}]\n    freshness:\n"
            "      warn_after: {count: many, period: day}\n"
        )},
    ),
    "a name without a space behind its colon": (
        "s.yml", 2, {"models/s.yml": "models:\n  - name:a\n    columns: []\n"},
    ),
    "a macro that there is not, called for the name of a relation": (
        "names.sql", 2,
        {
            "models/a.sql": "select 1 as b",
            "macros/names.sql": (
                "{% macro generate_alias_name(custom_alias_name, node) %}\n"
                "a{{ nomacro(node) }}{% endmacro %}"
            ),
        },
    ),
    "a variable that nobody sets, in a setting": (
        "s.yml", 3,
        {
            "models/a.sql": "select 1 as b",
            "models/s.yml": "models:\n  - name: a\n    config: {alias: \"{{ var('nope') }}\"}\n",
        },
    ),
    "a variable that nobody sets, in a description": (
        "s.yml", 4,
        {
            "models/a.sql": "select 1 as b",
            "models/s.yml": (
                "models:\n  - name: a\n    columns: []\n    description: \"{{ var('nope') }}\"\n"
            ),
        },
    ),
    "a variable that nobody sets, in a setting of a test": (
        "s.yml", 4,
        {
            "models/a.sql": "select 1 as b",
            "models/s.yml": (
                "models:\n  - name: a\n    data_tests:\n"
                "      - unique: {column_name: b, config: {where: \"{{ var('nope') }}\"}}\n"
            ),
        },
    ),
    "a variable that nobody sets, in the tree": (
        "dbt_project.yml", 2,
        {
            "models/a.sql": "select 1 as b",
            "dbt_project.yml": "name: shop\nmodels: {+schema: \"{{ var('nope') }}\"}\n",
        },
    ),
    "a model that is no Python": ("a.py", 1, {"models/a.py": "def model(dbt, session:"}),
    "a Python model that is to be run to be read": (
        "a.py", 2, {"models/a.py": "def model(dbt, session):\n    return dbt.ref(session.x)\n"},
    ),
}  # fmt: skip


OTHER_TYPES = {
    "dbt_project.yml": (
        *("quoting: x", "flags: [x]", "dispatch: x", "docs-paths: [1]"),
        "on-run-end: {sql: select 1}",
    ),
    "models/s.yml": (
        "exposures: [{name: e, type: ml, owner: {name: x}, depends_on: 3}]",
        "models: [{name: a, meta: x}]",
        "models: [{name: a, columns: [{name: b, meta: 3}]}]",
        "models: [{name: a, columns: [{name: b, constraints: true}]}]",
        "sources: [{name: s, quoting: x, tables: [{name: t}]}]",
        "unit_tests: [{name: u, model: a, given: [], expect: {rows: [{at: 2024-13-01}]}}]",
    ),
}


@pytest.mark.parametrize("file", OTHER_TYPES)
def test_a_value_of_another_type_is_told_with_its_line(read: Read, file: str) -> None:
    for text in OTHER_TYPES[file]:
        first = "name: shop\n" if file == "dbt_project.yml" else "version: 2\n"
        error = error_of(read, {"models/a.sql": "select 1 as b", file: first + text})
        assert place(error) == (file.rpartition("/")[2], 2), text


@pytest.mark.parametrize("case", PLACES)
def test_a_mistake_is_told_with_its_place_and_its_line(read: Read, case: str) -> None:
    name, line, files = PLACES[case]
    error = error_of(read, files)
    assert place(error) == (name, line)
    assert f"\n  {line} | " in str(error)
