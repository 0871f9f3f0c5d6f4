"""Arguments as dbt users write them: ``--select a b`` is one option with two values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_TAKE_SEVERAL = {
    *("--select", "-s", "--models", "-m", "--exclude"),
    *("--resource-type", "--output-keys"),
}
_COMMANDS = {"transform", "ls", "compile", "freshness", "verify", "docs"}


def gathered(arguments: Iterable[str]) -> list[str]:
    """The arguments, with the values after such an option put together into one.

    Only for the commands that select, none of which takes an argument without a name.
    """
    given = list(arguments)
    command = next((each for each in given if not each.startswith("-")), "")
    return list(_gathered(given)) if command in _COMMANDS else given


def _gathered(arguments: list[str]) -> Iterator[str]:
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        name, equals, value = argument.partition("=")
        if name not in _TAKE_SEVERAL:
            yield argument
            continue
        values = [value] if equals else []
        while position < len(arguments) and not arguments[position].startswith("-"):
            values.append(arguments[position])
            position += 1
        yield name
        if values:
            yield " ".join(values)
