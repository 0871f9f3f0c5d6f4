"""Seeds: small CSV files of the project, typed as dbt types them and loaded by COPY.

dbt looks at every value of a column and takes the first type that all of them have. Only an empty
value and ``null`` are missing: NA, NAN and the like are text among other text.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.frozen import frozen
from datapipe.transform.build import overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.site import Site
from datapipe.transform.build.table import create, finish
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.written import place_of_setting
from datapipe.transform.project import Project, yaml_file
from datapipe.warehouse.failures import class_of, failure

_CURRENCIES = "؋$ƒ៛¥₡₱£€¢﷼₪₩₭₮₦฿₤₫"
_INTEGER, _BIGINT = 2**31, 2**63

# Most values are spelt so, and need not be looked at more closely.
_PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d*[1-9])?", re.ASCII)
_PLAIN_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

_AT_ONCE = 5000  # rows that are written together
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@frozen
class SeedTable:
    """A CSV file as read: columns with their types as SQL, and rows of values for COPY."""

    columns: tuple[tuple[str, str], ...]
    rows: list[tuple[Any, ...]]
    lines: list[int]


def build(site: Site) -> Built:
    """Create the seed's table and fill it."""
    if overrides.makes_seed(site):
        from datapipe.transform.build import seed_by_macros  # late, as few projects need it

        return seed_by_macros.build(site)
    started = time.perf_counter()
    project = site.compiler.manifest.project
    rows = load(site.connection, site.model, site.aside, create(site), project)
    finish(site, site.aside)
    return Built(site.model, site.aside, rows, time.perf_counter() - started)


def load(
    connection: psycopg.Connection,
    seed: Model,
    aside: Relation,
    create: str = "CREATE TABLE",
    project: Project | None = None,
) -> int:
    """Create the seed's table at ``aside`` and fill it; the number of rows."""
    table = read(seed)
    columns = ", ".join(f"{_column(seed, name)} {type_}" for name, type_ in table.columns)
    names = ", ".join(_column(seed, name) for name, _ in table.columns)
    zone = connection.info.timezone
    try:
        with connection.transaction():
            execute(connection, f"{create} {aside.local} ({columns})")
            copy_in = f"COPY {aside.local} ({names}) FROM STDIN".encode()
            with connection.cursor().copy(copy_in) as copy:
                for start in range(0, len(table.rows), _AT_ONCE):
                    block = table.rows[start : start + _AT_ONCE]
                    columns_ = (
                        [_written(value, zone) for value in of] for of in zip(*block, strict=True)
                    )
                    lines = map("\t".join, zip(*columns_, strict=True))
                    copy.write("\n".join(lines) + "\n")
    except psycopg.Error as error:
        raise _told(error, seed, table, project, connection) from error
    return len(table.rows)


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
    except (csv.Error, TypeError) as error:
        raise _mistake(seed, f"This is not valid CSV: {error}.", None) from None
    last = lines[-2] + 1 if len(lines) > 1 else 2
    if lines and _is_left_open(io.StringIO(text, newline="").readlines()[last - 1 :], delimiter):
        raise _mistake(seed, "A quote opens in this row and is never closed.", last)
    if not header:
        raise _mistake(seed, "The file is empty. Its first line must name the columns.", 1)
    for row, line in zip(rows, lines, strict=True):
        if len(row) > len(header):
            raise _mistake(
                seed,
                f"This row has {len(row)} values, but there are {len(header)} columns. Quote a "
                "value that has the delimiter in it.",
                line,
            )
    for name in header:
        if not name.strip() or header.count(name) > 1:
            raise _mistake(seed, f"Each column needs a name of its own, and one is {name!r}.", 1)
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
    """The type of a column of numbers; None where such values are no numbers to PostgreSQL.

    dbt says integer even where a value has no room in it, and then fails.
    """
    there = [value for value in values if value is not None]
    finite = [value for value in there if value.is_finite()]
    if any(value != value.to_integral_value() for value in finite):
        return "float8"
    if len(finite) < len(there):
        return None
    largest = max((abs(value) for value in finite), default=Decimal(0))
    if largest < _INTEGER:
        return "integer"
    return "bigint" if largest < _BIGINT else "numeric"


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


def _written(value: Any, zone: Any) -> str:
    """The value as COPY reads it from text.

    A timestamp with a zone is written as the session's clock shows it: its column has no zone.
    """
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPED)
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(zone).replace(tzinfo=None)
    return str(value)


def _column(seed: Model, name: str) -> str:
    return name if seed.config.get("quote_columns") is False else quoted(name)


def _told(
    error: psycopg.Error,
    seed: Model,
    table: SeedTable,
    project: Project | None,
    connection: psycopg.Connection,
) -> DatapipeError:
    if class_of(error) not in {"22", "23", "42"}:
        return failure(error, f"loading the seed {seed.name}")
    said = error.diag.message_primary or str(error)
    _, _, rest = (error.diag.context or "").partition(", line ")
    number, _, rest = rest.partition(",")
    if number.isdigit() and 0 < int(number) <= len(table.lines):
        column = rest.partition("column ")[2].partition(":")[0].strip()
        where = f" in the column {column}" if column else ""
        return _mistake(
            seed,
            f"PostgreSQL does not take this row{where}: {said}. Mend the file or column_types.",
            table.lines[int(number) - 1],
        )
    path, written = seed.path, None
    if error.sqlstate in {"42601", "42704"}:  # a type that PostgreSQL does not know
        bad = next((name for name, type_ in table.columns if not _is_type(connection, type_)), "")
        words = ("column_types", bad or said.partition('"')[2].partition('"')[0])
        path, written = place_of_setting(seed, *words, project=project)
    return ProjectError(
        f"PostgreSQL does not take the columns of the seed {seed.name}: {said}. Mend the first "
        "line of its file, column_types or quote_columns.",
        path=path,
        line=written or 1,
        model=seed.name,
    )


def _is_left_open(row: list[str], delimiter: str) -> bool:
    """Whether a quote in the last row of a file takes in all that follows."""
    try:
        for _ in csv.reader(row, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def _is_type(connection: psycopg.Connection, type_: str) -> bool:
    try:
        with connection.transaction():
            execute(connection, f"SELECT CAST(NULL AS {type_})")
    except psycopg.Error:
        return False
    return True


def _mistake(seed: Model, message: str, line: int | None) -> ProjectError:
    path: Path = seed.path
    return ProjectError(message, path=path, line=line, model=seed.name)
