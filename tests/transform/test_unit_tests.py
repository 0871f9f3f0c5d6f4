"""Unit tests hold what a model makes of given rows against what is expected; no table is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datapipe.errors import RunFailedError, TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]

UNIT = ["test_type:unit"]

ORDERS = {
    "models/orders.sql": """
        with raw as (select * from {{ source('shop', 'orders') }})
        select id, upper(state) as state, amount::numeric(10, 2) as amount, day from raw
    """,
    "models/names.sql": """
        {{ config(materialized='ephemeral') }}
        select id, name from (values (1, 'Ann'::varchar(5))) as v (id, name)
    """,
    "seeds/states.csv": "state,open\nPAID,false\nSENT,true\n",
    "models/open.sql": """
        {{ config(materialized='incremental', unique_key='id') }}
        with orders as (select * from {{ ref('orders') }})
        select o.id, o.amount, n.name, o.day, {{ label() }} as label, {{ run() }} as run
        from orders as o
        join {{ ref('states') }} as s on s.state = o.state and s.open
        left join {{ ref('names') }} as n on n.id = o.id
        {% if is_incremental() %}
        where o.day > (select max(day) from {{ this }})
        {% endif %}
        -- that is all
    """,
    "macros/label.sql": """
        {% macro label() %}'{{ text() }}'{% endmacro %}
        {% macro text() %}{{ var('what', 'order') }} {{ env_var('WHERE_FROM', '') }}{% endmacro %}
        {% macro run() %}'{{ invocation_id }}'{% endmacro %}
    """,
    "models/schema.yml": """
        sources:
          - name: shop
            schema: elsewhere
            tables:
              - name: orders
                columns:
                  - {name: id, data_type: integer}
                  - {name: day, data_type: date}
                  - name: state
    """,
}


def units(*tests: str) -> dict[str, str]:
    """The file of some unit tests, each after its name."""
    import textwrap

    text = "unit_tests:\n"
    for test in tests:
        text += textwrap.indent(textwrap.dedent(test).strip("\n"), "  ") + "\n"
    return {"models/unit.yml": text}


PASSING = units(
    """
    - name: from_the_source_that_is_not_there
      model: orders
      given:
        - input: source('shop', 'orders')
          rows:
            - {id: 1, state: paid, amount: "3.5", day: 2024-01-02}
            - {id: 2}
      expect:
        rows:
          - {id: 2, state: null, amount: null}
          - {id: 1, state: PAID, amount: 3.500}
    """,
    """
    - name: types_come_from_the_parents_own_sql
      model: open
      given:
        - input: ref('orders')
          rows: [{id: 1, state: SENT, day: "2024-01-02"}, {ID: 2, state: PAID}]
        - input: ref('states')
        - {input: ref('names'), rows: [{id: 1, name: longer than five}]}
      expect:
        rows: [{id: 1, name: longer than five, amount: null, label: "order ", day: 2024-01-02}]
    """,
    """
    - name: overridden
      model: open
      overrides:
        macros: {is_incremental: true}
        vars: {what: other}
        env_vars: {WHERE_FROM: here}
      given:
        - input: ref('orders')
          format: csv
          rows: |
            id,state,day
            1,SENT,2024-01-02
            2,SENT,2024-01-03
            3,SENT,
        - {input: ref('states'), format: sql, rows: "select 'SENT' as state, true as open"}
        - {input: ref('names'), rows: []}
        - {input: this, rows: [{day: 2024-01-02}]}
      expect:
        format: csv
        rows: |
          id,name,label
          2,,other here
    """,
    """
    - name: by_sql
      model: open
      overrides: {macros: {shop.label: "'never'", text: replaced, invocation_id: 123}}
      given:
        - {input: ref('orders'), format: sql, rows: "select 7 as id, 'SENT' as state, 2 as amount"}
        - {input: ref('states')}
        - {input: ref('names'), format: sql, rows: "{% if true %}select 7 as id{% endif %}"}
      expect:
        format: sql
        rows: select 2 as amount, 'replaced' as label, '123' as run
    """,
)


def test_unit_tests_need_no_table_and_write_nothing(run: Run, rows: Any) -> None:
    transformed = run({**ORDERS, **PASSING}, select=UNIT)
    assert {test.name: test.status for test in transformed.tests} == {
        "from_the_source_that_is_not_there": "pass",
        "types_come_from_the_parents_own_sql": "pass",
        "overridden": "pass",
        "by_sql": "pass",
    }
    assert transformed.models == ()
    assert rows("select to_regnamespace('shop')") == [(None,)]


def test_a_difference_is_told_cell_by_cell_and_its_model_is_not_built(
    run: Run, rows: Any, connection: Any
) -> None:
    connection.execute(
        "create schema elsewhere; "
        "create table elsewhere.orders (id int, state text, amount float8, day date)"
    )
    failing = units(
        """
        - name: differs
          model: orders
          given:
            - input: source('shop', 'orders')
              rows:
                - {id: 1, state: paid, amount: 1}
                - {id: 2, state: sent, amount: 2}
                - {id: 2, state: sent, amount: 2}
                - {id: 4, state: lost}
          expect:
            rows:
              - {id: 1, state: PAID, amount: 1.0}
              - {id: 2, state: SENT, amount: 2.00}
              - {id: 4, state: LOST, amount: 4}
              - {id: 5, state: "", amount: null}
        """
    )
    with pytest.raises(TestsFailedError) as caught:
        run({**ORDERS, **failing})
    told = str(caught.value).partition("differs (")[2].splitlines()
    assert told[0].endswith("models/unit.yml:2): the result is not what was expected")
    assert [line.strip() for line in told[1:13]] == [
        "1 row differs:",
        "id | state | amount",
        "---+-------+---------------------",
        "4  | LOST  | null (expected 4.00)",
        "1 row is missing:",
        "id | state | amount",
        "---+-------+-------",
        "5  | ''    | null",
        "1 row is surplus:",
        "id | state | amount",
        "---+-------+-------",
        "2  | SENT  | 2.00",
    ]
    ended = {each.name: each.status for each in caught.value.results}
    assert ended == {
        "differs": "fail",
        "orders": "skipped",
        "open": "skipped",
        "states": "success",
    }
    assert rows("select to_regclass('shop.orders')") == [(None,)]


def test_a_mistake_in_a_unit_test_is_told_where_it_is(run: Run) -> None:
    mistakes = units(
        """
        - name: unknown_given
          model: open
          given:
            - input: ref('orders')
              rows: [{idd: 1}]
            - {input: ref('states'), rows: []}
            - {input: ref('names'), rows: []}
          expect: {rows: []}
        - name: unknown_expected
          model: orders
          given: [{input: "source('shop', 'orders')", rows: [{id: 1, state: "", amount: 1}]}]
          expect:
            rows:
              - {total: 1}
        - name: not_given
          model: open
          given: [{input: ref('orders'), rows: []}]
          expect: {rows: []}
        - name: no_number
          model: orders
          given: [{input: "source('shop', 'orders')", rows: [{id: one, state: a, amount: 1}]}]
          expect: {rows: []}
        - name: grows_from_nothing
          model: open
          overrides: {macros: {is_incremental: true}}
          given: []
          expect: {rows: []}
        - name: bad_sql
          model: orders
          given: [{input: "source('shop', 'orders')", rows: [{id: 1, state: a, amount: 1}]}]
          expect: {format: sql, rows: selec 1}
        - name: no_such_column
          model: orders
          given: [{input: "source('shop', 'orders')", rows: []}]
          expect: {rows: []}
        """
    )
    with pytest.raises(RunFailedError) as caught:
        run({**ORDERS, **mistakes}, select=UNIT)
    ended = {each.name: each for each in caught.value.results}
    assert {each.status for each in ended.values()} == {"error"}
    at = {name: (each.path.name, each.line) for name, each in ended.items()}
    assert at == {
        "unknown_given": ("unit.yml", 6),
        "unknown_expected": ("unit.yml", 15),
        "not_given": ("unit.yml", 16),
        "no_number": ("unit.yml", 22),
        "grows_from_nothing": ("unit.yml", 24),
        "bad_sql": ("unit.yml", 32),
        "no_such_column": ("orders.sql", 2),
    }
    assert "a column idd in ref('orders'), which has none of that name" in (
        ended["unknown_given"].message
    )
    assert "The model open reads ref('states'), and the unit test not_given gives no rows" in (
        ended["not_given"].message
    )
    assert 'invalid input syntax for type integer: "one"' in ended["no_number"].message
    assert 'column "amount" does not exist' in ended["no_such_column"].message


def test_values_compare_as_their_types_do(run: Run) -> None:
    values = {
        "1": "1",
        "1.50::numeric": "1.5",
        "'1.5'::float8": "'1.50'",
        "true": "true",
        "date '2020-01-02'": "2020-01-02",
        "timestamp '2013-11-03 00:00:00'": "2013-11-03 00:00:00",
        "timestamptz '2013-11-03 00:00:00+00'": "2013-11-03 02:00:00+02",
        '\'{"a": 1, "b": [2]}\'::json': "{b: [2], a: 1}",
        "'{\"a\": 1}'::jsonb": "'{\"a\":1}'",
        "array['a', 'b c', null]": "[a, b c, null]",
        "'{1,2}'::int[]": "[1, 2]",
        "cast('short' as varchar(5))": "much longer",
        "interval '1 day'": "24 hours",
        "'\\x6162'::bytea": "'\\x6162'",
        "point '(1,2)'": "'(1, 2)'",
    }
    models, tests = {}, []
    for number, (sql, value) in enumerate(values.items()):
        models[f"models/up_{number}.sql"] = f'select {sql} as "GROUP", 1 as other'
        models[f"models/down_{number}.sql"] = f"select * from {{{{ ref('up_{number}') }}}}"
        tests.append(
            f"""
            - name: type_{number}
              model: down_{number}
              given: [{{input: ref('up_{number}'), rows: [{{group: {value}}}, {{}}]}}]
              expect: {{rows: [{{GROUP: {value}}}, {{GROUP: null}}]}}
            """
        )
    transformed = run({**models, **units(*tests)}, select=UNIT)
    assert [test.status for test in transformed.tests] == ["pass"] * len(values)


def test_a_wide_difference_shows_the_columns_that_differ(run: Run) -> None:
    wide = {f"c{number}": f"'{'w' * 20}{number}'" for number in range(12)}
    columns = ", ".join(f"{value} as {name}" for name, value in wide.items())
    given = ", ".join(f"{name}: {value}" for name, value in wide.items())
    with pytest.raises(TestsFailedError) as caught:
        run(
            {
                "models/a.sql": f"select 1 as id, {columns}, 2 as last",
                **units(
                    f"""
                    - name: wide
                      model: a
                      given: []
                      expect: {{rows: [{{id: 1, {given}, last: 3}}]}}
                    """
                ),
            },
            select=UNIT,
        )
    assert [line.strip() for line in str(caught.value).splitlines()[-3:]] == [
        "id | last",
        "---+---------------",
        "1  | 2 (expected 3)",
    ]
