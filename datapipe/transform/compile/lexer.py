"""What of SQL is quoted or commented out, and what of it is left open."""

from __future__ import annotations

import re

_QUOTED = re.compile(
    r"""
      (?P<text>'(?:[^']|'')*(?:'|(?P<open_text>\Z)))
    | (?P<name>"(?:[^"]|"")*(?:"|(?P<open_name>\Z)))
    | (?P<dollar>(?<!\w)\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|(?P<open_dollar>\Z)))
    | --[^\n]*
    | /\*.*?(?:\*/|(?P<open_comment>\Z))
    """,
    re.DOTALL | re.VERBOSE,
)


def hidden(sql: str, *, names: bool = False) -> str:
    """``sql`` of the same length with spaces for its texts and comments, and for quoted names."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found["name"] and not names else " " * len(found[0])

    return _QUOTED.sub(blank, sql)


def quote_left_open(sql: str, offset: int) -> int | None:
    """Where the quote begins that made PostgreSQL stumble at ``offset``, if one did.

    A quote that is not closed takes all up to the next one for its own, and what was meant to be
    in that one is then in the open.
    """
    for found in _QUOTED.finditer(sql):
        if any(found[f"open_{what}"] is not None for what in ("text", "name", "dollar")):
            return found.start() if found.start() <= offset else None
        is_before = found.end() <= offset and "\n" not in sql[found.end() : offset]
        if is_before and (found["text"] or found["name"]) and "\n" in found[0]:
            return found.start()
        if found.start() > offset:
            break
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
