"""Arguments are taken as dbt users write them."""

from __future__ import annotations

import pytest

from datapipe.cli.arguments import gathered


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("transform --select a b+ --exclude c d -q", "transform|--select|a b+|--exclude|c d|-q"),
        ("ls -s tag:x path:y", "ls|-s|tag:x path:y"),
        ("compile --select=a b --output sql", "compile|--select|a b|--output|sql"),
        ("transform --select --quiet", "transform|--select|--quiet"),
        ("report symbol AAPL --select a b", "report|symbol|AAPL|--select|a|b"),
    ],
)
def test_several_values_after_an_option_that_selects_are_one(given: str, taken: str) -> None:
    assert gathered(given.split()) == taken.split("|")
