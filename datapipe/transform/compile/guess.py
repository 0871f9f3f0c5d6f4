"""Where an error that came up among the rows is likely to lie: PostgreSQL does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import psycopg

_HIDDEN = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAMED = re.compile(r'"([^"]+)"')
_TYPE = re.compile(
    r"\btype ([a-z][a-z ]*[a-z])|^([a-z][a-z ]*) out of range|^(numeric) field overflow"
)

_DIVISIONS = (r"/(?!\s*nullif\b)|%(?!\s*nullif\b)|\bmod\s*\(|\bdiv\s*\(", r"/")
_SUBQUERIES = (r"(?:[,(=<>+*|-]|\b(?:select|then|else|when|and|or|case))\s*\(\s*select\b",)
_ARITHMETIC = (r"[*+]|\bpower\s*\(|\bexp\s*\(",)
_DATES = (r"::\s*(?:date|time)|\bas\s+(?:date|time)|\bto_(?:date|timestamp)\s*\(|\bmake_date",)
_BY_WORDS = {
    "logarithm": (r"\b(?:ln|log|log10)\s*\(",),
    "square root": (r"\bsqrt\s*\(|\|/",),
    "substring": (r"\bsubstr(?:ing)?\s*\(|\bleft\s*\(|\bright\s*\(",),
    "regular expression": (r"~|\bregexp_\w+\s*\(|\bsimilar\b",),
    "power": (r"\bpower\s*\(|\^",),
    "step size": (r"\bgenerate_series\s*\(",),
    "field position": (r"\bsplit_part\s*\(",),
}
_ALIASES = {
    "integer": "integer|int|int4",
    "bigint": "bigint|int8",
    "smallint": "smallint|int2",
    "double precision": r"double\s+precision|float8|float",
    "real": "real|float4",
    "boolean": "boolean|bool",
    "numeric": "numeric|decimal",
    "character varying": r"character\s+varying|varchar",
    "character": "character|char|bpchar",
    "timestamp": "timestamp",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz|timestamp",
}


def likely_offset(error: psycopg.Error, sql: str) -> int | None:
    """The offset in ``sql`` of what the error is about, as far as its words tell."""
    text = _HIDDEN.sub(lambda found: " " * len(found[0]), sql)
    said = error.diag.message_primary or ""
    for pattern in _patterns(error.sqlstate or "", said):
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return found.end() - 1
    return _named(said, text, again=error.sqlstate == "42701")


def _patterns(state: str, said: str) -> tuple[str, ...]:
    if state == "22012":
        return _DIVISIONS
    if state == "21000":
        return _SUBQUERIES
    for words, patterns in _BY_WORDS.items():
        if words in said:
            return patterns
    type_ = _TYPE.search(said)
    casts = _casts(next(filter(None, type_.groups()))) if type_ else ()
    if state in {"22007", "22008"}:
        return (*casts, *_DATES)
    return (*casts, *_ARITHMETIC) if state == "22003" else casts if state[:2] == "22" else ()


def _casts(type_: str) -> tuple[str, ...]:
    names = _ALIASES.get(type_, re.escape(type_))
    operand = r"(?<![\d)])"  # a cast of what is no number itself
    return (
        rf"{operand}\s*::\s*(?:{names})\b",
        rf"::\s*(?:{names})\b",
        rf"\bcast\s*\((?:(?!\bcast\s*\().)*?\bas\s+(?:{names})\b",
    )


def _named(said: str, text: str, *, again: bool) -> int | None:
    """The first place, or the second, of what the message has in quotes."""
    for name in _NAMED.findall(said):
        places = [found.start() for found in re.finditer(rf"\b{re.escape(name)}\b", text)]
        if places:
            return places[1] if again and len(places) > 1 else places[0]
    return None


def named_line(error: psycopg.Error, source: str) -> int | None:
    """The line of a template that has what the message names, such as a column in its config."""
    offset = _named(error.diag.message_primary or "", source, again=False)
    return None if offset is None else source.count("\n", 0, offset) + 1


def written_in(paths: Iterable[Path], text: str) -> tuple[Path, int] | None:
    """The first of the files that has the first line of ``text``, and the line it has it in."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            if first and first in line:
                return path, number
    return None
