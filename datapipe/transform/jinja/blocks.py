"""The macros of a file, found without compiling any."""

from __future__ import annotations

import re
from collections.abc import Iterator

import jinja2

from datapipe.frozen import frozen

_KINDS = "macro|test|data_test|materialization|snapshot"
_BLOCK = re.compile(
    r"\{#.*?#\}"
    r"|\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}"
    rf"|\{{%[-+]?\s*(?P<tag>{_KINDS})\s+(?P<name>\w+)"
    rf"|\{{%[-+]?\s*end(?P<end>{_KINDS})\s*[-+]?%\}}",
    re.DOTALL,
)
_UNCLOSED = (
    r"(?s)\{#.*?#\}|\{%[-+]?\s*(?P<end>end)?(?P<tag>if|for|call|filter|with|block|set|raw|"
    rf"{_KINDS})\b(?P<rest>[^%]*)"
)
_ADAPTER = re.compile(r"adapter\s*=\s*['\"](\w+)['\"]")


@frozen
class Block:
    """A macro, generic test or materialization as it is written; ``line`` is where it begins."""

    tag: str
    name: str
    line: int
    source: str


def blocks(source: str) -> Iterator[Block]:
    """The macros and their kin in a file; anything else in it is passed over."""
    opened: re.Match[str] | None = None
    for found in _BLOCK.finditer(source):
        if found["tag"]:
            if opened is not None:  # it was never closed: that is told when it is compiled
                yield _block(source, opened, found.start())
            opened = found
        elif found["end"] and opened is not None and found["end"] == opened["tag"]:
            yield _block(source, opened, found.end())
            opened = None
    if opened is not None:
        yield _block(source, opened, len(source))


def _block(source: str, opened: re.Match[str], end: int) -> Block:
    tag, name = opened["tag"].removeprefix("data_"), opened["name"]
    if tag == "test":
        name = f"test_{name}"
    elif tag == "materialization":
        adapter = _ADAPTER.search(source, opened.end(), source.find("%}", opened.end()))
        name = f"materialization_{name}_{adapter[1] if adapter else 'default'}"
    line = source.count("\n", 0, opened.start()) + 1
    return Block(tag, name, line, source[opened.start() : end])


def without_jinja(source: str) -> str:
    """``source`` without its Jinja; what is left stays on its line."""
    pieces: list[str] = []
    line = 1
    try:
        for at, kind, text in jinja2.Environment(autoescape=True).lex(source):
            if kind == "data":
                pieces += ["\n" * (at - line) or " ", text]
                line = at + text.count("\n")
    except jinja2.TemplateSyntaxError:
        pass
    return "".join(pieces).removeprefix(" ")


def opened(source: str) -> list[tuple[str, int]]:
    """The blocks that are open at the end of ``source``, each with its line, the innermost last."""
    found_open: list[tuple[str, int]] = []
    for found in re.finditer(_UNCLOSED, source):
        tag = found["tag"]
        if not tag or (tag == "set" and not found["end"] and "=" in found["rest"]):
            continue
        if not found["end"]:
            found_open.append((tag, source.count("\n", 0, found.start()) + 1))
        elif found_open and found_open[-1][0] == tag:
            found_open.pop()
    return found_open
