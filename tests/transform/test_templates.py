"""What templates see and may do, as dbt has it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError
from datapipe.transform import project
from datapipe.transform.jinja import plain
from datapipe.transform.jinja.adapter import Adapter
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.database import Database
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.jinja.templates import SqlEnvironment
from datapipe.warehouse import Warehouse

Render = Callable[..., str]


@pytest.fixture
def renderer(write: Callable[..., Path]) -> Renderer:
    folder = write(
        {
            "dbt_project.yml": """
                name: shop
                vars:
                  days: 7
                  told: "{{ var('days') }} days"
                dispatch:
                  - macro_namespace: pack
                    search_order: [shop, pack]
            """,
            "macros/own.sql": """
                {% macro greet(name='you') %}hello {{ name }}{% endmacro %}
                {% macro get_test_day(day) %}{{ day }}{% endmacro %}
                {% macro typed(amount: int, factor: float = 2) %}
                    {{ return(amount * factor) }}
                {% endmacro %}
                {% macro empty() %}{{ return(caller() == '') }}{% endmacro %}
                {% macro default__way() %}ours{% endmacro %}
                {% macro mine() %}root{% endmacro %}
            """,
            "dbt_packages/pack/dbt_project.yml": """
                {name: pack, version: 1.2, vars: {days: 1, own: 2}}
            """,
            "dbt_packages/pack/macros/pack.sql": """
                {% macro way() %}{{ return(adapter.dispatch('way', 'pack')()) }}{% endmacro %}
                {% macro default__way() %}theirs{% endmacro %}
                {% macro mine() %}package{% endmacro %}
            """,
            "packages.yml": "packages: []",
        }
    )
    return Renderer(project.load(folder), described(None, "shop"))


@pytest.fixture
def render(renderer: Renderer) -> Render:
    """Renders a template as it is when a node is compiled."""
    adapter = Adapter(renderer.macros.dispatched, renderer.target, Database("", {}))
    path = renderer.project.directory / "a.sql"

    def rendered(source: str, *, package: str = "", **own: Any) -> str:
        path.write_text(source, encoding="utf-8")
        own = {"execute": True, "adapter": adapter, **own}
        return renderer.render(path, source, own, model="a", package=package)

    return rendered


@pytest.fixture
def asking(renderer: Renderer, connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """This test's connection, on which templates ask."""
    with renderer.using(connection):
        yield connection


@pytest.mark.usefixtures("asking")
def test_a_query_brings_a_table_of_plain_values(render: Render) -> None:
    found: list[Any] = []
    render(
        """
        {% set rows = run_query("
            select 1 as id, 1.50 as price, 'x' as name, date '2024-01-02' as day, true as flag,
                   array[1, 2] as list, '{}'::jsonb as doc, null as nothing
            union all select 2, 2, 'y', null, false, null, null, null") %}
        {% do found.append(rows) %}
        """,
        found=found,
    )
    table = found[0]
    assert table.column_names == (
        *("id", "price", "name", "day", "flag", "list", "doc", "nothing"),
    )
    assert table.columns[0].values() == (1, 2)
    assert table.columns["price"].values() == (Decimal("1.50"), Decimal(2))
    first = table.rows[0]
    assert (first["name"], first["day"], first["flag"]) == ("x", date(2024, 1, 2), True)
    assert (first["list"], first["doc"], first["nothing"]) == ("[1, 2]", "{}", None)
    assert [row.values()[0] for row in table] == [1, 2]
    assert table.select(["name"]).rows.values()[1].dict() == {"name": "y"}
    assert table.exclude("price").rename({"id": "key"}).column_names[0] == "key"
    assert len(table.where(lambda row: row["id"] > 1)) == 1
    assert len(table) == 2
    assert table.order_by("id", reverse=True).columns["id"].values_distinct() == (2, 1)
    groups = table.group_by("id")
    assert groups.keys() == [1, 2]
    assert [len(group) for group in groups] == [1, 1]
    assert groups[1].columns["id"].values() == (2,)
    assert len(groups.merge()) == 2


@pytest.mark.usefixtures("asking")
def test_tables_are_printed_as_agate_draws_them_and_come_to_nothing_in_the_sql(
    render: Render,
) -> None:
    told: list[str] = []
    query = """run_query("select 1234 as id, 1234.5678 as n, 'a text that is too long' as t,
                null as e union all select 2, null, 'b', null")"""
    for call in ("table(max_columns=3)", "table(1, 1)", "csv()", "json(key='id')", "structure()"):
        assert render("{{ " + query + ".print_" + call + " }}", print=told.append) == "None"
    assert told[0].splitlines() == [
        "|   id |          n | t                    | ... |",
        "| ---- | ---------- | -------------------- | --- |",
        "| 1234 | 1,234.568… | a text that is to... | ... |",
        "|    2 |            | b                    | ... |",
    ]
    assert told[1].splitlines() == [
        "|   id | ... |",
        "| ---- | --- |",
        "| 1234 | ... |",
        "|  ... | ... |",
    ]
    assert told[2].splitlines() == [
        "id,n,t,e",
        "1234,1234.5678,a text that is too long,",
        "2,,b,",
    ]
    assert json.loads(told[3])["2"] == {"id": 2, "n": None, "t": "b", "e": None}
    assert told[4].splitlines()[2:] == [
        "| id     | Integer   |",
        "| n      | Number    |",
        "| t      | Text      |",
        "| e      | Integer   |",
    ]


@pytest.mark.usefixtures("asking")
def test_a_column_of_a_result_knows_how_json_has_its_values(render: Render) -> None:
    source = """{% for column in run_query("select 1.5 as n, date '2026-01-02' as d, 'x' as t,
        null as e, true as b").columns %}{{ tojson(column.data_type.jsonify(column[0])) }}
        {{- '' if loop.last else ' ' }}{% endfor %}"""
    assert render(source) == '1.5 "2026-01-02" "x" null true'


@pytest.mark.usefixtures("asking")
def test_a_statement_keeps_its_result_until_it_is_loaded(render: Render) -> None:
    text = render(
        """
        {%- call statement('s', fetch_result=true) %}select 3 as n{% endcall -%}
        {%- set result = load_result('s') -%}
        {{ result['data'][0][0] }} {{ result.table.columns.n[0] }} {{ result.response }}
        """
    )
    assert text.split() == ["3", "3", "SELECT", "1"]
    with pytest.raises(ProjectError, match="was loaded before"):
        render("{% do run_query('select 1') %}{{ load_result('run_query_statement') }}")


def test_a_column_knows_its_type_and_its_size() -> None:
    assert Column("a", "character varying", 10).data_type == "character varying(10)"
    assert Column("a", "numeric", None, 28, 6).data_type == "numeric(28,6)"
    assert Column.create("a", "string").dtype == "TEXT"
    assert Column.from_description("a", "numeric(28,6)").numeric_scale == 6
    assert Column("a", "character varying", 5).can_expand_to(Column("a", "text"))


def test_columns_and_relations_are_found_in_the_database(
    render: Render, asking: psycopg.Connection
) -> None:
    asking.execute("create table public.t (id integer, name varchar(3), tags text[])")
    text = render(
        """
        {%- set t = adapter.get_relation(target.database, 'public', 't') -%}
        {{ t.type }} {{ adapter.get_relation(none, 'public', 'no') is none }}
        {% for c in get_columns_in_relation(t) %}{{ c.name }} {{ c.data_type }};{% endfor %}
        {{ t.include(database=false) }} {{ t is mapping }} {{ t.get('metadata').type }}
        {{ get_columns_in_query('select 1 as one, 2 as two') }}
        {{ adapter.get_missing_columns(t, t.incorporate(path={'identifier': 'no'})) | length }}
        """
    )
    assert [line.strip() for line in text.strip().splitlines()] == [
        "table True",
        "id integer;name character varying(3);tags ARRAY;",
        '"public"."t" True Relation',
        "['one', 'two']",
        "3",
    ]


def test_macros_of_the_own_package_go_before_the_projects(render: Render) -> None:
    assert render("{{ mine() }} {{ pack.mine() }}") == "root package"
    assert render("{{ mine() }} {{ shop.mine() }}", package="pack") == "package root"


def test_dispatch_follows_the_search_order_of_the_project(render: Render) -> None:
    assert render("{{ pack.way() }} {{ dbt.dateadd('day', 1, 'd') }}") == (
        "ours d + ((interval '1 day') * (1))"
    )


def test_what_a_template_writes_into_its_context_or_a_package_ends_with_it(render: Render) -> None:
    source = """
        {%- do context.update({'greet': mine, 'kept': context.get('kept', 0) + 1}) -%}
        {%- do pack.update({'mine': greet, 'another': typed}) -%}
        {{ context['greet']() }} {{ context.kept }} {{ pack.mine() }} {{ pack.another(2) }}
        {{- '' if 'another' in pack }} {{ context.pop('greet') and context['greet']() }}
    """
    for _ in "12":
        assert render(source).strip() == "root 1 hello you 4 hello you"


def test_a_package_finds_the_macros_of_the_project_that_uses_it(render: Render) -> None:
    asked = "{{ ref.config.project_name }} {{ context.get(ref.config.project_name).mine() }}"
    assert render(asked, package="pack", ref=str) == "shop root"


def test_a_package_learns_of_the_run_what_dbt_tells(render: Render) -> None:
    """Packages that write down how they were run ask for these."""
    asked = (
        "{{ ref.config.vars.to_dict().days }} {{ ref.config.cli_vars }} {{ ref.config.threads }} "
        "{{ ref.config.credentials.schema }} {{ ref.config.quoting.schema }} {{ target.role }} "
        "{{ flags.INDIRECT_SELECTION }} {{ api.Relation.get_relation_type('view') }} "
        "{{ api.Relation.quote_character }}{{ api.Column('a', 'text') }}"
    )
    column = "PostgresColumn(column='a', dtype='text', char_size=None, numeric_precision=None,"
    assert (
        render(asked, ref=str)
        == f'7 {{}} 1 shop True None eager view "{column} numeric_scale=None)'
    )


def test_a_relation_tells_all_that_it_holds_as_dbt_does(render: Render) -> None:
    source = """
        {%- set one = api.Relation.create(schema='s', identifier='i') -%}
        {%- set whole = one.include(database=false).to_dict() -%}
        {{ whole.path | tojson }} {{ whole.include_policy.database }} {{ whole.catalog is none }}
        {{- ' ' ~ one.to_dict(omit_none=true).path | tojson }}
        {{- ' catalog' if 'catalog' in one.to_dict(omit_none=true) }}
        {{- ' ' ~ api.Relation.get_default_quote_policy().schema }}
        {{- ' ' ~ one.get_default_include_policy().identifier }}
    """
    assert render(source).strip() == (
        '{"database": null, "identifier": "i", "schema": "s"} False True '
        '{"identifier": "i", "schema": "s"} True True'
    )


def test_a_package_learns_of_its_version_of_settings_and_of_flags(render: Render) -> None:
    """What stands in dbt_project.yml and what dbt takes where it is silent, also of packages."""
    asked = (
        "{% set of = builtins.ref.config %}{{ of.dependencies.pack.version }} "
        "{{ of.model_paths | join }} {{ of.target_path }} {{ of.dependencies.shop.project_name }} "
        "{{ of.args.require_explicit_package_overrides_for_builtin_materializations is true }} "
        "{{ flags.REQUIRE_RESOURCE_NAMES_WITHOUT_SPACES }} {{ flags['use_colors'] }} "
        "{{ 'full_refresh' in invocation_args_dict }} {{ invocation_args_dict.which }}"
    )
    assert render(asked, package="pack", ref=str) == (
        "1.2 models target shop True True False False build"
    )


def test_parameters_may_have_types_and_macros_give_back_values(render: Render) -> None:
    assert render("{{ typed(3) + 1 }}") == "7"


def test_a_variable_that_holds_jinja_is_rendered_when_it_is_asked_for(render: Render) -> None:
    assert render("{{ var('told') }}") == "7 days"
    assert render("{{ var('days') }} {{ var('own') }}", package="pack") == "7 2"


def test_what_hangs_on_a_query_is_nothing_while_a_project_is_read(render: Render) -> None:
    source = "{% set names = run_query('select 1').columns[0].values() %}[{{ names | join(',') }}]"
    assert render(source, execute=False) == "[]"
    assert render("{{ no_such_macro('x') }}{{ var('missing') }}", execute=False) == "None"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\n{{ gret() }}", r"a\.sql:2: 'gret' is undefined. Did you mean greet\?"),
        ("\n{% for x in nothing_such %}{% endfor %}", r":2: 'nothing_such' is undefined\.$"),
        (
            "\n{{ gone_utils.star('a') }}",
            r":2: .* is undefined. If gone_utils is a package",
        ),
        ("\n\n{{ none.foo.bar }}", r":3: 'None' has no attribute 'foo'"),
        ("\n{% if true %}\n1\n\n", r":2: This {% if %} is never closed"),
        ("{% if true %}\n{% for x in [1] %}\n{% endif %}", r":2: This {% for %} is never closed"),
        ("\n{{ ref('a')\nfrom x }}", r":2: Expected token 'end of print statement'"),
        ("\n{{ ref('a'\n)\nselect 1", r":2: Expected token 'end of print statement'"),
        ("\n{# never closed", r":2: Missing end of comment tag"),
        ("\n{{ var('day') }}", r":2: The variable day is not set. Did you mean days\?"),
        ("\n{{ greet(1, 2) }}", r":2: The macro greet takes at most 1 arguments: name\.$"),
        ("\n{{ greet(nam=1) }}", r":2: The macro greet takes no argument nam. Did you mean name\?"),
        ("\n{{ get_test_day(dy=1) }}", r":2: The macro get_test_day takes no argument dy\. Did"),
        ("\n{{ pack.nothing_of() }}", r":2: The package pack has no macro nothing_of\."),
        ("\n{{ 'a' | uper }}", r":2: No filter named 'uper'\. Did you mean upper\?"),
        ("\n{% foreach x in [1] %}", r":2: Encountered unknown tag 'foreach'\. Did you mean for\?"),
        ("\n{% if a = 1 %}{% endif %}", r":2: Expected .* got '='\. What compares is written =="),
        ("\n{% include 'a.sql' %}", r":2: A template of dbt takes nothing from other files"),
        ("\n{{ greet }}", r":2: A macro is called with brackets: {{ greet\(\) }}"),
        ("\n{% else %}", r":2: Encountered unknown tag 'else'. No tag that else belongs to"),
        ("\n{{ return(1) }}", r":2: return\(\) gives back what a macro comes to"),
        (
            "{% for x in [1] %}{% set y = x %}{% endfor %}\n{{ y.z }}",
            r":2: 'y' is undefined\. What is set in a loop",
        ),
        ("{{ config(\n  a='x,\n  b='y'\n) }}", r":2: Is the quote that opens here ever closed"),
        ("{% call empty() %}{% endcall %}", r"a\.sql: A {% call %} block comes to True, which is"),
        ("\n{{ adapter.get_relatio() }}", r":2: 'Adapter object' .* Did you mean get_relation\?"),
    ],
)
def test_a_mistake_is_told_with_its_line(render: Render, source: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        render(source, ref=lambda name: name)


def test_a_variable_that_is_not_set_is_told_where_that_stops_reading(render: Render) -> None:
    source = "\n{% set names = var('nams') %}\n{% for name in names %}{% endfor %}"
    with pytest.raises(ProjectError, match=r":2: The variable nams is not set\."):
        render(source, execute=False)


def test_an_undefined_name_in_a_comment_is_a_warning(render: Render, renderer: Renderer) -> None:
    assert render("select 1 -- {{ todo_later }}") == "select 1 -- "
    assert any("todo_later" in warning for warning in renderer.warnings)


def test_a_name_that_is_set_where_others_do_not_see_it_is_nothing(render: Render) -> None:
    assert render("{% for x in [1] %}{% set last = x %}{% endfor %}[{{ last }}]") == "[]"


PLAIN = [
    "select 1\n",
    "{{ config(materialized='table', tags=['a', \"b\"], meta={'x': 1}) }}\n\n{{ ref('a') }}\n\n",
    "  {{- ref('a') -}}  x {{ ref('p', 'a', v=2) }}{{ this }}",
    "{{ var('days') }} {{ var('no', -1.5) }} {{ var('no', none) }} {{ var('no', (1, true)) }}",
    "{{\n  ref(\n    'a'\n  )\n}}\n",
    "'{{ env_var('NO_SUCH', 'ä' 'b') }}' }} %}",
]
NOT_PLAIN = [
    "{{ ref('a').schema }}",
    "{{ ref(r'a') }}",
    "{{ ref('a\\n') }}",
    "{{ ref(*names) }}",
    "{{ ref('a') ~ 'b' }}",
    "{{ var('a', x) }}",
    "{{ config(meta={'a': {'b': 1}}) }}",
    "{{ mine() }}",
    "{% if true %}{% endif %}",
    "{{ ref('a'",
    "a\r\n{{ ref('a') }}",
    "{{ var('a', 007) }}",
]


def ref(*names: str, v: int | None = None) -> str:
    return f"<{names} {v}>"


@pytest.mark.parametrize("source", PLAIN)
def test_a_plain_template_renders_without_jinja_to_the_same(
    renderer: Renderer, render: Render, source: str
) -> None:
    own = {"ref": ref, "this": "<this>", "config": lambda **given: ""}
    found = plain.read(source)
    assert found is not None
    template = renderer.environment.template(source, Path("a.sql"))
    variables = renderer.variables({"execute": True, **own})
    assert render(source, **own) == renderer.environment.text(template, variables)


@pytest.mark.parametrize("source", NOT_PLAIN)
def test_what_is_more_than_plain_is_left_to_jinja(source: str) -> None:
    assert plain.read(source) is None


def test_reading_a_plain_template_takes_no_longer_for_being_wrong() -> None:
    assert plain.read("{{ config(" + "a='b', " * 200 + "c=~) }}") is None


def test_what_was_compiled_once_is_read_the_next_time(
    tmp_path: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, source = tmp_path / "templates", "{% if x %}{{ x }}{% endif %}"

    def rendered(source: str = source) -> str:
        again = Renderer(replace(renderer.project, cache_dir=tmp_path), renderer.target)
        return again.render(Path("a.sql"), source, {"x": "seen"}, model="a")

    assert rendered() == "seen"
    file = max(kept.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    with monkeypatch.context() as never:
        never.setattr(SqlEnvironment, "_parse", None)
        assert rendered() == "seen"
    assert rendered("{% if x %}other{% endif %}") == "other"
    assert file.stat().st_mtime_ns == max(each.stat().st_mtime_ns for each in kept.iterdir())
    for part in (b"", file.read_bytes()[:-20], b"nonsense"):
        file.write_bytes(part)
        assert rendered() == "seen"
    shutil.rmtree(kept)
    kept.write_text("not a folder")
    assert rendered() == "seen"


def test_a_value_of_yaml_keeps_its_type(renderer: Renderer) -> None:
    def value(text: Any) -> Any:
        return renderer.value(text, {}, path=Path("s.yml"), line=3)

    assert value("{{ var('days') }}") == 7
    assert value(["{{ '5' | as_number }}", "{{ 'True' | as_bool }}", "a{{ 1 }}"]) == [5, True, "a1"]
    assert value("{{ '[1, 2]' | as_native }}") == [1, 2]
    assert value("var('days')") == 7
    with pytest.raises(ProjectError, match=r"s\.yml:3: .* cannot be read as a number"):
        value("{{ 'x' | as_number }}")


def test_each_thread_asks_on_its_own_connection(renderer: Renderer, warehouse: Warehouse) -> None:
    adapter = Adapter(renderer.macros.dispatched, renderer.target, Database("", {}))
    source = "{{ run_query('select pg_backend_pid()').columns[0][0] }} {{ greet(name) }}"

    def rendered(name: str) -> tuple[str, str]:
        with warehouse.connect(autocommit=True) as connection, renderer.using(connection):
            own = {"execute": True, "adapter": adapter, "name": name}
            texts = {renderer.render(Path("a.sql"), source, own) for _ in range(20)}
            return f"{connection.info.backend_pid} hello {name}", "".join(texts)

    with ThreadPoolExecutor(3) as threads:
        for expected, found in threads.map(rendered, "abc"):
            assert found == expected
