"""Running the SELECT of a report, and telling what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from datapipe.errors import ProjectError
from datapipe.report.result import KINDS, Column, Kind
from datapipe.report.template import Rendered

# Object ids of PostgreSQL's types, which no version changes.
_DATE = 1082
_COUNTS = {20, 21, 23}  # bigint, smallint, integer
_NUMBERS = {700, 701, 1700}  # real, double precision, numeric
_ARRAYS = {1005, 1007, 1016, 1021, 1022, 1231}  # the arrays of all of these

# Data exceptions, mistakes in SQL, what PostgreSQL lacks, writing where a report only reads.
_OF_THE_SQL = ("22", "42", "0A", "25006")


def select(
    connection: psycopg.Connection, rendered: Rendered
) -> tuple[tuple[Column, ...], list[tuple[Any, ...]]]:
    """The columns and rows of a report; a mistake in its SQL is a ProjectError at its line."""
    try:
        cursor = connection.execute(rendered.sql.encode())
    except psycopg.errors.InsufficientPrivilege:
        raise
    except psycopg.Error as error:
        if not (error.sqlstate or "").startswith(_OF_THE_SQL):
            raise
        raise _mistake(error, rendered) from None
    if cursor.description is None:
        raise ProjectError("It gives no rows. A report is one SELECT.", path=rendered.path)
    types = {described.name: described.type_code for described in cursor.description}
    if len(types) < len(cursor.description):
        raise ProjectError("Two of its columns have one name. Rename one.", path=rendered.path)
    kinds = _declared(rendered, types)
    columns = tuple(Column(name, kinds.get(name) or _kind(code)) for name, code in types.items())
    rows = [
        tuple(tuple(value) if isinstance(value, list) else value for value in row)
        for row in cursor.fetchall()
    ]
    return columns, rows


def _declared(rendered: Rendered, types: Mapping[str, int]) -> dict[str, Kind]:
    """The kinds that the report gives to its columns in ``config(meta={'kinds': ...})``."""
    kinds = dict(rendered.meta.get("kinds") or {})
    for name, kind in kinds.items():
        if name not in types:
            wrong = f"names the column {name}, but the columns are {', '.join(types)}"
        elif kind not in KINDS:
            wrong = f"calls {name} a {kind}, but the kinds are {', '.join(KINDS)}"
        elif not _fits(kind, types[name]):
            wrong = f"calls {name} a {kind}, but its type is not of that kind. Cast it in the SQL"
        else:
            continue
        raise ProjectError(f"config(meta) {wrong}.", path=rendered.path)
    return kinds


def _fits(kind: Kind, type_code: int) -> bool:
    natural = _kind(type_code)
    if kind in {"text", natural}:
        return True
    return kind not in {"date", "sparkline"} and natural in {"count", "number"}


def _kind(type_code: int) -> Kind:
    if type_code == _DATE:
        return "date"
    if type_code in _ARRAYS:
        return "sparkline"
    if type_code in _COUNTS:
        return "count"
    return "number" if type_code in _NUMBERS else "text"


def _mistake(error: psycopg.Error, rendered: Rendered) -> ProjectError:
    diagnosis = error.diag
    line = None
    if diagnosis.statement_position and rendered.same_lines:
        line = rendered.sql.count("\n", 0, int(diagnosis.statement_position) - 1) + 1
    said = [f"{diagnosis.message_primary}."]
    if diagnosis.message_hint:
        said.append(diagnosis.message_hint)
    if isinstance(error, psycopg.errors.UndefinedTable):
        said.append("If it is a model, build it again with: datapipe transform")
    return ProjectError(" ".join(said), path=rendered.path, line=line)
