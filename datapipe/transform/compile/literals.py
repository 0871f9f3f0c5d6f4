"""The names of relations within strings of SQL, where they are data and no code."""

from __future__ import annotations

import re
from collections.abc import Mapping

from datapipe.transform.database.relation import quoted
from datapipe.transform.jinja.templates import MARK

# A string may be data. What may hold quotes of its own, and is none, is passed over.
_TOKEN = re.compile(
    r"""
    --[^\n]*
    |/\*.*?\*/
    |"(?:[^"]|"")*"
    |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    |(?P<string>\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')(?P<relation>\s*::\s*(?i:regclass)\b)?
    """,
    re.VERBOSE | re.DOTALL,
)


def published(sql: str, asides: Mapping[str, str]) -> str:
    """``sql`` with published schemas in place of those aside, in strings that are data.

    Readers find such data later, when it is published. But a string may also be SQL that a function
    runs, such as crosstab, and then has to find what is there now. So names behind ``from`` and
    ``join`` stay as they are. ``asides`` maps published schemas to those aside.
    """
    if "'" not in sql or not asides:
        return sql
    schemas = {aside: schema for schema, aside in asides.items()}
    either = "|".join(map(re.escape, sorted(schemas, key=len, reverse=True)))
    named = re.compile(
        rf'(?P<read>\b(?i:from|join)\s+(?:{MARK.pattern})*(?:(?:"[^"]*"|\w+)\.)?)?'
        rf'(?:"(?P<quoted>{either})"|\b(?P<plain>{either})(?=\.))'
    )

    def told(name: re.Match[str]) -> str:
        if name["read"]:
            return name[0]
        return quoted(schemas[name["quoted"]]) if name["quoted"] else schemas[name["plain"]]

    def as_data(token: re.Match[str]) -> str:
        if token["string"] is None or token["relation"]:
            return token[0]
        return named.sub(told, token[0])

    return _TOKEN.sub(as_data, sql)
