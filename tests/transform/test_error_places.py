"""Each of many mistakes in one project is told with the file and the line to mend."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from datapipe.errors import RunFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

TABLE = "{{ config(materialized='table') }}\n"
NUMBERS = """{% set kinds = [
    'first',
    'secnd'
] %}
with numbers as (select * from {{ ref('numbers') }})
"""
A = "select 1 as id, 'a' as name, 10 as amount"

BROKEN = {
    "cast_of_rows": (
        TABLE + "select id,\n  name::int as n\nfrom {{ ref('a') }}",
        "cast_of_rows.sql:3",
    ),
    "division": (
        TABLE + "select id,\n  amount / (id - 1) as r\nfrom {{ ref('a') }}",
        "division.sql:3",
    ),
    "too_small": (
        TABLE + "select id,\n  (amount * 9999)::smallint\nfrom {{ ref('a') }}",
        "too_small.sql:3",
    ),
    "too_many": (
        TABLE
        + "select id,\n  (select g from generate_series(1, 2) as g) as s\nfrom {{ ref('a') }}",
        "too_many.sql:3",
    ),
    "twice": (TABLE + "select id,\n  id\nfrom {{ ref('a') }}", "twice.sql:3"),
    "date_of_text": (
        TABLE + "select id, 1 / 2 as half,\n  to_date(name, 'YYYY') as d\nfrom {{ ref('a') }}",
        "date_of_text.sql:3",
    ),
    "array_of_text": (
        TABLE + "select id,\n  name::text[] as n\nfrom {{ ref('a') }}",
        "array_of_text.sql:3",
    ),
    "through_view": (TABLE + "select * from {{ ref('unsound') }}", "unsound.sql:2"),
    "star_and_more": (
        TABLE + "select\n  a.*,\n  b.*\nfrom {{ ref('a') }} a join {{ ref('a') }} b using (id)",
        "star_and_more.sql:4",
    ),
    "index_word": (
        "{{ config(materialized='table',\n  indexes=[{'columns': ['select']}]) }}\nselect 1 as id",
        "index_word.sql:2",
    ),
    "no_index": (
        "{{ config(materialized='table',\n  indexes=[{'columns': ['idd']}]) }}\nselect 1 as id",
        "no_index.sql:2",
    ),
    "query": (
        "{% set q %}\nselect relname\nfrom pg_clas\n{% endset %}{% do run_query(q) %}select 1",
        "query.sql:3",
    ),
    "query_of_a": (
        "{% set q %}select id\nform {{ ref('a') }} as t{% endset %}{% do run_query(q) %}select 1",
        "query_of_a.sql:2",
    ),
    "no_end": ("select\n  {{ halved('id') }} as half\nfrom {{ ref('a') }}", "broken.sql:35"),
    "star_of_two": (
        TABLE + "select *\nfrom {{ ref('a') }} a\njoin {{ ref('a') }} b on a.id = b.id",
        "star_of_two.sql:2",
    ),
    "counted_twice": (
        TABLE + "select count(*),\n  count(name)\nfrom {{ ref('a') }}",
        "counted_twice.sql:3",
    ),
    "no_comma": ("select\n  1 as one\n  2 as two", "no_comma.sql:2?"),
    "too_much": ("select\n  1 as one,\nfrom {{ ref('a') }}", "too_much.sql:2 one too many?"),
    "closed_twice": ("select\n  (1)) as one,\n  2 as two", "closed_twice.sql:2: "),
    "unclosed": (
        "select\n  'paid as state,\n  'x' as kind\nfrom {{ ref('a') }}\nwhere name = 'paid'",
        "unclosed.sql:2",
    ),
    "grouped": (
        "select\n  id,\n  max(amount) as most\nfrom {{ ref('a') }}",
        "grouped.sql:3 makes groups",
    ),
    "twice_outside": (
        TABLE
        + "with b as (select id, id as more from {{ ref('a') }})\nselect\n  id,\n  id\nfrom b",
        "twice_outside.sql:5",
    ),
    "unlike": (
        TABLE + "select now() as at group by 1\nunion all select 'x'::text as at group by 1",
        "unlike.sql:3",
    ),
    "given_nothing": ("select\n  1,\n  {{ half() }}", "given_nothing.sql:3"),
    "no_setting": (
        "{% if execute %}{{ half(\n  column=nothing_there\n) }}{% endif %} select 1",
        "no_setting.sql:2",
    ),
    "query_of_macro": ("select '{{ asked() }}' as id", "broken.sql:4"),
    "after_query": (
        "{% set r = run_query('select 1') %}\nselect 1 as id,\n  {{ r.rows | length }} as n,\n  no",
        "after_query.sql:4",
    ),
    "after_macro": (
        "{% set t %}{{ 'a' }}{% endset %}\nselect\n  {{ named(t) }} as id,\n  no",
        "after_macro.sql:4",
    ),
    "macro_in_loop": (
        "select\n{% for c in ['id'] %}\n{{ half(c) }} as h,\n{% endfor %}\n1 from {{ ref('a') }}",
        "broken.sql:8",
    ),
    "metadata": (
        "{%- set metadata -%}\nkeys:\n  - id\n  - nome\n{%- endset -%}\n{{ listed(metadata) }}",
        "metadata.sql:4",
    ),
    "endless": ("select {% if execute %}{{ endless() }}{% endif %}", "broken.sql:15"),
    "through_ephemeral": ("select * from {{ ref('hidden') }}", "hidden.sql:3"),
    "misspelt": ("select\n  {{ hal('x') }}", "misspelt.sql:2"),
    "comment": ("select 1 as one,\n  // the second\n  2 as two", "comment.sql:2"),
    "unmerged": (
        "select 1 as one,\n<<<<<<< HEAD\n  2 as two\n=======\n  2 as deux\n>>>>>>> more\n",
        "unmerged.sql:2",
    ),
    "case_next": (
        "select\n  id\n  case\n    when id = 1 then 2\n  end as n\nfrom {{ ref('a') }}",
        "case_next.sql:2?",
    ),
    "unlike_else": (
        "select\n  case when id = 1 then 'one'\n    else 0\n  end as n\nfrom {{ ref('a') }}",
        "unlike_else.sql:3.",
    ),
    "no_from": ("select id\nform {{ ref('a') }}", "no_from.sql:2"),
    "no_group": ("select id\nfrom {{ ref('a') }}\ngruop by id", "no_group.sql:3"),
    "no_select": ("slect\n  id, name\nfrom {{ ref('a') }}", "no_select.sql:1"),
    "no_comma_before_a_call": ("select id\n  abs(id) as a\nfrom {{ ref('a') }}", "call.sql:1?"),
    "no_space": ("select id,\n  \u00a0id as b\nfrom {{ ref('a') }} t", "no_space.sql:2"),
    "no_such_item": (
        NUMBERS + "select {% for k in kinds %}a.{{ k }}_n, {% endfor %} 1\nfrom numbers as a",
        "no_such_item.sql:3",
    ),
    "no_comma_in_list": (
        "{% set c = [\n  'id'\n  'name'] %}\nselect {{ c | join(', ') }}\nfrom {{ ref('a') }}",
        "no_comma_in_list.sql:2",
    ),
    "comment_left_open": (
        "{# the first\nselect\n  {# the second #}\n  1 as one",
        "comment_left_open.sql:1",
    ),
    "set_in_comment": (
        "{# of all\n{% set one = 1 %}\n{# of one #}\nselect {{ one.x }}",
        "set_in_comment.sql:1",
    ),
    "ordered_by_two": (
        "select\n  a.id,\n  b.id\nfrom {{ ref('a') }} a, {{ ref('a') }} b\norder by id",
        "ordered_by_two.sql:3",
    ),
    "called_at": ("select\n  {{ half('id') }}\nfrom {{ ref('a') }}", "called_at.sql:2."),
    "no_as": ("with b (\n  select 1 as id\n)\nselect * from b", "no_as.sql:1"),
    "macro_left_open": (
        "select\n  {{ opened('id') }} as n\nfrom {{ ref('a') }}",
        "broken.sql:21",
    ),
    "twice_below": (
        "with b as (select a.*,\n  c.*\nfrom {{ ref('a') }} a, {{ ref('a') }} c)\nselect * from b",
        "twice_below.sql:2",
    ),
    "by_own_materialization": (
        "{{ config(materialized='filled') }}\nselect id,\n  amuont\nfrom {{ ref('a') }}",
        "by_own_materialization.sql:3",
    ),
    "rows_by_own_materialization": (
        "{{ config(materialized='filled') }}\nselect\n  1 / (id - 1) as r\nfrom {{ ref('a') }}",
        "rows_by_own_materialization.sql:3",
    ),
    "no_join": (
        "select a.id\nfrom {{ ref('a') }}\nlef join {{ ref('numbers') }} on true",
        "no_join.sql:3",
    ),
    "named_twice": (
        "select id.id\nfrom {{ ref('a') }} id, {{ ref('a') }} a\njoin {{ ref('a') }} as a on true",
        "named_twice.sql:3",
    ),
    "no_when": ("select\n  case\n    else 0\n  end as n", "no_when.sql:3"),
    "nothing_there": (
        "{% set t = none %}\nselect id\nfrom {{ ref('a') }}\nwhere id < {{ t.most }}\norder by 1",
        "nothing_there.sql:4",
    ),
    "given_nothing_above": ("select\n  1 {{ above() }}\n, 2", "given_nothing_above.sql:2"),
    "left_open_in_ephemeral": ("select * from {{ ref('left_open') }}", "left_open.sql:3"),
    "unit_of_time": (
        TABLE + "with b as (select now()::date as day)\nselect\n  extract(isodo from day)\nfrom b",
        "unit_of_time.sql:4",
    ),
    "too_big_below": (
        TABLE + "with b as (select * from {{ ref('too_big') }})\nselect * from b",
        "too_big.sql:2",
    ),
    "no_interval": ("select 2 as two,\n  {{ later('quarter') }} as at", "no_interval.sql:2"),
    "not_loaded": ("select *\nfrom {{ source('crm', 'people') }}", "not_loaded.sql:2"),
}
MACROS = """
{% macro asked() %}
{% set q %}
select relname,
       reltuple from pg_class
{% endset %}{{ return(run_query(q)) }}
{% endmacro %}
{% macro half(column) -%}
  {{ column }}_ / 2
{%- endmacro %}
{% macro named(name) %}
{% if name | length > 1 %}{{ exceptions.raise_compiler_error('no ' ~ name) }}{% endif %}
{{ return("'x'") }}
{% endmacro %}
{% macro endless() %}
{{ endless() }}
{% endmacro %}
{% macro listed(metadata) %}
select {{ fromyaml(metadata)['keys'] | join(', ') }} from {{ ref('a') }}
{% endmacro %}
{% macro opened(column) %}
  round({{ column }}
{% endmacro %}
{% materialization filled, default %}
{% call statement('main') %}
create table {{ this }} as
{{ sql }}
{% endcall %}
{{ return({'relations': [this]}) }}
{% endmaterialization %}
{% macro above(what) %}
  = {{ what }}
  and true
{% endmacro %}
{% macro halved(what) %}
  case when {{ what }} = 0 then 1
  else {{ what }} / 2
{% endmacro %}
"""
LATER = """
{% macro later(part) %}
{% for number in range(1, 2) %}
{{ dbt.dateadd(part, number, 'now()') }}
{% endfor %}
{% endmacro %}
"""


def test_every_broken_model_is_told_with_its_file_and_line(run: Run) -> None:
    models = {f"models/{name}.sql": source for name, (source, _) in BROKEN.items()}
    hidden = "{{ config(materialized='ephemeral') }}\nselect id,\n  amout\nfrom {{ ref('a') }}"
    unsound = "select id,\n  name::int as n\nfrom {{ ref('a') }}"
    models |= {"models/unsound.sql": unsound}
    models |= {"models/too_big.sql": "select id,\n  (amount * 9999)::smallint\nfrom {{ ref('a') }}"}
    left_open = (
        "{{ config(materialized='ephemeral') }}\nselect id from {{ ref('a') }}\ngroup by id,"
    )
    models |= {"models/left_open.sql": left_open}
    models |= {"models/numbers.sql": "select 1 as first_n, 2 as second_n"}
    models |= {"models/crm.yml": "sources:\n  - name: crm\n    tables:\n      - name: people\n"}
    models |= {"models/a.sql": A, "models/hidden.sql": hidden, "macros/broken.sql": MACROS}
    models |= {"macros/later.sql": LATER}
    with pytest.raises(RunFailedError) as caught:
        run(models)
    told = str(caught.value)
    for name, (_, place) in BROKEN.items():
        assert (place if place[-1] in " ?s." else f"{place}: ") in told, name
    assert "Did you mean half?" in told
    assert "It was called for query_of_macro at " in told
    assert "pg_class.reltuples" in told
    # Servers before 18 say of one more where it is.
    assert told.count("it is likely here") in {17, 18}
    loaded = r"There is no schema crm\. It is the table people of the source crm \(.*crm\.yml:4\)"
    assert re.search(loaded, told)


def test_a_mistake_keeps_its_line_where_templates_are_kept_and_they_do_not_keep_its_marks(
    run: Run, rows: Callable[..., list[tuple[str]]], tmp_path: Path
) -> None:
    macro = "{% macro told(of) %}\n{% if of %}'{{ of }}'{% endif %}\n{% endmacro %}"
    broken = TABLE + "select {{ told('a') }} as a{% if true %},\n  1 / 0{% endif %} as b"
    files = {"macros/told.sql": macro, "models/broken.sql": broken}
    kept = tmp_path / "cache"
    for _ in range(2):
        with pytest.raises(RunFailedError, match=r"broken\.sql:3: "):
            run(files, cache_dir=kept)
    run({"models/broken.sql": broken.replace("1 / 0", "{{ told('b') }}")}, cache_dir=kept)
    assert rows("select trim(a), trim(b) from shop.broken") == [("a", "b")]


SETTINGS = {
    "dbt_project.yml": """name: shop
seeds:
  shop:
    +column_types:
      price: monney
models:
  shop:
    hooked:
      +pre_hook: "select {{ thsi }}"
    in_a_block:
      +post_hook:
        - |
          insert into
          no_such_table values (1)
""",
    "models/a.sql": A,
    "models/typed.sql": "select id, name from {{ ref('a') }}",
    "models/indexed.sql": TABLE + A,
    "models/unfit.sql": TABLE + "select id, nullif(name, 'a') as name from {{ ref('a') }}",
    "models/hooked/hooked.sql": A,
    "models/in_a_block/hooked_too.sql": A,
    "functions/one_more.sql": "select 1",
    "functions/one_more.yml": "functions:\n  - name: one_more\n    arguments:\n"
    "      - name: x\n        data_type: intt\n    returns: {data_type: int}\n",
    "models/tested.sql": A,
    "models/schema.yml": """models:
  - name: typed
    config:
      contract: {enforced: true}
    columns:
      - name: id
        data_type: integer
      - name: name
        data_type: date
  - name: indexed
    config:
      indexes:
        - columns: [ident]
  - name: unfit
    config:
      contract: {enforced: true}
    columns:
      - name: id
        data_type: integer
      - name: name
        data_type: text
        constraints:
          - type: not_null
  - name: tested
    columns:
      - name: id
        data_tests:
          - relationships:
              to: ref('a')
              field: idd
  - name: promised
    config:
      contract: {enforced: true}
    columns:
      - name: ident
        data_type: integer
unit_tests:
  - name: divides
    model: divided
    given:
      - {input: ref('a'), rows: [{id: 1, amount: 3}]}
    expect: {rows: [{id: 1, r: 3}]}
""",
    "models/divided.sql": "select id,\n  amount / (id - 1) as r\nfrom {{ ref('a') }}",
    "models/promised.sql": "select 1 as id",
    "seeds/prices.csv": "price\n1\n",
    "snapshots/kept.sql": """{% snapshot kept %}
{{ config(
    strategy='check',
    check_cols=['name'],
    unique_key='ident',
) }}
select * from {{ ref('a') }}
{% endsnapshot %}""",
}
PLACES = (
    *("dbt_project.yml:5", "dbt_project.yml:9", "schema.yml:9", "schema.yml:13", "schema.yml:23"),
    *("dbt_project.yml:14", "one_more.yml:5"),
    *("schema.yml:30", "kept.sql:5", "divided.sql:2", "schema.yml:35"),
)


def test_every_broken_setting_is_told_with_its_file_and_line(run: Run) -> None:
    with pytest.raises(RunFailedError) as caught:
        run(SETTINGS)
    told = str(caught.value)
    for place in PLACES:
        assert f"{place}: " in told, place


def test_a_misspelt_check_col_is_told_before_every_row_gets_a_new_version(run: Run) -> None:
    checked = """{% snapshot checked %}
{{ config(strategy='check', unique_key='id',
    check_cols=['nom']) }}
select * from {{ ref('a') }}
{% endsnapshot %}"""
    run({"models/a.sql": A, "snapshots/checked.sql": checked})
    with pytest.raises(RunFailedError, match=r"checked\.sql:3: The query .* no column nom"):
        run({"models/a.sql": A.replace("10", "11"), "snapshots/checked.sql": checked})
