"""Values from YAML and CSV as SQL of some type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal

_LENGTH = re.compile(r"(character varying)\(\d+\)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?")
_ZONED = re.compile(_TIMESTAMP.pattern + r" ?(Z|[+-]\d\d(:?\d\d)?)")


def query(rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]) -> str:
    """``rows`` as a query with ``columns``, names with types; what a row lacks is NULL."""
    if not rows:
        nothing = ", ".join(f"CAST(NULL AS {type_}) AS {quoted(name)}" for name, type_ in columns)
        return f"SELECT {nothing} WHERE false"
    values = ",\n".join(
        "(" + ", ".join(cell(row.get(name), type_) for name, type_ in columns) + ")" for row in rows
    )
    names = ", ".join(quoted(name) for name, _ in columns)
    return f"SELECT * FROM (VALUES\n{values}\n) given ({names})"


def cell(value: Any, type_: str) -> str:
    """``value`` cast to ``type_``; a text is not cut to the length of the type."""
    if isinstance(value, str):
        type_ = _LENGTH.sub(r"\1", type_)
    return f"CAST({_written(value, type_)} AS {type_})"


def _written(value: Any, type_: str) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        text = str(value)
        # A text column gets what is written in YAML; so do inf and nan, which are no SQL.
        return text if re.fullmatch(r"-?\d[\d.e+-]*", text) else literal(text)
    if isinstance(value, list) and type_.endswith("[]"):
        return literal(_array(value))
    if isinstance(value, list | dict):
        return literal(json.dumps(value, default=str))
    if isinstance(value, date | time):
        return literal(value.isoformat())
    return literal(str(value))


def _array(values: Sequence[Any]) -> str:
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array(value)
    text = json.dumps(value, default=str) if isinstance(value, dict) else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def guessed(values: Sequence[Any], *, written: bool) -> str:
    """The type of a column of which only these values are known.

    ``written`` says that they come from CSV, where numbers are text as well.
    """
    there = [value for value in values if value is not None]
    if written:
        there = _read(there)
    for type_, is_one in _GUESSES:
        if there and all(is_one(value) for value in there):
            return type_
    return "text"


def _read(values: Sequence[str]) -> list[Any]:
    """``values`` in the first type that fits them all."""
    if all(value.lower() in {"true", "false"} for value in values):
        return [value.lower() == "true" for value in values]
    try:
        numbers = [Decimal(value) for value in values]
    except InvalidOperation:
        return list(values)
    if all(re.fullmatch(r"-?\d+", value) for value in values):
        return [int(number) for number in numbers]
    return list(numbers)


def _is_int(value: Any, bits: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**bits) <= value < 2**bits


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


_GUESSES: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("boolean", lambda value: isinstance(value, bool)),
    ("integer", lambda value: _is_int(value, 31)),
    ("bigint", lambda value: _is_int(value, 63)),
    ("numeric", _is_number),
    (
        "date",
        lambda value: (
            (isinstance(value, date) and not isinstance(value, datetime))
            or (isinstance(value, str) and _DATE.fullmatch(value) is not None)
        ),
    ),
    (
        "timestamp without time zone",
        lambda value: (
            (isinstance(value, datetime) and value.tzinfo is None)
            or (isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None)
        ),
    ),
    (
        "timestamp with time zone",
        lambda value: (
            isinstance(value, datetime)
            or (isinstance(value, str) and _ZONED.fullmatch(value) is not None)
        ),
    ),
    ("jsonb", lambda value: isinstance(value, dict)),
)
