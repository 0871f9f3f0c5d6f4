"""Jinja in YAML: a value that is one expression keeps its type, as a list does."""

from __future__ import annotations

import ast
from typing import Any

import jinja2
from jinja2.nativetypes import NativeCodeGenerator

from datapipe.errors import ProjectError
from datapipe.transform.jinja.scope import Variables
from datapipe.transform.jinja.templates import SqlEnvironment


class NativeEnvironment(SqlEnvironment):
    """Renders values out of YAML: what is one expression keeps its type."""

    code_generator_class = NativeCodeGenerator

    def __init__(self) -> None:
        super().__init__()
        self.filters |= {
            "as_text": str,
            "as_bool": lambda value: _Typed(value, (bool,)),
            "as_number": lambda value: _Typed(value, (int, float)),
            "as_native": lambda value: _Typed(value, (object,)),
        }

    def value(self, template: jinja2.Template, variables: Variables) -> Any:
        """What ``template`` renders to, in its own type if it is a single expression."""
        pieces = list(self.pieces(template, variables))
        if len(pieces) != 1:
            return "".join(map(str, pieces))
        return pieces[0].native() if isinstance(pieces[0], _Typed) else pieces[0]


class _Typed(str):
    """A text that a filter asks to be read as a literal of one of ``types``."""

    types: tuple[type, ...]

    def __new__(cls, value: Any, types: tuple[type, ...]) -> _Typed:
        typed = super().__new__(cls, value)
        typed.types = types
        return typed

    def native(self) -> Any:
        try:
            value: Any = ast.literal_eval(self)
        except (ValueError, SyntaxError, MemoryError):
            value = str(self)
        if not isinstance(value, self.types) or (isinstance(value, bool) and int in self.types):
            wanted = "bool" if self.types == (bool,) else "number"
            raise ProjectError(f"The value {str(self)!r} cannot be read as a {wanted}.")
        return value
