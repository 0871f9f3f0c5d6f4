"""Finds out whether SQL may give something else tomorrow, though the data are the same.

The text is taken apart into words, without regard to grammar. A word that only looks like the clock
costs a needless build; one that is overlooked would cost a wrong table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from datapipe.frozen import frozen

_TOKENS = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*(?:.|\n)*?\*/)
    |(?P<dollar>\$(?P<tag>\w*)\$(?:.|\n)*?\$(?P=tag)\$)
    |(?P<escaped>e'(?:[^'\\]|\\.|'')*')
    |(?P<string>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<word>[^\W\d][\w$]*)
    |(?P<sign>::|[(),.])
    |(?P<other>\S)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CLOCK_WORDS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
)
_CLOCK_CALLS = frozenset(
    {"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"}
)
_CHANCE = frozenset(
    {"array_sample", "array_shuffle", "gen_random_uuid", "random", "random_normal", "setseed",
     "uuidv4", "uuidv7"}
)  # fmt: skip
# What stands outside of the data: sequences, settings, other SQL in a string, large objects.
_OUTSIDE = frozenset(
    {"col_description", "current_query", "current_setting", "currval", "cursor_to_xml",
     "database_to_xml", "inet_client_addr", "inet_client_port", "inet_server_addr",
     "inet_server_port", "lastval", "nextval", "obj_description", "query_to_xml",
     "row_security_active", "schema_to_xml", "set_config", "setval", "shobj_description",
     "table_to_xml", "version"}
)  # fmt: skip
_OUTSIDE_PREFIXES = ("pg_", "txid_", "lo_", "to_reg", "has_")
_STEADY = frozenset(
    {"pg_catalog", "pg_column_size", "pg_size_bytes", "pg_size_pretty", "pg_sleep", "pg_typeof"}
)
_CATALOG_TYPES = re.compile(r"reg(?:class|type|proc|procedure|oper|operator|role|namespace)")
_CLOCK_STRING = re.compile(r"'\s*(?:now|today|tomorrow|yesterday)\b[\s\d:.+-]*'", re.IGNORECASE)


@frozen
class Words:
    """What a piece of SQL says: why it is unsteady, if it is; its names; and what it may call."""

    unsteady: str
    names: frozenset[str]
    called: frozenset[str]
    takes_a_slice: bool


def read(sql: str) -> Words:
    """Take ``sql`` apart; names are folded as PostgreSQL does."""
    tokens = list(_tokens(sql))
    # A function of a row may be written as if it were a column: orders.total.
    called = {
        text
        for before, (kind, text), after in zip(
            [("", ""), *tokens], tokens, [*tokens[1:], ("", "")], strict=False
        )
        if kind in {"word", "quoted"} and (after[1] == "(" or before[1] == ".")
    }
    names = {text for kind, text in tokens if kind in {"word", "quoted"}}
    unsteady = ""
    for number, (kind, text) in enumerate(tokens):
        following = tokens[number + 1][1] if number + 1 < len(tokens) else ""
        unsteady = _said(kind, text, following, tokens, number)
        if unsteady:
            break
    if not unsteady and "tablesample" in names and "repeatable" not in names:
        unsteady = "takes a sample by chance (tablesample)"
    return Words(
        unsteady,
        frozenset(names),
        frozenset(called),
        bool(names & {"limit", "fetch", "tablesample"}),
    )


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    for found in _TOKENS.finditer(sql):
        kind = found.lastgroup or ""
        text = found[0]
        if kind == "comment":
            continue
        if kind == "escaped":
            kind, text = "string", text[1:]
        elif kind == "word":
            text = text.lower()
        elif kind == "quoted":
            text = text[1:-1].replace('""', '"')
        yield kind, text


def _said(kind: str, text: str, following: str, tokens: list[tuple[str, str]], number: int) -> str:
    if kind == "string":
        return f"reads the clock ({text})" if _CLOCK_STRING.fullmatch(text) else ""
    if kind not in {"word", "quoted"}:
        return ""
    if kind == "word" and text in _CLOCK_WORDS:
        return f"reads the clock ({text})"
    if text == "information_schema" or (
        text.startswith("pg_") and following != "(" and text not in _STEADY
    ):
        return f"reads PostgreSQL's own catalog ({text})"
    if kind == "word" and _CATALOG_TYPES.fullmatch(text):
        return f"reads PostgreSQL's own catalog ({text})"
    if following != "(":
        return ""
    if text in _CLOCK_CALLS or (text == "age" and _has_one_argument(tokens, number + 1)):
        return f"reads the clock ({text}())"
    if text in _CHANCE:
        return f"depends on chance ({text}())"
    if text in _OUTSIDE or (text.startswith(_OUTSIDE_PREFIXES) and text not in _STEADY):
        return f"reads what is not in its tables ({text}())"
    return ""


def _has_one_argument(tokens: list[tuple[str, str]], opening: int) -> bool:
    """Whether no comma stands between the parenthesis at ``opening`` and its closing one."""
    depth = 0
    for _, text in tokens[opening:]:
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
            if not depth:
                return True
        elif text == "," and depth == 1:
            return False
    return True
