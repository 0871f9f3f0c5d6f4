"""From the marts to people: a report is one SELECT of the SQL project, run and shown.

``run`` gives the rows. ``datapipe.report.terminal`` shows them, ``datapipe.report.export`` writes
them for programs.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from datapipe.errors import UsageError, WarehouseError
from datapipe.report.query import select
from datapipe.report.result import Column, Kind, Report
from datapipe.report.template import Rendered, find, render
from datapipe.symbols import unique
from datapipe.warehouse import Warehouse

__all__ = ["Column", "Kind", "Report", "run"]

_SAMPLE = "sample"


def run(
    warehouse: Warehouse, project_dir: Path, *, name: str = "market", symbols: Sequence[str] = ()
) -> Report:
    """The report ``name`` of the project, of all symbols or only of ``symbols``; changes nothing.

    Raises UsageError for an unknown report or symbol, WarehouseError before anything was
    published, ProjectError for a mistake in the report's SQL.
    """
    path = find(project_dir, name)
    asked = unique(symbols)
    if warehouse.server is not None and not warehouse.server.is_initialised():
        raise _nothing_published(warehouse)
    # Read committed: a table that is published meanwhile would look empty to an older snapshot.
    with warehouse.connect() as connection:
        connection.read_only = True
        relations = _published(connection)
        if not relations:
            raise _nothing_published(warehouse)
        rendered = render(path, relations, asked)
        if asked and not rendered.takes_symbols:
            raise UsageError(
                f"The report {name} cannot be narrowed to symbols: its SQL does not read "
                f"var('symbols'). Ask for it without symbols, or change {path}."
            )
        if asked and "dim_company" in relations:
            _refuse_unknown(warehouse, connection, relations["dim_company"], asked)
        columns, rows = select(connection, rendered)
    return _marked(name, rendered, columns, rows, synthetic=warehouse.synthetic)


def _published(connection: psycopg.Connection) -> dict[str, str]:
    """The quoted relation of each published model, by the model's name."""
    try:
        with connection.transaction():
            models = connection.execute(
                "SELECT name, schema_name, relation_name FROM meta.models"
            ).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return {}
    return {
        name: sql.Identifier(schema, relation).as_string(connection)
        for name, schema, relation in models
    }


def _nothing_published(warehouse: Warehouse) -> WarehouseError:
    return WarehouseError(
        f"There is nothing to report yet in {warehouse.name}. Publish the models with: datapipe "
        "run-all. To try it on sample data, without a key: datapipe run-all --source sample"
    )


def _refuse_unknown(
    warehouse: Warehouse, connection: psycopg.Connection, companies: str, asked: tuple[str, ...]
) -> None:
    rows = connection.execute(b"SELECT symbol FROM " + companies.encode()).fetchall()
    known = sorted(row[0] for row in rows)
    unknown = [symbol for symbol in asked if symbol not in set(known)]
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.5)
    if near:
        cure = f"Did you mean {' or '.join(near)}?"
    elif warehouse.synthetic:
        cure = f"The sample has only {', '.join(known)}."
    else:
        cure = f"Fetch first: datapipe run-all --symbols {','.join(unknown)}"
    raise UsageError(f"Not in the warehouse: {', '.join(unknown)}. {cure}")


def _marked(
    name: str,
    rendered: Rendered,
    columns: tuple[Column, ...],
    rows: list[tuple[Any, ...]],
    *,
    synthetic: bool,
) -> Report:
    """The report; where any price in it is synthetic, it says so, and so does each row."""
    names = [column.name for column in columns]
    if "source" in names:
        at = names.index("source")
        synthetic = synthetic or any(row[at] == _SAMPLE for row in rows)
        if synthetic:
            rows = [(*row[:at], row[at] or _SAMPLE, *row[at + 1 :]) for row in rows]
    elif synthetic:
        columns = (*columns, Column("source", "text"))
        rows = [(*row, _SAMPLE) for row in rows]
    sessions: list[date] = []
    if Column("session_date", "date") in columns:
        at = names.index("session_date")
        sessions = [row[at] for row in rows if row[at] is not None]
    return Report(
        name=name,
        title=str(rendered.meta.get("title") or name.replace("_", " ").capitalize()),
        columns=columns,
        rows=tuple(rows),
        synthetic=synthetic,
        as_of=max(sessions, default=None),
    )
