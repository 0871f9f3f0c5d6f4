"""The files of seeds: what is in them, typed as dbt types it.

dbt looks at every value of a column and takes the first type that all of them have. Only an empty
value and ``null`` are missing: NA, NAN and the like are text among other text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import place_of_setting
from datapipe.transform.project import yaml_file

_CURRENCIES = "؋$ƒ៛¥₡₱£€¢﷼₪₩₭₮₦฿₤₫"
_INTEGER, _BIGINT = 2**31, 2**63

# Most values are spelt so, and need not be looked at more closely.
_PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d*[1-9])?", re.ASCII)
_PLAIN_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@frozen
class SeedTable:
    """A CSV file as read: columns with their types as SQL, and rows of values for COPY."""

    columns: tuple[tuple[str, str], ...]
    rows: list[tuple[Any, ...]]
    lines: list[int]


def read(seed: Model) -> SeedTable:
    """The file of ``seed``; raises ProjectError where it is no table."""
    names, rows, lines = _cells(seed)
    types: list[str] = []
    columns: list[list[Any]] = []
    given = seed.config.get("column_types") or {}
    for number, name in enumerate(names):
        written = [row[number] if number < len(row) else None for row in rows]
        if name in given:
            type_, values = str(given[name]), [_text(value) for value in written]
        else:
            type_, values = _inferred(written)
        types.append(type_)
        columns.append(values)
    return SeedTable(tuple(zip(names, types, strict=True)), list(zip(*columns, strict=True)), lines)


def _cells(seed: Model) -> tuple[list[str], list[list[str]], list[int]]:
    """The names of the columns, the cells of each row, and the line on which each row ends."""
    delimiter = str(seed.config.get("delimiter") or ",")
    try:
        text = seed.path.read_text(encoding="utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        header = next(reader, [])
        rows, lines = [], []
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError) as error:
        raise yaml_file.unreadable(seed.path, error) from None
    except TypeError:
        path, line = place_of_setting(seed, "delimiter")
        message = f"The delimiter of a seed is one character, not {delimiter!r}."
        raise ProjectError(message, path=path, line=line, model=seed.name) from None
    except csv.Error as error:
        raise mistake(seed, f"This is not valid CSV: {error}.", None) from None
    last = lines[-2] + 1 if len(lines) > 1 else 2
    if lines and _is_left_open(io.StringIO(text, newline="").readlines()[last - 1 :], delimiter):
        raise mistake(seed, "A quote opens in this row and is never closed.", last)
    if not header:
        raise mistake(seed, "The file is empty. Its first line must name the columns.", 1)
    for row, line in zip(rows, lines, strict=True):
        if len(row) > len(header):
            raise mistake(
                seed,
                f"This row has {len(row)} values, but there are {len(header)} columns. Quote a "
                "value that has the delimiter in it.",
                line,
            )
    for name in header:
        if not name.strip() or header.count(name) > 1:
            raise mistake(seed, f"Each column needs a name of its own, and one is {name!r}.", 1)
    return header, rows, lines


def _inferred(written: Sequence[str | None]) -> tuple[str, list[Any]]:
    for type_, cast in _TYPES:
        try:
            values = [None if _is_missing(value) else cast(value or "") for value in written]
        except (ValueError, KeyError, InvalidOperation):
            continue
        if type_ == "number":
            number_type = _number_type(values)
            if number_type is None:
                continue
            type_ = number_type
        return type_, values
    return "text", [_text(value) for value in written]


def _number_type(values: Sequence[Decimal | None]) -> str | None:
    """The type of a column of numbers; None where PostgreSQL does not take them for numbers.

    dbt says integer even if a value is too large for it, and then fails.
    """
    there = [value for value in values if value is not None]
    finite = [value for value in there if value.is_finite()]
    if any(value != value.to_integral_value() for value in finite):
        return "float8"
    if len(finite) < len(there):
        return None
    least, largest = min(finite, default=Decimal(0)), max(finite, default=Decimal(0))
    if least >= -_INTEGER and largest < _INTEGER:
        return "integer"
    return "bigint" if least >= -_BIGINT and largest < _BIGINT else "numeric"


def _is_missing(value: str | None) -> bool:
    return value is None or value.strip().lower() in {"", "null"}


def _text(value: str | None) -> str | None:
    return None if _is_missing(value) else value


def _number(value: str) -> Decimal:
    if _PLAIN_NUMBER.fullmatch(value):
        return Decimal(value)
    value = value.strip().strip("%")
    sign = -1 if value.startswith("-") else 1
    value = value.removeprefix("-")
    for symbol in _CURRENCIES:
        value = value.strip(symbol)
    number = Decimal(value.replace(",", "")) * sign
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number


def _date(value: str) -> date:
    if _PLAIN_DATE.fullmatch(value):
        return date.fromisoformat(value)
    return datetime.strptime(value.strip(), "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone


def _timestamp(value: str) -> datetime:
    return datetime.strptime(value.strip(), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - as dbt has it


def _iso_timestamp(value: str) -> datetime:
    day, separator, _ = value.strip().partition("T")
    if not separator or not day:
        raise ValueError(value)
    return datetime.fromisoformat(value.strip())


def _boolean(value: str) -> bool:
    return {"true": True, "false": False}[value.replace(",", "").strip().lower()]


_TYPES: tuple[tuple[str, Callable[[str], Any]], ...] = (
    ("number", _number),
    ("date", _date),
    ("timestamp without time zone", _timestamp),
    ("timestamp without time zone", _iso_timestamp),
    ("boolean", _boolean),
)


def _is_left_open(row: list[str], delimiter: str) -> bool:
    """Whether a quote in the last row was left open, so that it takes in all that follows."""
    try:
        for _ in csv.reader(row, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def mistake(seed: Model, message: str, line: int | None) -> ProjectError:
    """An error in the file of ``seed``."""
    return ProjectError(message, path=seed.path, line=line, model=seed.name)
