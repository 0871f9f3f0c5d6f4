"""Common mistakes in SQL, and where they are: PostgreSQL often stumbles only further down.

An offset that is given is that at which PostgreSQL stumbled; one that is returned is where the
mistake lies, or None if it is none of this kind.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from datapipe.transform.compile.selects import brackets_round
from datapipe.transform.database.quoting import QUOTED, hidden

_FIRST_OF_LINE = re.compile(r'\s*([\w"]+)')
_ONE_NAME = re.compile(r'\s*[\w".]*\s*')
_AFTER_ITEMS = re.compile(
    r"(?:from|where|having|window|limit|offset|union|except|intersect|select)\b|(?:group|order)\s+by\b"
    r"|[),;]|\s*\Z",
    re.IGNORECASE,
)
_AGGREGATE = re.compile(
    r"\b(?:count|sum|avg|min|max|array_agg|string_agg|jsonb?_agg|bool_and|bool_or|every|stddev\w*"
    r"|var\w*|percentile_\w+|mode)\s*\(",
    re.IGNORECASE,
)
_OVER = re.compile(r"\s*(?:filter\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*)?over\b", re.IGNORECASE)
# What PostgreSQL takes for names and operators where others have quotes and comments.
_NOT_SQL = (
    (re.compile("`"), " Names stand in double quotes in PostgreSQL, not in backticks."),
    (re.compile(r"^[ \t]*(?:#[# \t]|//)", re.MULTILINE), " A comment begins with -- in SQL."),
    (
        re.compile(r"(?:^|(?<=[\s(,]))[\u00a0\u2000-\u200d\u202f\u2060\u3000\ufeff]"),
        " Here is a character that looks like a space and is none to PostgreSQL. Type it anew.",
    ),
    (re.compile("[\u201c-\u201f\u2018-\u201b]"), " Quotes are straight in SQL: ' and \"."),
    (re.compile(r"\{"), " Jinja stands in two braces: {{ ... }}."),
    (re.compile(r"^<{7} ", re.MULTILINE), " A merge left both versions here."),
)
_CASE = re.compile(r"\bcase\s*\Z", re.IGNORECASE)
_NO_AS = re.compile(
    r'(?:\bwith(?:\s+recursive)?|\)\s*,)\s*(?P<name>\w+|"[^"]+")\s*\(\s*\Z', re.IGNORECASE
)
_WORD_HERE = re.compile(r"([^\W\d]\w*)(?!\s*\.)")
_WORD_BEFORE = re.compile(r"(?<![\w.\"])([^\W\d]\w*)\s+\Z")
_FIRST_WORD = re.compile(r"\s*([^\W\d]\w*)\s")
_BEFORE_A_JOIN = re.compile(r"(?<!\bas)\s([^\W\d]\w*)\s+(?:outer\s+)?join\b", re.IGNORECASE)
_FIRST_OF_JOIN: tuple[str, ...] = ("left", "right", "inner", "outer", "full", "cross", "natural")
_BEFORE_BY: tuple[str, ...] = ("group", "order", "partition")
_WORDS: tuple[str, ...] = (
    *("select", "distinct", "from", "where", "join", "inner", "left", "right", "cross", "having"),
    *("limit", "offset", "union", "except", "intersect", "between", "case", "when", "then", "else"),
    *("group", "order", "partition", "over", "with", "values", "interval", "lateral", "using"),
)
_THEN = re.compile(r"\bthen\s*\Z", re.IGNORECASE)
_NO_CASE = re.compile(r"[),]|(?:as|from)\b", re.IGNORECASE)
_NO_WHEN = re.compile(r"(?:else|end)\b", re.IGNORECASE)
_OF_CASE = re.compile(r"[()]|\b(?:case|else|end)\b", re.IGNORECASE)
_LAST_OF_LINE = re.compile(r'(?:[\w"\]]+|\))\Z')
# Behind these a line goes on with the next one, which may not begin with those.
_GOES_ON = frozenset({
    "select", "distinct", "all", "from", "where", "and", "or", "not", "on", "using", "case", "when",
    "then", "else", "by", "having", "join", "left", "right", "inner", "outer", "full", "cross",
    "lateral", "union", "except", "intersect", "with", "recursive", "as", "in", "is", "like",
    "ilike", "between", "over", "filter", "window", "values", "limit", "offset", "interval",
})  # fmt: skip
_NO_ITEM = frozenset({
    "from", "where", "group", "having", "order", "limit", "offset", "window", "union", "except",
    "intersect", "on", "using", "join", "left", "right", "inner", "outer", "full", "cross",
    "natural", "and", "or", "as", "when", "then", "else", "end", "over", "filter", "between", "in",
    "is", "like", "with", "asc", "desc", "qualify",
})  # fmt: skip


def quote_left_open(sql: str, offset: int) -> int | None:
    """Where the quote begins that made PostgreSQL stumble at ``offset``, if one did.

    A quote that is not closed takes all up to the next one for its own, and what was meant to be
    in that one is then in the open: so is what is behind a quote inside a text, as in 'it's'.
    """
    for found in QUOTED.finditer(sql):
        if any(found[f"open_{what}"] is not None for what in ("text", "name", "dollar")):
            return found.start() if "\n" not in sql[offset : found.start()] else None
        is_before = found.end() <= offset and "\n" not in sql[found.end() : offset]
        if is_before and (found["text"] or found["name"]) and "\n" in found[0]:
            return found.start()
        if found.start() > offset:
            break
    return None


def case_as_name(sql: str, offset: int) -> int | None:
    """Where the ``case`` right before ``offset`` is, which was taken for a name.

    It is one where the comma before it is missing; then PostgreSQL stumbles over the ``when``.
    """
    found = None if _NO_WHEN.match(sql, offset) else _CASE.search(hidden(sql), 0, offset)
    return None if found is None else found.start()


def else_beside(sql: str, offset: int) -> int | None:
    """Where the ``else`` is of the CASE in which ``offset`` is what a ``then`` gives."""
    text = hidden(sql)
    if not _THEN.search(text, 0, offset):
        return None
    depth = 0
    for word in _OF_CASE.finditer(text, offset):
        depth += {"(": 1, "case": 1, ")": -1, "end": -1}.get(word[0].lower(), 0)
        if depth < 0:
            break
        if not depth and word[0].lower() == "else":
            return word.start()
    return None


def comma_missing(sql: str, offset: int) -> int | None:
    """Where a comma may be missing: at the end of the line before what stands at ``offset``.

    There two things stand one below the other, and PostgreSQL stumbles over the second.
    """
    text = hidden(sql)
    start = text.rfind("\n", 0, offset) + 1
    first = _FIRST_OF_LINE.match(text, start)
    before = text[:start].rstrip()
    last = _LAST_OF_LINE.search(before)
    if first is None or last is None or not _ONE_NAME.fullmatch(text, start, offset):
        return None
    if last[0].lower() in _GOES_ON or first[1].lower() in _NO_ITEM:
        return None
    return len(before) - 1


def comma_too_much(sql: str, offset: int) -> int | None:
    """Where the comma stands that has nothing behind it up to ``offset``, if one does."""
    text = hidden(sql)
    before = text[:offset].rstrip()
    ends = _AFTER_ITEMS.match(text, offset)
    return len(before) - 1 if ends and before.endswith(",") else None


def not_sql(sql: str, offset: int) -> tuple[int, str] | None:
    """The first thing up to ``offset`` that is no SQL, and what to say of it."""
    text = hidden(sql, names=True)
    for pattern, about in _NOT_SQL:
        found = pattern.search(text, 0, offset + 1)
        if found:
            return found.end() - 1, about
    return None


def as_missing(sql: str, offset: int) -> int | None:
    """Where a common table expression has its name, if it has no ``as`` before ``offset``."""
    found = _NO_AS.search(hidden(sql), 0, offset)
    return None if found is None else found.start("name")


def misspelt(sql: str, offset: int) -> tuple[int, str] | None:
    """Where a word of SQL is misspelt, at ``offset`` or before, and the word that was meant.

    It is what PostgreSQL stumbles over, the word before that, or the first one of the query.
    """
    text = hidden(sql)
    found, meant = _WORD_HERE.match(text, offset), _WORDS
    if found and found[1].lower() == "by":
        found, meant = _WORD_BEFORE.search(text, 0, offset), _BEFORE_BY
    for each in (found, _WORD_BEFORE.search(text, 0, offset)):
        near = _near(each[1], meant) if each else ""
        if each and near:
            return each.start(1), near
    start, _ = brackets_round(text, offset)
    found = _FIRST_WORD.match(text, start)
    near = _near(found[1], ("select", "with", "values")) if found else ""
    return (found.start(1), near) if found and near else None


def join_misspelt(sql: str) -> tuple[int, str] | None:
    """Where a join has its first word misspelt, so that it is an alias, and what was meant."""
    for found in _BEFORE_A_JOIN.finditer(hidden(sql)):
        near = _near(found[1], _FIRST_OF_JOIN)
        if near:
            return found.start(1), near
    return None


def _near(word: str, meant: Sequence[str]) -> str:
    """The one of ``meant`` that ``word`` is likely to be, but for a letter or two."""
    word = word.lower()
    found = difflib.get_close_matches(word, meant, n=1, cutoff=0.75)
    return found[0] if found and not word.startswith(found[0]) else ""


def bracket_too_many(sql: str, offset: int) -> int | None:
    """The bracket up to ``offset`` that closes none, if there is one."""
    depth = 0
    for at, character in enumerate(hidden(sql, names=True)[: offset + 1]):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return at
    return None


def bracket_before(sql: str, offset: int) -> int | None:
    """The last bracket that closes before ``offset``, if more are closed than opened."""
    text = hidden(sql, names=True)
    if text.count(")") <= text.count("("):
        return None
    return max(text.rfind(")", 0, offset + 1), -1) if ")" in text[: offset + 1] else None


def case_left_open(sql: str, offset: int) -> int | None:
    """Where the CASE begins that has no END before ``offset``, where it can not go on."""
    text = hidden(sql)
    if not _NO_CASE.match(text, offset):
        return None
    start, _ = brackets_round(text, offset)
    opened: list[int] = []
    for word in re.finditer(r"\b(?:case|end)\b", text[start:offset], re.IGNORECASE):
        if word[0].lower() == "case":
            opened.append(start + word.start())
        elif opened:
            opened.pop()
    return opened[-1] if opened else None


def aggregate_beside(sql: str, offset: int) -> int | None:
    """The first aggregate of the query that ``offset`` is in, which makes groups of its rows."""
    text = hidden(sql)
    start, end = brackets_round(text, offset)
    for found in _AGGREGATE.finditer(text, start, end):
        _, closes = brackets_round(text, found.end())
        if not _OVER.match(text, closes + 1) and found.start() != offset:
            return found.start()
    return None


def bracket_left_open(sql: str, offset: int) -> int | None:
    """Where the innermost bracket that is open at ``offset`` begins, if one is never closed."""
    text = hidden(sql, names=True)
    if text.count("(") <= text.count(")"):
        return None
    opened: list[int] = []
    for at, character in enumerate(text[:offset]):
        if character == "(":
            opened.append(at)
        elif character == ")" and opened:
            opened.pop()
    return opened[-1] if opened else None
