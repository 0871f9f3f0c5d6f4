"""Contracts: the columns that a model promises in YAML, and the constraints on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.build.site import Site, Stopped
from datapipe.transform.compile.columns import place_of_column
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.contract_columns import contract_columns
from datapipe.transform.manifest.nodes import Column
from datapipe.transform.manifest.setting_lines import place_of_setting
from datapipe.warehouse.failures import class_of, failure

# To dbt these types are one, each row of them: a contract does not tell them apart.
_SAME = (
    {21, 23},  # smallint, integer
    {700, 701},  # real, double precision
    {18, 19, 25, 1042, 1043},  # "char", name, text, character, character varying
    {1083, 1266},  # time, with a zone or without
    {704, 1186},
    {1005, 1006, 1007},
    {1021, 1022},
    {1002, 1003, 1009, 1014, 1015},
    {1183, 1270},
)
_CLASS = {oid: min(same) for same in _SAME for oid in same}


def check(site: Site) -> tuple[Column, ...]:
    """The columns that the contract declares; raises ProjectError if the query has others."""
    declared = tuple(contract_columns(site.model).values())
    if not declared:
        raise _broken(
            site, "", "declares no columns. List them under columns:, with their data_type."
        )
    untyped = [column.name for column in declared if not column.data_type]
    if untyped:
        raise _broken(site, untyped[0], f"gives no data_type for {', '.join(untyped)}.")
    header = str(site.model.config.get("sql_header") or "")
    header = f"{header};\n" if header.strip() else ""
    before = f"{site.compiler.reading(site.compiled.sql)}{header}SELECT * FROM (\n"
    with site.connection.transaction(force_rollback=True):  # the header may make things
        try:
            given = _described(site, f"{before}{site.compiled.sql}\n) AS query WHERE false LIMIT 0")
        except psycopg.Error as error:
            raise Stopped(error, site.compiled, [len(before)], site.compiler) from error
    casts = ", ".join(f"CAST(NULL AS {each.data_type}) AS {written(each)}" for each in declared)
    try:
        expected = _described(site, f"SELECT {casts} WHERE false LIMIT 0")
    except psycopg.Error as error:
        raise _not_understood(site, error) from error
    lines = list(_differences(given, expected, declared))
    if lines:
        widths = [max(len(line[at]) for line in (_HEAD, *lines)) for at in range(4)]
        table = "\n".join(
            "  "
            + " | ".join(
                cell.ljust(width) for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in (_HEAD, *lines)
        )
        name = lines[0][0]
        given_as = next((each for each, type_, *_ in lines if type_), name)
        setting = "data_type" if name in {column for column, *_ in given} else ""
        raise _broken(site, name, f"is not what {_in_sql(site, given_as)} gives:\n{table}", setting)
    return declared


_HEAD = ("column", "model", "contract", "what is wrong")


def columns_and_constraints(site: Site, declared: Sequence[Column]) -> str:
    """What stands between the brackets of CREATE TABLE, without foreign keys."""
    lines = []
    for column in declared:
        parts = [f"{written(column)} {column.data_type}"]
        parts += [_column_constraint(each) for each in column.constraints]
        lines.append(" ".join(part for part in parts if part))
    lines += [_model_constraint(each) for each in site.model.constraints]
    return ",\n".join(line for line in lines if line)


def tell_not_enforced(site: Site) -> None:
    """Warn of constraints on what PostgreSQL can have no constraints on."""
    model = site.model
    of_columns = [each for column in model.columns.values() for each in column.constraints]
    if any(each.get("warn_unsupported", True) for each in (*of_columns, *model.constraints)):
        site.warn(
            f"The model {model.name} is a {model.materialized.replace('_', ' ')}, so its "
            "constraints are not enforced: only those of a table or an incremental model are."
        )


def written(column: Column) -> str:
    """The name of the column as SQL, quoted if YAML says so."""
    return quoted(column.name) if column.quote else column.name


def _described(site: Site, query: str) -> list[tuple[str, int, str]]:
    """Name, type and the type in words, for each column of a query."""
    cursor = execute(site.connection, query)
    while cursor.nextset():
        pass
    described = cursor.description or []
    return [(column.name, column.type_code, column.type_display) for column in described]


def _differences(
    given: Sequence[tuple[str, int, str]],
    expected: Sequence[tuple[str, int, str]],
    declared: Sequence[Column],
) -> Iterator[tuple[str, str, str, str]]:
    of_query = {name: (oid, type_) for name, oid, type_ in given}
    for (name, oid, _), column in zip(expected, declared, strict=True):
        type_ = str(column.data_type)
        if name not in of_query:
            yield name, "", type_, "missing in the model"
        elif _CLASS.get(of_query[name][0], of_query[name][0]) != _CLASS.get(oid, oid):
            yield name, of_query[name][1], type_, "another data type"
    known = {name for name, _, _ in expected}
    for name, _, type_ in given:
        if name not in known:
            yield name, type_, "", "missing in the contract"


def _column_constraint(given: Mapping[str, Any]) -> str:
    kind, expression = given.get("type"), str(given.get("expression") or "")
    if kind in {"not_null", "unique", "primary_key"}:
        return f"{kind.replace('_', ' ')} {expression}".strip()
    if kind == "check" and expression:
        return f"check ({expression})"
    return expression if kind == "custom" else ""


def _model_constraint(given: Mapping[str, Any]) -> str:
    kind, expression = given.get("type"), str(given.get("expression") or "")
    named = f"constraint {given['name']} " if given.get("name") else ""
    columns = ", ".join(map(str, given.get("columns") or []))
    if kind in {"unique", "primary_key"}:
        what = f"{kind.replace('_', ' ')} {expression}".strip()
        return f"{named}{what} ({columns})"
    if kind == "check" and expression:
        return f"{named}check ({expression})"
    return f"{named}{expression}" if kind == "custom" and expression else ""


def _broken(site: Site, column: str, what: str, setting: str = "data_type") -> ProjectError:
    """The error for ``column``, at its ``setting`` in YAML or else where the model has it."""
    message = f"The contract of the model {site.model.name} {what}"
    declared = column in site.model.columns
    words = (f"name: {column}", setting) if declared else (column or "contract",)
    path, line = (site.model.path, None) if declared else place_of_column(site.model, column)
    if line is not None:
        return ProjectError(message, path=path, line=line, model=site.model.name, about=column)
    error = site.error(message, *words)
    if error.line is None:
        return site.error(message, "contract")
    return error


def _in_sql(site: Site, column: str) -> str:
    """The line of the model's file that has ``column``; the file alone if none has."""
    path, line = place_of_column(site.model, column)
    if line is None:
        path, line = place_of_setting(replace(site.model, described_at=None), column)
    return f"{path}:{line}" if line else str(path)


def _not_understood(site: Site, error: psycopg.Error) -> DatapipeError:
    if class_of(error) != "42":
        return failure(error, f"reading the contract of {site.model.name}")
    said = error.diag.message_primary or ""
    named = [each.name for each in site.model.columns.values() if f'"{each.data_type}"' in said]
    return _broken(
        site,
        named[0] if named else "",
        f"has a data_type that PostgreSQL does not take: {said}.",
    )
