"""SQL that may give something else tomorrow is told by its words."""

from __future__ import annotations

import pytest

from datapipe.transform.state import words


@pytest.mark.parametrize(
    "sql",
    [
        "select CURRENT_DATE",
        "select * from a where at > now() - interval '1 day'",
        "select 'now'::timestamp",
        "select * from a where day > ' Yesterday '",
        "select age(born) from a",
        "select random() from a",
        "select gen_random_uuid()",
        "select pg_catalog.clock_timestamp ()",
        'select "now"()',
        "select nextval('s')",
        "select current_setting('a.b')",
        "select * from a tablesample system (1)",
        "select E'it\\'s' || localtime",
        "select relname from pg_class",
        "select 'a'::regclass",
        "select * from information_schema.tables",
    ],
)
def test_the_clock_chance_and_the_catalog_are_found(sql: str) -> None:
    assert words.read(sql).unsteady


@pytest.mark.parametrize(
    "sql",
    [
        "select now, random from a -- now()",
        "select /* random() */ 'select now()', $$ now() $$ from a",
        "select age(died, born), age(f(a, b), c) from a",
        "select to_char(at, 'YYYY'), concat(a, b), date_trunc('day', at) from a",
        "select 'nowhere', 'today is' from a tablesample system (1) repeatable (1)",
    ],
)
def test_what_only_looks_like_it_is_not(sql: str) -> None:
    assert words.read(sql).unsteady == ""
