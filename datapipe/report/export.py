"""Reports for programs: CSV and JSON, every digit as PostgreSQL holds it.

Texts are written as they are stored. A name that begins with ``=``, ``+``, ``-`` or ``@`` would be
run as a formula by a spreadsheet; changing it here would corrupt it for everyone else, so
``formulas`` finds such names and the caller can warn.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from json import dumps
from math import isfinite
from typing import Any, TextIO

from datapipe.report.result import Report


def csv(report: Report, stream: TextIO) -> None:
    """Write ``report`` as CSV: quoted as RFC 4180 says, lines ended as PostgreSQL's COPY ends them.

    NULL is empty, an empty text is ``""``; arrays such as sparklines are left out.
    """
    shown = [index for index, each in enumerate(report.columns) if each.kind != "sparkline"]
    lines = [[report.columns[index].name for index in shown]]
    lines += [[_csv(row[index]) for index in shown] for row in report.rows]
    stream.writelines(",".join(line) + "\n" for line in lines)


def json(report: Report, stream: TextIO) -> None:
    """Write ``report`` as one JSON object with its rows as objects, numbers as exact numbers.

    JSON has no word for NaN or infinity: they become null.
    """
    names = [dumps(column.name, ensure_ascii=False) for column in report.columns]
    rows = [
        "{" + ", ".join(f"{name}: {_json(value)}" for name, value in zip(names, row, strict=True))
        for row in report.rows
    ]
    stream.write(
        f'{{"report": {_json(report.name)}, "synthetic": {_json(report.synthetic)}, '
        f'"as_of": {_json(report.as_of)}, "rows": ['
        + ",".join(f"\n  {row}}}" for row in rows)
        + ("\n]}\n" if rows else "]}\n")
    )


def formulas(report: Report) -> tuple[str, ...]:
    """The texts in ``report`` that a spreadsheet would run as formulas when it opens the CSV."""
    texts = (value for row in report.rows for value in row if isinstance(value, str))
    return tuple(dict.fromkeys(text for text in texts if text.startswith(tuple("=+-@\t\r"))))


def _csv(value: Any) -> str:
    if value is None:
        return ""
    text = _plain(value)
    if not isinstance(value, str):
        text = dumps(value, default=_plain) if isinstance(value, (list, tuple, dict)) else text
    if text == "" or text != text.strip() or any(special in text for special in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _json(value: Any) -> str:
    if isinstance(value, (Decimal, float)):
        return _plain(value) if isfinite(value) else "null"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_json, value)) + "]"
    if value is None or isinstance(value, (bool, int, str, dict)):
        return dumps(value, ensure_ascii=False, default=_plain)
    return dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> str:
    """A value as text, without exponents; dates and times as ISO 8601."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)
