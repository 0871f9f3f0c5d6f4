"""The queries in SQL: what each selects, and where it begins and ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datapipe.transform.database.quoting import hidden

# What stands between the columns that a select lists, and what ends them.
_STRUCTURE = re.compile(
    r"[(),\[\]]|\b(?:select|from|where|group|having|window|order|limit|union|except|intersect)\b",
    re.IGNORECASE,
)
_SELECT = re.compile(r"\bselect\b", re.IGNORECASE)
_LAST_NAME = re.compile(r'(?:"[^"]+"|(?<![\w"])[^\W\d]\w*|\*)(?=\s*\Z)')
_CALL = re.compile(r"\s*(?:\w+\.)?([^\W\d]\w*)\s*\(")


def selected(sql: str) -> list[tuple[str, int]]:
    """The names of the columns that the outermost select lists, and where each gets its name.

    The name of a star is ``*``; what gets no name in the text is left out.
    """
    text, found, start, depth = hidden(sql), [], None, 0
    for token in _STRUCTURE.finditer(text):
        word = token[0].lower()
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(word, 0)
        if depth or word in "()[]":
            continue
        if word == "select" and start is None:
            start = token.end()
        elif start is not None:
            found += _named(text, start, token.start())
            start = token.end()
            if word not in {",", "select"}:
                return found
    return found if start is None else [*found, *_named(text, start, len(text.rstrip()))]


def _named(text: str, start: int, end: int) -> list[tuple[str, int]]:
    """The name of what a select lists there, which is that of a function that it calls."""
    name = _LAST_NAME.search(text, start, end)
    if name:
        return [(name[0].strip('"'), name.start())]
    call = _CALL.match(text, start, end)
    if call and brackets_round(text, call.end())[1] == len(text[:end].rstrip()) - 1:
        return [(call[1].lower(), call.start(1))]
    return []


def all_selected(sql: str) -> Iterator[list[tuple[str, int]]]:
    """What each select lists: first the outermost, then the others, the last one first."""
    yield selected(sql)
    text = hidden(sql)
    for found in reversed(list(_SELECT.finditer(text))):
        _, end = brackets_round(text, found.start())
        yield [(name, found.start() + at) for name, at in selected(text[found.start() : end])]


def brackets_round(text: str, offset: int) -> tuple[int, int]:
    """Behind the bracket that opens before ``offset``, and the one that closes behind."""
    start = end = depth = 0
    for start in range(min(offset, len(text)), 0, -1):
        depth += {")": 1, "(": -1}.get(text[start - 1], 0)
        if depth < 0:
            break
    else:
        start = 0
    depth = 0
    for end in range(offset, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth < 0:
            return start, end
    return start, len(text)
