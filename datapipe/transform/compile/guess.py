"""Where an error that came up among the rows is likely to lie: PostgreSQL does not say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

import psycopg

from datapipe.transform.compile.selects import all_selected, brackets_round
from datapipe.transform.database.quoting import hidden
from datapipe.transform.manifest.nodes import Column

_JOIN = re.compile(r"\bjoin\b", re.IGNORECASE)
_NAMED = re.compile(r'"([^"]+)"')
_TYPE = re.compile(
    r"\btype ([a-z][a-z ]*[a-z])|^([a-z][a-z ]*) out of range|^(numeric) field overflow"
    r"|^malformed (array|record|range) literal"
)

# What no row can make zero needs no look: a number, or what nullif() guards.
_NOT_ZERO = r"(?!\s*nullif\b)(?!\s*[\d.]*[1-9])"
_DIVISIONS = (rf"(?:/|%){_NOT_ZERO}|\bmod\s*\(|\bdiv\s*\(", r"/|%")
_SUBQUERIES = (r"(?:[,(=<>+*|-]|\b(?:select|then|else|when|and|or|case))\s*\(\s*select\b",)
# A star with nothing behind it to multiply stands for columns.
_ARITHMETIC = (r"\+|\*(?=\s*[\w('\"-])(?!\s*from\b)|\bpower\s*\(|\bexp\s*\(",)
_BEHIND_A_TABLE = (
    "on|using|where|join|left|right|inner|full|cross|natural|group|order|having|window|limit"
    "|offset|fetch|for|union|except|intersect|tablesample"
)
_LISTS_TABLES = re.compile(r"\bfrom\b(?:(?!\b(?:select|where|by|having|on)\b).)*\Z", re.I | re.S)
_DATES = (r"::\s*(?:date|time)|\bas\s+(?:date|time)|\bto_(?:date|timestamp)\s*\(|\bmake_date",)
_BY_WORDS = {
    "logarithm": (r"\b(?:ln|log|log10)\s*\(",),
    "square root": (r"\bsqrt\s*\(|\|/",),
    "substring": (r"\bsubstr(?:ing)?\s*\(|\bleft\s*\(|\bright\s*\(",),
    "regular expression": (r"~|\bregexp_\w+\s*\(|\bsimilar\b|\bsubstring\s*\(",),
    "power": (r"\bpower\s*\(|\^",),
    "step size": (r"\bgenerate_series\s*\(",),
    "field position": (r"\bsplit_part\s*\(",),
    "time zone": (r"\bat\s+time\s+zone\b|\btimezone\s*\(",),
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
    "timestamp": "timestamp|timestamptz",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz|timestamp",
    "json": "jsonb?",
    "array": r"[\w ]+\[\]",
    "range": r"\w+range",
    "record": r"\w+",
}
_FUNCTIONS = {"numeric": r"\bto_number\s*\(", "json": r"\b(?:json\w*|to_jsonb?)\s*\("}


def likely_offsets(error: psycopg.Error, sql: str) -> list[int]:
    """The offsets in ``sql`` of what the error may be about, as far as its words tell."""
    text = hidden(sql)
    said = error.diag.message_primary or ""
    if error.sqlstate in {"42701", "42702"}:
        return _given_twice(said, text)
    if error.sqlstate == "42712":
        return _aliased(said, text)[1:2]
    for pattern in _patterns(error.sqlstate or "", said):
        found = [match.end() - 1 for match in re.finditer(pattern, text, re.IGNORECASE | re.DOTALL)]
        if found:
            return found
    named = _named(said, text)
    if named is None:  # a word that a function does not know stands in the SQL as a text
        named = next(
            (at for name in _NAMED.findall(said) if (at := sql.find(f"'{name}'")) >= 0), None
        )
    return [] if named is None else [named]


def _patterns(state: str, said: str) -> tuple[str, ...]:
    if state == "22012":
        return _DIVISIONS
    if said.startswith(("UNION types", "INTERSECT types", "EXCEPT types")):
        return (rf"\b{said.partition(' ')[0]}\b(?:\s+all)?",)
    if state == "21000":
        return _SUBQUERIES
    for words, patterns in _BY_WORDS.items():
        if words in said and "input syntax" not in said:
            return patterns
    type_ = _TYPE.search(said) if state != "22023" else None  # there it is an argument that is bad
    casts = _casts(next(filter(None, type_.groups()))) if type_ else ()
    if state in {"22007", "22008"}:
        return (*casts, *_DATES)
    return (*casts, *_ARITHMETIC) if state == "22003" else casts if state[:2] == "22" else ()


def columns_of_type(error: psycopg.Error, columns: Mapping[str, Column]) -> list[str]:
    """Those of a contract's columns that have the type of which a value was none."""
    type_ = _TYPE.search(error.diag.message_primary or "")
    if type_ is None or (error.sqlstate or "")[:2] != "22":
        return []
    named = next(filter(None, type_.groups()))
    written = re.compile(rf"(?:{_ALIASES.get(named, re.escape(named))})\b", re.IGNORECASE)
    return [name for name, each in columns.items() if written.match(str(each.data_type or ""))]


def _casts(type_: str) -> tuple[str, ...]:
    names = _ALIASES.get(type_, re.escape(type_))
    operand = r"(?<![\d)])"  # a cast of what is no number itself
    end = "" if names.endswith("]") else r"\b"
    casts = (
        rf"{operand}\s*::\s*(?:{names}){end}",
        rf"::\s*(?:{names}){end}",
        rf"\bcast\s*\((?:(?!\bcast\s*\().)*?\bas\s+(?:{names}){end}",
    )
    return (*casts, _FUNCTIONS[type_]) if type_ in _FUNCTIONS else casts


def _named(said: str, text: str) -> int | None:
    """The first place of what the message has in quotes."""
    for name in _NAMED.findall(said):
        found = re.search(rf"\b{re.escape(name)}\b", text)
        if found:
            return found.start()
    return None


def _given_twice(said: str, text: str) -> list[int]:
    """Where a column gets its name for the second time: by that name, or by a last star.

    A star alone gives a name twice where it stands for several tables.
    """
    for name in _NAMED.findall(said):
        for columns in all_selected(text):
            listed = [(each, at) for each, at in columns if each.lower() in {name.lower(), "*"}]
            named = [at for each, at in listed if each != "*"]
            if len(named) > 1:
                return named[1:2]
            if len(listed) > 1:
                return [listed[-1][1]]
    stars = [at for columns in all_selected(text) for each, at in columns if each == "*"]
    joined = (at for at in stars if _JOIN.search(text, at, brackets_round(text, at)[1]))
    return list(itertools.islice(joined, 1))


def _aliased(said: str, text: str) -> list[int]:
    """Where relations of one query get the name that the message has."""
    written = "|".join(map(re.escape, _NAMED.findall(said)))
    pattern = (
        r'(?:(?:\bfrom|\bjoin|,)\s+(?:[\w".]+\.)?(?:[\w".]+\s+(?:as\s+)?)?|\)\s*(?:as\s+)?)'
        rf'"?({written})\b"?+(?!\s*(?:\.|as\s*\()|\s+(?!(?:{_BEHIND_A_TABLE})\b)\w)'
    )
    found: dict[int, list[int]] = {}
    for each in re.finditer(pattern, text, re.IGNORECASE):
        if each[0].startswith(",") and not _LISTS_TABLES.search(text, 0, each.start()):
            continue
        found.setdefault(_opened_at(text, each.start(1)), []).append(each.start(1))
    return next((offsets for offsets in found.values() if len(offsets) > 1), [])


def _opened_at(text: str, offset: int) -> int:
    """Where the bracket opens in which ``offset`` is; -1 if it is in none."""
    depth = 0
    for at in range(offset - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[at], 0)
        if depth < 0:
            return at
    return -1


def names(error: psycopg.Error) -> list[str]:
    """What the message has in quotes, and the column or type that it names without."""
    said = error.diag.message_primary or ""
    return [*_NAMED.findall(said), *re.findall(r"^(?:column|type) (?:\w+\.)*(\w+) ", said)]
