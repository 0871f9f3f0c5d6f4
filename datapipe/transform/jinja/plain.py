"""Renders simple templates without Jinja: those that only call ref, source, config and the like.

Most models are such, and Jinja takes fifty times as long to compile one as it takes to read it
here. A template that may mean anything else is left to Jinja.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jinja2.utils import missing

from datapipe.frozen import frozen
from datapipe.transform.jinja.scope import Variables

_TAG = re.compile(r"\{\{-?(.*?)(-?)\}\}", re.DOTALL)
_CALLED = re.compile(r"(ref|source|config|var|env_var|doc)\s*\((.*)\)", re.DOTALL)
_STRING = r"'[^'\\\n]*'|\"[^\"\\\n]*\""
_NUMBER = r"(?<!\w)\d+(?:\.\d+)?(?![\w.])"
_LITERALS = re.compile(
    # What has matched is never tried in other pieces: that would take exponential time.
    rf"(?>\s+|(?<![\w'\"])(?:{_STRING})(?!['\"])|{_NUMBER}|[A-Za-z_]\w*+|[][(){{}},:=-])*+"
)
_CONSTANTS = {
    "true": True,
    "false": False,
    "none": None,
    "True": True,
    "False": False,
    "None": None,
}

_Value = Callable[[], Any]


@frozen
class _Call:
    name: str
    values: tuple[_Value, ...]
    options: tuple[tuple[str, _Value], ...]


@frozen
class Plain:
    """A template that was read: texts, names and calls in their order."""

    pieces: tuple[str | _Call, ...]

    def text(self, variables: Variables) -> str:
        """What it renders to."""
        return "".join(
            piece if isinstance(piece, str) else str(_called(piece, variables))
            for piece in self.pieces
        )

    def value(self, variables: Variables) -> Any:
        """What it comes to: if it is one call and nothing else, the value keeps its type."""
        pieces = [piece for piece in self.pieces if piece]
        if len(pieces) == 1 and isinstance(pieces[0], _Call):
            return _called(pieces[0], variables)
        return self.text(variables)


class _Unknown(Exception):
    """Raised for what is left to Jinja."""


def read(source: str) -> Plain | None:
    """``source`` as a plain template; None if it has to be left to Jinja."""
    if "{%" in source or "{#" in source or "\r" in source:
        return None
    pieces: list[str | _Call] = []
    end = 0
    trims = False
    for found in _TAG.finditer(source):
        text = source[end : found.start()]
        text = text.lstrip() if trims else text
        pieces.append(text.rstrip() if source.startswith("{{-", found.start()) else text)
        try:
            pieces.append(_expression(found[1].strip()))
        except (_Unknown, SyntaxError, ValueError, RecursionError):
            return None
        trims = bool(found[2])
        end = found.end()
    text = source[end:]
    text = text.removesuffix("\n")
    pieces.append(text.lstrip() if trims else text)
    if any("{{" in piece for piece in pieces if isinstance(piece, str)):
        return None
    return Plain(tuple(pieces))


def _called(call: _Call, variables: Variables) -> Any:
    found = variables.find(call.name)
    if found is missing:
        raise KeyError(call.name)
    if call.name == "this":
        return found
    return found(
        *(value() for value in call.values), **{key: value() for key, value in call.options}
    )


@lru_cache(maxsize=4096)
def _expression(text: str) -> _Call:
    if text == "this":
        return _Call("this", (), ())
    called = _CALLED.fullmatch(text)
    if not called or not _LITERALS.fullmatch(called[2]):
        raise _Unknown
    node = ast.parse(text, mode="eval").body
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise _Unknown
    options = tuple((_named(option), _literal(option.value)) for option in node.keywords)
    if len(dict(options)) < len(options):  # Jinja refuses one that is given twice
        raise _Unknown
    return _Call(node.func.id, tuple(_literal(value) for value in node.args), options)


def _named(option: ast.keyword) -> str:
    if option.arg is None:
        raise _Unknown
    return option.arg


def _literal(node: ast.expr) -> _Value:
    """A function that gives the value anew each time, as whoever gets a list may change it."""
    match node:
        case ast.Constant(value=str() | int() | float() as value):
            return lambda: value
        case ast.Name(id=name) if name in _CONSTANTS:
            return lambda: _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return lambda: -number
        case ast.List(elts=elements):
            items = [_literal(element) for element in elements]
            return lambda: [item() for item in items]
        case ast.Tuple(elts=elements):
            items = [_literal(element) for element in elements]
            return lambda: tuple(item() for item in items)
        case ast.Dict(keys=keys, values=values):
            pairs = [
                (_literal(key), _literal(value))
                for key, value in zip(keys, values, strict=True)
                if key is not None
            ]
            if len(pairs) != len(keys):
                raise _Unknown
            return lambda: {key(): value() for key, value in pairs}
    raise _Unknown
