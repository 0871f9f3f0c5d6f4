"""Seeds are typed as dbt types them, and built, tested and published like models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe.errors import ProjectError, TestsFailedError
from datapipe.transform import Transformed

Run = Callable[..., Transformed]
Write = Callable[..., Path]

TYPES = """
    select column_name, data_type from information_schema.columns
    where table_schema = 'shop' and table_name = %s order by ordinal_position
"""
SEEDS = {
    "dbt_project.yml": "name: shop\nprofile: shop\nseeds: {+schema: shop}\nmodels: {+schema: shop}"
}


INFERRED = [
    (["1", "-2", ""], "integer", [1, -2, None]),
    (['"1,000"', "$5"], "integer", [1000, 5]),
    (["1e3", "2.0"], "integer", [1000, 2]),
    (["1.5", "2"], "double precision", [1.5, 2.0]),
    (["50%", "null"], "integer", [50, None]),
    (["3000000000", "1"], "bigint", [3000000000, 1]),
    (["-2147483648", "2147483647"], "integer", [-2147483648, 2147483647]),
    (["TRUE", "false", "Null"], "boolean", [True, False, None]),
    (["NA", "NAN", "TRUE", "INF", "E"], "text", ["NA", "NAN", "TRUE", "INF", "E"]),
    (["NAN", "INF"], "text", ["NAN", "INF"]),
    (["007", "1A"], "text", ["007", "1A"]),
    (["n/a", "none", "NULL", " "], "text", ["n/a", "none", None, None]),
    (["t", "true"], "text", ["t", "true"]),
    (['" a "', "b"], "text", [" a ", "b"]),
    (["", ""], "integer", [None, None]),
]


def test_types_are_inferred_as_dbt_infers_them(run: Run, rows: Any) -> None:
    seeds = {f"s{number}": values for number, (values, _, _) in enumerate(INFERRED)}
    files = {
        f"seeds/{name}.csv": "n,value\n"
        + "".join(f"{n},{value}\n" for n, value in enumerate(values))
        for name, values in seeds.items()
    }
    run({**SEEDS, **files})
    for (name, values), (_, type_, stored) in zip(seeds.items(), INFERRED, strict=True):
        assert rows(TYPES, name) == [("n", "integer"), ("value", type_)], values
        assert [row[0] for row in rows(f"select value from shop.{name} order by n")] == stored


def test_dates_and_times_are_those_that_dbt_reads(run: Run, rows: Any) -> None:
    run(
        {
            **SEEDS,
            "seeds/s.csv": """
                day,at,iso,mixed,other
                2026-01-02,2026-01-02 03:04:05,2026-01-02T03:04:05Z,2026-01-02,01/02/2026
                ,2026-01-02 00:00:00,2026-01-02T03:04:05,2026-01-02 03:04:05,02/02/2026
            """,
        }
    )
    stamp = "timestamp without time zone"
    assert rows(TYPES, "s") == [
        ("day", "date"), ("at", stamp), ("iso", stamp), ("mixed", "text"), ("other", "text"),
    ]  # fmt: skip
    assert rows(
        "select iso = '2026-01-02 03:04:05+00'::timestamptz::timestamp from shop.s "
        "where day is not null"
    ) == [(True,)]


def test_a_seed_has_types_names_delimiter_tests_and_indexes_of_its_own(run: Run, rows: Any) -> None:
    transformed = run(
        {
            "dbt_project.yml": """
                name: shop
                profile: shop
                models: {+schema: shop}
                seeds:
                  shop:
                    +schema: shop
                    codes: {+delimiter: ";", +quote_columns: false}
            """,
            "seeds/codes/symbols.csv": "\ufeffSymbol;Weight;Since\nNA;1.50;\nTRUE;;2026-01-02\n",
            "seeds/codes/seeds.yml": """
                seeds:
                  - name: symbols
                    description: What we watch.
                    config:
                      alias: watched
                      column_types: {Weight: "numeric(6,2)", Since: timestamptz}
                      indexes: [{columns: [symbol], unique: true}]
                      persist_docs: {relation: true}
                    columns:
                      - {name: symbol, data_tests: [unique, not_null]}
            """,
            "models/heavy.sql": "select symbol from {{ ref('symbols') }} where weight > 1",
        }
    )
    assert rows(TYPES, "watched") == [
        ("symbol", "text"), ("weight", "numeric"), ("since", "timestamp with time zone"),
    ]  # fmt: skip
    assert rows("select symbol, weight::text from shop.watched order by 1") == [
        ("NA", "1.50"), ("TRUE", None),
    ]  # fmt: skip
    assert rows("select symbol from shop.heavy") == [("NA",)]
    assert rows("select obj_description('shop.watched'::regclass)") == [("What we watch.",)]
    assert rows("select count(*) from pg_indexes where tablename = 'watched'") == [(1,)]
    assert {test.name for test in transformed.tests} == {
        "unique_symbols_symbol", "not_null_symbols_symbol",
    }  # fmt: skip
    assert [(model.name, model.materialized, model.rows) for model in transformed.models] == [
        ("symbols", "seed", 2), ("heavy", "view", None),
    ]  # fmt: skip
    assert rows("select resource_type, relation_name from meta.models where name = 'symbols'") == [
        ("seed", "watched")
    ]


def test_a_failed_test_of_a_seed_keeps_what_was_published(run: Run, rows: Any) -> None:
    yaml = "seeds: [{name: s, columns: [{name: id, data_tests: [unique]}]}]"
    run({**SEEDS, "seeds/s.csv": "id\n1\n", "seeds/s.yml": yaml})
    with pytest.raises(TestsFailedError):
        run({"seeds/s.csv": "id\n2\n2\n"})
    assert rows("select id from shop.s") == [(1,)]
    run({"seeds/s.csv": "id\n3\n"})
    assert rows("select id from shop.s") == [(3,)]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "file is empty"),
        ("a,b\n1,2\n1,2,3\n", 3, "3 values, but there are 2 columns"),
        ("a,a\n1,2\n", 1, "name of its own"),
        ('a,b\n"x\ny",1\n"x",bad\n', 4, "does not take this row in the column b"),
    ],
)
def test_a_mistake_in_a_seed_is_found_at_its_line(
    run: Run, rows: Any, text: str, line: int, said: str
) -> None:
    yaml = "seeds: [{name: s, config: {column_types: {b: int}}}]"
    with pytest.raises(ProjectError, match=said) as caught:
        run({**SEEDS, "seeds/s.csv": text, "seeds/s.yml": yaml})
    assert caught.value.line == line
    assert caught.value.path is not None
    assert caught.value.path.name == "s.csv"
    assert rows("select 1 from pg_namespace where nspname = 'shop'") == []


def test_names_that_are_no_names_without_quotes_are_told(run: Run) -> None:
    with pytest.raises(ProjectError, match="quote_columns"):
        run(
            {
                "dbt_project.yml": "name: shop\nseeds: {+schema: shop, +quote_columns: false}",
                "seeds/s.csv": "first name\nAnn\n",
            }
        )


def test_a_model_and_a_seed_of_one_name_are_refused(run: Run) -> None:
    with pytest.raises(ProjectError, match="a model and a seed called a"):
        run({**SEEDS, "models/a.sql": "select 1 as id", "seeds/a.csv": "id\n1\n"})


def test_rows_that_are_too_short_end_in_nulls(
    run: Run, rows: Any, connection: psycopg.Connection
) -> None:
    run({**SEEDS, "seeds/s.csv": "a,b\n1,x\n2\n\n"})
    assert rows("select a, b from shop.s order by a") == [(1, "x"), (2, None), (None, None)]


def test_a_seed_in_place_of_a_packages_own_has_what_its_yaml_says(run: Run, rows: Any) -> None:
    run(
        {
            "dbt_project.yml": """
                name: shop
                seeds:
                  +schema: shop
                  pack: {codes: {+enabled: false}}
            """,
            "seeds/codes.csv": "code\n007\n",
            "packages.yml": "packages: []",
            "dbt_packages/pack/dbt_project.yml": "name: pack",
            "dbt_packages/pack/seeds/codes.csv": "code\n",
            "dbt_packages/pack/seeds/seeds.yml": """
                seeds: [{name: codes, config: {column_types: {code: text}}}]
            """,
        }
    )
    assert rows("select code from shop.codes") == [("007",)]


def test_a_quote_that_is_never_closed_is_told_where_it_opens(run: Run) -> None:
    with pytest.raises(ProjectError, match=r"open\.csv:3: A quote opens"):
        run({"seeds/open.csv": 'id,name\n1,5" pipe\n2,"short\n3,long\n'})


def test_a_table_keeps_its_columns_and_their_types_until_a_full_refresh(
    run: Run, rows: Any
) -> None:
    run({**SEEDS, "seeds/s.csv": "id,price,name,gone\n1,5,a,x\n"})
    (warning,) = run({"seeds/s.csv": "name,id,price\n2.50,1,2.5\n,2,3.5\n"}).warnings
    assert "name (text, not double precision), price (integer, not double precision)" in warning
    assert rows("select * from shop.s order by id") == [(1, 3, "2.50", None), (2, 4, None, None)]
    with pytest.raises(ProjectError, match="run once with --full-refresh"):
        run({"seeds/s.csv": "name,id,price\na,1,cheap\n"})
    assert rows("select id, price from shop.s order by id") == [(1, 3), (2, 4)]
    run(full_refresh=True)
    assert rows("select * from shop.s") == [("a", 1, "cheap")]
    run({"seeds/s.csv": "name,id,price,more\na,1,cheap,1\n"})  # which dbt does not take
    assert rows("select * from shop.s") == [("a", 1, "cheap", 1)]
