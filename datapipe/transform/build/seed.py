"""Seeds: small CSV files of the project, loaded by COPY."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.build import overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.seed_file import SeedTable, mistake, read
from datapipe.transform.build.site import Site
from datapipe.transform.build.table import create, finish
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.written import place_of_setting
from datapipe.transform.project import Project
from datapipe.warehouse.failures import class_of, failure

_AT_ONCE = 5000  # rows that are written together
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


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
        return mistake(
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


def _is_type(connection: psycopg.Connection, type_: str) -> bool:
    try:
        with connection.transaction():
            execute(connection, f"SELECT CAST(NULL AS {type_})")
    except psycopg.Error:
        return False
    return True
