"""What of SQL is quoted or commented out."""

from __future__ import annotations

import re

# A name as it may be written in SQL.
NAME = r'(?:"[^"]+"|\w+)'

QUOTED = re.compile(
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

    return QUOTED.sub(blank, sql)


def statements(sql: str) -> list[str]:
    """The statements of ``sql``, without the semicolons between them."""
    return [each for each in between_semicolons(sql) if each.strip()]


def between_semicolons(sql: str) -> list[str]:
    """The parts of ``sql`` between semicolons that stand in the open; some may be empty."""
    found, start = [], 0
    for end in [*(each.start() for each in re.finditer(";", hidden(sql, names=True))), len(sql)]:
        found.append(sql[start:end])
        start = end + 1
    return found
