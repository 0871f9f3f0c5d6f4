"""Tables as they are printed: in characters as agate draws them, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datapipe.transform.jinja.tables import ColumnOfTable, Row, Table

_MORE, _CUT = "...", "…"  # what is left out of a text or a table, and of a number
# What agate and dbt call the type of a column whose values are of this one.
_KINDS = {
    "bool": "Boolean",
    "date": "Date",
    "datetime": "DateTime",
    "Decimal": "Number",
    "int": "Integer",
}


def grid(
    table: Table,
    max_rows: int | None = None,
    max_columns: int | None = None,
    max_column_width: int | None = None,
    max_precision: int | None = None,
) -> str:
    """The table in characters, with as much of it as is asked for; all of it with None."""
    columns = list(table.columns)[:max_columns]
    shown = [_texts(column[:max_rows], max_precision) for column in columns]
    lines = [[column.name for column in columns], *map(list, zip(*shown, strict=True))]
    is_text = [kind(column) == "Text" for column in columns]
    if len(columns) < len(table.column_names):
        lines = [[*line, _MORE] for line in lines]
        is_text.append(kind(table.columns[len(columns)]) == "Text")
    lines = [[_cut(text, max_column_width) for text in line] for line in lines]
    widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
    if max_rows is not None and max_rows < len(table):
        lines.append([_MORE] * len(widths))
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(_line(texts, widths, is_text) for texts in lines)


def as_csv(table: Table) -> str:
    """The table as CSV."""
    kinds = [column.data_type for column in table.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in table:
        writer.writerow([each.csvify(value) for each, value in zip(kinds, row, strict=True)])
    return text.getvalue().rstrip("\n")


def as_json(
    table: Table,
    key: str | Callable[[Row], Any] | None = None,
    newline: bool = False,
    indent: int | None = None,
    **options: Any,
) -> str:
    """The rows as JSON: a list, or by the values of ``key``, or one a line."""
    options = {"ensure_ascii": False, **options}
    kinds = [column.data_type for column in table.columns]

    def plain(row: Row) -> dict[str, Any]:
        values = [each.jsonify(value) for each, value in zip(kinds, row, strict=True)]
        return dict(zip(table.column_names, values, strict=True))

    if newline:
        return "\n".join(json.dumps(plain(row), **options) for row in table)
    if key is None:
        return json.dumps([plain(row) for row in table], indent=indent, **options)
    keyed = {key(row) if callable(key) else str(row[key]): plain(row) for row in table}
    return json.dumps(keyed, indent=indent, **options)


def kind(column: ColumnOfTable) -> str:
    """What agate and dbt call the type of ``column``."""
    found = {type(value).__name__ for value in column.values_without_nulls()} or {"int"}
    return _KINDS.get(found.pop(), "Text") if len(found) == 1 else "Text"


def _texts(values: Sequence[Any], max_precision: int | None) -> list[str]:
    numbers = [value for value in values if isinstance(value, Decimal) and value.is_finite()]
    most = max((-int(each.normalize().as_tuple().exponent) for each in numbers), default=0)
    places = most if max_precision is None else min(most, max_precision)
    cut = _CUT if most > places else ""

    def text(value: Any) -> str:
        if isinstance(value, Decimal) and value.is_finite():
            return f"{value:,.{max(places, 0)}f}{cut}"
        return "" if value is None else str(value)

    return [text(value) for value in values]


def _cut(text: str, width: int | None) -> str:
    if width is None or len(text) <= width:
        return text
    return text[: width - len(_MORE)] + _MORE


def _line(texts: Sequence[str], widths: Sequence[int], is_text: Sequence[bool]) -> str:
    padded = (
        text.ljust(width) if left else text.rjust(width)
        for text, width, left in zip(texts, widths, is_text, strict=True)
    )
    return f"| {' | '.join(padded)} |"
