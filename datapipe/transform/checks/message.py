"""What tests have found, as readable text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from datapipe.transform.results import TestResult

SHOWN_ROWS = 5
_WIDEST_CELL = 30
_WIDEST_TABLE = 96

Cell = str | None


def tell(results: Iterable[TestResult]) -> str:
    """A paragraph for each test that failed or could not be run."""
    return "\n".join(_paragraph(result) for result in results if result.has_failed)


def _paragraph(result: TestResult) -> str:
    if result.error is not None:
        return f"  {result.name}: {result.error}"
    lines = [f"  {result.name} ({result.path}:{result.line}): {_count(result)}"]
    if result.resource_type == "unit_test":
        return "\n".join([*lines, textwrap.indent(result.message, "    ")])
    if result.rows:
        lines.append(textwrap.indent(table(result.columns, result.rows), "    "))
        if result.failures > len(result.rows) == SHOWN_ROWS:
            lines.append(f"    and {result.failures - SHOWN_ROWS:,} more")
    lines.append(textwrap.indent(result.query + ";", "    "))
    return "\n".join(lines)


def _count(result: TestResult) -> str:
    if result.resource_type == "unit_test":
        return "the result is not what was expected"
    return f"{result.failures:,} {'row' if result.failures == 1 else 'rows'}"


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, widest: int = _WIDEST_CELL
) -> str:
    """``rows`` under their column names, cut to the width of a terminal; NULL is written null."""
    cells = [[shown(cell, widest) for cell in row] for row in (columns, *rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    fitting, left = 0, _WIDEST_TABLE
    for width in widths:
        left -= width + 3
        if left < 0:
            break
        fitting += 1
    fitting = max(1, fitting)
    more = fitting < len(columns)
    lines = []
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths[:fitting], strict=False)]
        lines.append(" | ".join([*padded, *(["..."] if more else [])]).rstrip())
    rule = "-+-".join(["-" * width for width in widths[:fitting]] + (["---"] if more else []))
    return "\n".join([lines[0], rule, *lines[1:]])


def fits(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, widest: int = _WIDEST_CELL
) -> bool:
    """Whether ``table`` would show all columns."""
    return not table(columns, rows, widest=widest).partition("\n")[0].endswith(" | ...")


def shown(cell: Cell, widest: int = _WIDEST_CELL) -> str:
    """A cell in one line, without characters that would move a terminal's cursor."""
    if cell is None:
        return "null"
    if cell == "":
        return "''"
    # Cut first, so that a cell of a megabyte costs nothing.
    text = cell[: widest + 1].replace("\n", "\\n").replace("\t", "\\t")
    text = "".join(each if each.isprintable() else "?" for each in text)
    return text if len(text) <= widest else text[: widest - 3] + "..."


def texts(
    cursor: psycopg.Cursor[Any],
) -> tuple[tuple[str, ...], tuple[tuple[str | None, ...], ...]]:
    """The columns and rows of the cursor's present result, as PostgreSQL writes them."""
    result = cursor.pgresult
    assert result is not None  # noqa: S101 - a query was executed
    encoding = cursor.connection.info.encoding
    columns = tuple(column.name for column in cursor.description or ())
    cells = [
        tuple(
            None if value is None else value.decode(encoding, "replace")
            for value in (result.get_value(row, number) for number in range(len(columns)))
        )
        for row in range(result.ntuples)
    ]
    return columns, tuple(cells)
