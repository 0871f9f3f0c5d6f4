"""Reads what a Python model refers to; none is ever run, since PostgreSQL runs no Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from datapipe.errors import ProjectError

_ASKING = {"dbt.config", "dbt.ref", "dbt.source"}
_REFUSED = (
    "This is a Python model, which PostgreSQL cannot run, and neither can dbt-postgres: write "
    "it in SQL, set enabled: false for it, or leave it out with --exclude."
)


def as_template(code: str, path: Path) -> str:
    """A template that makes the same calls as the Python in ``code``, each on the same line.

    Raises ProjectError for what is not Python, and for calls whose arguments are not literals.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise ProjectError(
            f"This Python model cannot be read: {error.msg}.", path=path, line=error.lineno
        ) from None
    lines = [""] * (code.count("\n") + 1)
    lines[0] = (
        "{% if execute %}{{ exceptions.raise_compiler_error(" + repr(_REFUSED) + ") }}{% endif %}"
    )
    for call in _calls(tree):
        lines[call.lineno - 1] += f"{{{{ {_written(call, path)} }}}}"
    return "\n".join(lines)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls by which a model tells dbt what it is and what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _ASKING:
            yield node


def _written(call: ast.Call, path: Path) -> str:
    """``call`` as a template writes it."""
    name = ast.unparse(call.func).removeprefix("dbt.")
    try:
        given = [repr(ast.literal_eval(each)) for each in call.args]
        given += [f"{each.arg}={ast.literal_eval(each.value)!r}" for each in call.keywords]
    except ValueError:
        raise ProjectError(
            f"dbt.{name}() takes plain values in a Python model, as it is read without being run.",
            path=path,
            line=call.lineno,
        ) from None
    return f"{name}({', '.join(given)})"
