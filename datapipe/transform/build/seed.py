"""Seeds: small CSV files of the project, loaded by COPY.

A published table keeps its columns and their types, whatever the file would give it now, until a
full refresh is asked for: dbt empties that table and fills it again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.build import overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.build.seed_file import SeedTable, mistake, read
from datapipe.transform.build.site import Site
from datapipe.transform.build.table import create, finish
from datapipe.transform.database import catalog
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.jinja.context import near
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import place_of_setting
from datapipe.transform.project import Project
from datapipe.warehouse.failures import class_of, failure

_FILE = Relation.create(schema="pg_temp", identifier="datapipe_seed")
_TEXTS = ("text", "character")
_AT_ONCE = 5000  # rows that are written together
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def build(site: Site) -> Built:
    """Create the seed's table and fill it."""
    if overrides.makes_seed(site):
        from datapipe.transform.build import seed_by_macros  # late, as few projects need it

        return seed_by_macros.build(site)
    started = time.perf_counter()
    table = read(site.model)
    _tell_of_types(site, table)
    _load(site, table, site.aside, create(site))
    if not refreshes_fully(site.model, site.compiler.options.full_refresh):
        names = [site.model.relation.published, site.aside.standing]
        states = catalog.states(site.connection, names)
        old, new = (states.get(name) for name in names)
        if old is not None and new is not None and _keeps(old, new):
            _load_into_columns(site, table, old, new)
    finish(site, site.aside)
    return Built(site.model, site.aside, len(table.rows), time.perf_counter() - started)


def _tell_of_types(site: Site, table: SeedTable) -> None:
    """Warn of types for columns that the file does not have."""
    there = [name for name, _ in table.columns]
    known = {name.lower() for name in there}
    for name in site.model.config.get("column_types") or {}:
        if str(name).strip('"').lower() not in known:
            message = f"The seed {site.model.name} has no column {name}.{near(str(name), there)}"
            site.warn(str(site.error(message, "column_types", str(name))))


def _keeps(old: RelationState, new: RelationState) -> bool:
    """Whether the published table has all columns of the file, but is not just the same."""
    was = [(column.name, column.type) for column in old.columns]
    comes = [(column.name, column.type) for column in new.columns]
    return old.kind == "r" and was != comes and dict(comes).keys() <= dict(was).keys()


def _load_into_columns(
    site: Site, table: SeedTable, old: RelationState, new: RelationState
) -> None:
    """Load the file into a table with the columns of the published one."""
    types = {column.name: column.type for column in old.columns}
    others = [column for column in new.columns if column.type != types[column.name]]
    if others:
        told = ", ".join(f"{each.name} ({types[each.name]}, not {each.type})" for each in others)
        site.warn(
            f"The table of the seed {site.model.name} keeps the types that it has: {told}. To "
            "take those of the file or of column_types, run once with --full-refresh."
        )
    # A number with a fraction is no float8 on its way into another type.
    exact = {"float8": "numeric"}
    columns = tuple((name, exact.get(type_, type_)) for name, type_ in table.columns)
    values = [
        f"CAST({quoted(each.name)} AS {types[each.name]})"
        if each.type.startswith(_TEXTS) and not types[each.name].startswith(_TEXTS)
        else quoted(each.name)
        for each in new.columns
    ]
    names = ", ".join(quoted(each.name) for each in new.columns)
    like = f"LIKE {old.local} INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS"
    aside = site.aside.local
    into = f"INSERT INTO {aside} ({names}) SELECT {', '.join(values)} FROM {_FILE.local}"
    try:
        with site.connection.transaction():
            execute(site.connection, f"DROP TABLE {aside}; {create(site)} {aside} ({like})")
            _load(site, replace(table, columns=columns), _FILE, "CREATE TEMPORARY TABLE")
            execute(site.connection, f"{into}; DROP TABLE {_FILE.local}")
    except psycopg.Error as error:
        if class_of(error) not in {"22", "23", "42"}:
            raise failure(error, f"loading the seed {site.model.name}") from error
        raise mistake(
            site.model,
            f"The table {old.local} does not take this file: {error.diag.message_primary}. To "
            "take the types of the file or of column_types, run once with --full-refresh.",
            None,
        ) from error


def _load(site: Site, table: SeedTable, into: Relation, create: str) -> None:
    """Create a table with the seed's columns and fill it."""
    connection, seed = site.connection, site.model
    columns = ", ".join(f"{_column(seed, name)} {type_}" for name, type_ in table.columns)
    names = ", ".join(_column(seed, name) for name, _ in table.columns)
    zone = connection.info.timezone
    try:
        with connection.transaction():
            execute(connection, f"{create} {into.local} ({columns})")
            copy_in = f"COPY {into.local} ({names}) FROM STDIN".encode()
            with connection.cursor().copy(copy_in) as copy:
                for start in range(0, len(table.rows), _AT_ONCE):
                    block = table.rows[start : start + _AT_ONCE]
                    columns_ = (
                        [_written(value, zone) for value in of] for of in zip(*block, strict=True)
                    )
                    lines = map("\t".join, zip(*columns_, strict=True))
                    copy.write("\n".join(lines) + "\n")
    except psycopg.Error as error:
        project = site.compiler.manifest.project
        raise _told(error, seed, table, project, connection) from error


def _written(value: Any, zone: Any) -> str:
    """The value as COPY reads it.

    A timestamp with a zone is written in the session's zone, since its column has none.
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
    project: Project,
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
        named = "" if error.sqlstate == "42601" else said.partition('"')[2].partition('"')[0]
        if bad or named:
            words = ("column_types", bad or named)
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
