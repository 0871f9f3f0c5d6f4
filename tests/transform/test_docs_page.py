"""``datapipe docs``: one HTML file that says of every column where it comes from."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape as html_escape
from pathlib import Path

import psycopg
import pytest

from datapipe.transform import Options, Transformed, docs
from datapipe.transform.docs import drawing

Run = Callable[..., Transformed]
Write = Callable[..., Path]

FILES = {
    "models/raw_like.sql": """
        {{ config(materialized='table') }}
        select 1 as id, 2.5 as price, 'x' as "Mixed Case"
    """,
    "models/between.sql": """
        {{ config(materialized='ephemeral') }}
        with all_of_it as (select * from {{ ref('raw_like') }})
        select *, price * 2 as twice from all_of_it
    """,
    "models/top.sql": """
        select id, twice + price as total, "Mixed Case" from {{ ref('between') }}
        union all
        select code, 0, '' from {{ source('outside', 'codes') }}
    """,
    "models/schema.yml": """
        sources: [{name: outside, schema: shop, tables: [{name: codes, columns: [{name: code}]}]}]
        models:
          - name: top
            description: "Not <b>bold</b>, but *stressed*, and </script>."
            columns: [{name: id, description: The key., data_tests: [not_null]}]
    """,
}


def page(folder: Path, connection: psycopg.Connection | None = None) -> str:
    html, warnings = docs.page(connection, Options(project_dir=folder))
    assert not warnings
    return html


def origins(html: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    found = re.search(r"of (\[\[.*\]\])\) \{", html)
    assert found
    return {
        (node, column): [(of, name) for of, name in columns]
        for node, column, columns in json.loads(found[1])
    }


@pytest.fixture
def built(run: Run, connection: psycopg.Connection) -> None:
    connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.codes AS SELECT 7 AS code")
    run(FILES)


def test_every_column_leads_to_those_it_is_computed_from(
    built: None, write: Write, connection: psycopg.Connection
) -> None:
    found = origins(page(write(FILES), connection))
    assert found["top", "total"] == [("between", "price"), ("between", "twice")]
    assert found["top", "id"] == [("between", "id"), ("outside.codes", "code")]
    assert found["top", "Mixed Case"] == [("between", "Mixed Case")]
    assert found["between", "twice"] == [("raw_like", "price")]
    assert found["raw_like", "price"] == []


def test_columns_are_traced_where_nothing_was_ever_built(write: Write) -> None:
    found = origins(page(write(FILES)))
    assert found["top", "total"] == [("between", "price"), ("between", "twice")]
    assert found["between", "Mixed Case"] == [("raw_like", "Mixed Case")]


TRACED = {
    "select id, extra from (select * from {source}) s": {"id": "id", "extra": "extra"},
    "with s as (select * from {source}) select s.*, 1 as one from s": {
        "id": "id", "*": "*", "one": "",
    },
    "select id, b from {source} join {ref} using (id)": {"id": "id a.id", "b": "a.b"},
    "select (select max(b) + s.extra from {ref}) as m from {source} s": {"m": "extra a.b"},
    "select count(b), to_jsonb(a) as j from {ref} a": {"count": "a.b", "j": "a.b a.id"},
    "select sum(id) over w as s from {ref} window w as (order by b)": {"s": "a.b a.id"},
    "select v from {source}, jsonb_each(doc) as e(k, v) where id in (select 1)": {"v": "doc"},
    "select m from (select id, b from {ref}) a(k, m), lateral (select k) l": {"m": "a.b"},
    "with recursive r as (select * from {ref} union select b, id from r) select * from r": {
        "id": "a.b a.id", "b": "a.b a.id",
    },
    " union all ".join(["select id from {ref}"] * 300): {"id": "a.id"},
}  # fmt: skip


def test_columns_are_traced_also_where_not_all_are_known(write: Write) -> None:
    files = {
        "models/a.sql": "select 1 as id, 2 as b",
        "models/schema.yml": (
            "sources: [{name: outside, tables: [{name: codes, columns: [{name: id}]}]}]"
        ),
    }
    for n, sql in enumerate(TRACED):
        ref, source = "{{ ref('a') }}", "{{ source('outside', 'codes') }}"
        files[f"models/m{n}.sql"] = sql.replace("{ref}", ref).replace("{source}", source)
    found = origins(page(write(files)))
    for n, (sql, columns) in enumerate(TRACED.items()):
        assert {name: of for (node, name), of in found.items() if node == f"m{n}"} == {
            name: sorted(
                (*each.split("."),) if "." in each else ("outside.codes", each)
                for each in of.split()
            )
            for name, of in columns.items()
        }, sql


def test_an_expression_is_shown_as_it_is_written_and_of_every_side_of_a_union(
    write: Write,
) -> None:
    sql = "select (select max(x) from (values (1)) v(x) where x > 0) as a /* why */ union select 2"
    html = page(write({"models/m.sql": sql}))
    shown = "(SELECT MAX(v.x) FROM (VALUES (1)) AS v(x) WHERE x > 0), or 2"
    assert f"<code>{html_escape(shown)}</code>" in html


def test_the_page_says_types_rows_and_the_last_result_of_each_test(
    built: None, write: Write, connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE meta.run_results SET status = 'fail', failures = 3")
    html = page(write(FILES), connection)
    assert "about 1 row<" in html
    assert '<code class="type">numeric</code>' in html
    assert 'class="test fail" title="not_null_top_id: fail on ' in html
    assert ", 3 failures" in html


def test_the_page_needs_no_other_file_and_takes_no_html_from_descriptions(write: Write) -> None:
    html = page(write(FILES))
    assert not re.search(r"(?:src|href)=\"(?!#)", html)
    assert "&lt;b&gt;bold&lt;/b&gt;, but <em>stressed</em>" in html
    assert html.count("</script>") == 1


def test_sql_that_cannot_be_read_is_told_and_the_rest_is_there(write: Write) -> None:
    folder = write({"models/odd.sql": "select 1 as a from (", "models/even.sql": "select 1 as b"})
    html, warnings = docs.page(None, Options(project_dir=folder))
    assert warnings[0].startswith("The columns of odd could not be traced: ")
    assert ("even", "b") in origins(html)


def test_a_node_is_drawn_to_the_right_of_all_that_it_reads() -> None:
    reads = {"a": [], "b": ["a"], "c": ["a", "b"], "d": []}
    drawn = drawing.drawn(reads)
    x = {box.node: box.x for box in drawn.boxes}
    assert x["a"] == x["d"] < x["b"] < x["c"]
    assert set(drawn.lines) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert len({(box.x, box.y) for box in drawn.boxes}) == len(reads)


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_a_browser_runs_the_page_without_an_error(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "docs.html"
    clicked = "document.querySelector('#top button[data-column=total]').click();</script>"
    file.write_text(page(write(FILES)).replace("</script>", clicked))
    options = "--headless --no-sandbox --disable-gpu --no-first-run --enable-logging=stderr"
    profile = f"--user-data-dir={tmp_path}"
    browser = subprocess.run(
        ["chromium", *options.split(), profile, "--dump-dom", f"{file.as_uri()}#top"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ":CONSOLE" not in browser.stderr
    assert 'href="#top" aria-current="page"' in browser.stdout
    trace = browser.stdout.partition('<aside id="trace"')[2]
    assert "Lineage of top.total" in trace
    assert "twice" in trace
    assert "raw_like" in trace
