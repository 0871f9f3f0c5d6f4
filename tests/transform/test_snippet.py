"""Below a message stands the line it is about, and marks where that is certain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datapipe.errors import ProjectError, RunFailedError
from datapipe.transform import Transformed
from datapipe.transform.project import yaml_parser
from datapipe.transform.snippet import shown, snippet

Run = Callable[..., Transformed]

# What stands below each message; models of one line each, or the last line of them.
MARKED = {
    "relname is there, too, and nothing is marked once": (
        "select relname, nothing, (nothing) from pg_class",
        "select relname, nothing, (nothing) from pg_class",
        "                ^^^^^^^",
    ),
    "behind a tag the rest of the line is the same": (
        "select {{ 1 }} as a, (relname == 'a') = (relname = 'a') from pg_class",
        "select {{ 1 }} as a, (relname == 'a') = (relname = 'a') from pg_class",
        "                              ^^",
    ),
    "between tags it is the only one": (
        "select {{ 1 }} + nothing + {{ 2 }} as a from pg_class",
        "select {{ 1 }} + nothing + {{ 2 }} as a from pg_class",
        "                 ^^^^^^^",
    ),
    "what a tag gave is marked in a tag": (
        "select {{ 'noth' ~ 'ing' }}, 'nothing' from pg_class {{ '' }}",
        "select {{ 'noth' ~ 'ing' }}, 'nothing' from pg_class {{ '' }}",
        None,
    ),
    "an item of a list is marked where it is written": (
        "select {% for c in ['oid', 'nothing'] %}{{ c }} as {{ c }}_, {% endfor %} 1 from pg_class",
        "select {% for c in ['oid', 'nothing'] %}{{ c }} as {{ c }}_, {% en...",
        "                            ^^^^^^^",
    ),
    "tabs and wide letters": (
        "select '価格' as\t\"価格\",\t\tnothing from pg_class",
        "select '価格' as\t\"価格\",\t\tnothing from pg_class",
        "                \t       \t\t^^^^^^^",
    ),
    "what is told to be likely is not marked": (
        "{{ config(materialized='table') }} select 1 / (count(*) - count(*)) as a from pg_class",
        "{{ config(materialized='table') }} select 1 / (count(*) - count(*)) as a from pg_class",
        None,
    ),
}


def test_what_is_wrong_is_marked_where_that_is_certain(run: Run) -> None:
    names = {f"m{number}": case for number, case in enumerate(MARKED.values())}
    models = {f"models/{name}.sql": source for name, (source, *_) in names.items()}
    with pytest.raises(RunFailedError) as caught:
        run(models)
    told = {each.name: each.message for each in caught.value.results}
    for name, (_, line, marks) in names.items():
        wanted = f"\n  1 | {line}" + (f"\n    | {marks}" if marks else "")
        assert told[name].endswith(wanted), told[name]


def test_marks_stand_right_in_what_is_cut_out_of_a_long_line(tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    path.write_text(f"select {'a, ' * 60}wrong, {'b, ' * 60}c")
    _, cut, marks = snippet(path, 1, about="wrong", column=187).split("\n")
    assert len(cut) <= 80
    assert cut[marks.index("^") : marks.rindex("^") + 1] == "wrong"


def test_what_an_error_is_about_is_marked_if_it_stands_there_once(tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    path.write_text("{{ reff('a') }}\n{{ reff(reff('a')) }}")
    once, twice = (
        str(shown(ProjectError("There is no reff.", path=path, line=line, about="reff")))
        for line in (1, 2)
    )
    assert once.endswith("\n  1 | {{ reff('a') }}\n    |    ^^^^")
    assert twice.endswith("\n  2 | {{ reff(reff('a')) }}")


def test_the_name_of_a_model_that_is_not_there_is_marked(run: Run) -> None:
    with pytest.raises(ProjectError) as caught:
        run({"models/a.sql": "select * from {{ ref('nowhere') }} as ref"})
    assert str(caught.value).endswith(
        "ref('nowhere') }} as ref\n    |                       ^^^^^^^"
    )


def test_yaml_is_marked_where_its_parser_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("models:\n  - name: a\n    description: one: two\n")
    with pytest.raises(ProjectError) as caught:
        yaml_parser.parse(path.read_text(), path)
    assert str(caught.value).endswith(
        "\n  3 |     description: one: two\n    |                     ^"
    )
