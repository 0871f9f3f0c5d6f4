"""Keeps the rows that data tests find in tables and views, as ``store_failures`` asks for.

A table is written as soon as its test is run, so the rows of a failed test can be looked at though
nothing is published. A view is made at the end of the run, over the models where they stand then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import psycopg

from datapipe.errors import DatapipeError, ProjectError, PublishError
from datapipe.frozen import frozen
from datapipe.transform.build import aside
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.compile.naming import AUDIT, name_of_test
from datapipe.transform.database.catalog import arrays_of
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.manifest.nodes import Model, Source
from datapipe.transform.manifest.setting_lines import below
from datapipe.transform.manifest.tests import DataTest

_MARK = "Rows that a data test found; made anew by datapipe transform each time it is run."
_TAKEN = ("raw", "meta")
_KINDS = {"r": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW"}

Kept = Literal["table", "view"]


@frozen
class Keeper:
    """Where the rows of one test are kept, and what stands there now."""

    relation: Relation
    kind: Kept
    there: str = ""

    def freed(self) -> str:
        """The statements that remove what stands there."""
        schema = f"CREATE SCHEMA IF NOT EXISTS {quoted(self.relation.schema)};\n"
        return schema + (f"DROP {self.there} {self.relation.local};\n" if self.there else "")

    def marked(self) -> str:
        return f"COMMENT ON {self.kind.upper()} {self.relation.local} IS {literal(_MARK)};\n"


def kept_as(test: DataTest, *, otherwise: bool) -> Kept | None:
    """What keeps the rows of ``test``: as dbt has it, ``store_failures_as`` counts first.

    If its settings say nothing, it is a table if ``otherwise`` is True.
    """
    kind: Any = test.config.get("store_failures_as")
    if kind is None:
        return "table" if otherwise else None
    if kind not in {"table", "view", "ephemeral"}:
        raise ProjectError(
            f"store_failures_as is table, view or ephemeral, not {kind}.",
            path=test.path,
            line=below(test.path, test.line, "store_failures_as") or test.line,
            model=test.of,
        )
    return kind if kind in {"table", "view"} else None


def check(tests: Iterable[DataTest], compiler: Compiler) -> None:
    """Raise ProjectError for two of ``tests`` that would keep their rows in one place."""
    found: dict[tuple[str, str], DataTest] = {}
    for test in tests:
        kind = test.config.get("store_failures_as")
        if not (compiler.options.store_failures if kind is None else kind in {"table", "view"}):
            continue
        relation = name_of_test(test, compiler.renderer)
        other = found.setdefault(relation.published, test)
        if other is not test:
            raise ProjectError(
                f"The test {test.name} would keep its rows in {relation.local}, as {other.name} in "
                f"{other.path}, line {other.line}, does. Give one of them a name: or an alias of "
                "its own.",
                path=test.path,
                line=test.line,
                model=test.of,
            )


def keeper(connection: psycopg.Connection, test: DataTest, compiler: Compiler) -> Keeper | None:
    """Where ``test`` keeps its rows; raises ProjectError where that would destroy something."""
    kind = kept_as(test, otherwise=compiler.options.store_failures)
    if kind is None:
        return None
    relation = _placed(test, compiler)
    row = connection.execute(
        "SELECT relkind::text, obj_description(oid, 'pg_class') FROM pg_class "
        "WHERE oid = to_regclass(%s)",
        [relation.local],
    ).fetchone()
    if row is None:
        return Keeper(relation, kind)
    audit = str(test.config.get("schema") or AUDIT) == AUDIT
    if row[0] not in _KINDS or not (row[1] == _MARK or audit):
        raise ProjectError(
            f"The test {test.name} would keep its rows in {relation.local}, and datapipe did not "
            "make what stands there. Give the test another alias or schema, or drop it.",
            path=test.path,
            line=test.line,
            model=test.of,
        )
    return Keeper(relation, kind, _KINDS[row[0]])


def _placed(test: DataTest, compiler: Compiler) -> Relation:
    """The table that would keep its rows; raises ProjectError if that holds other data."""
    relation = name_of_test(test, compiler.renderer)
    manifest = compiler.manifest
    others: list[Model | Source] = [*manifest.models.values(), *manifest.sources.values()]
    taken = any(each.relation.published == relation.published for each in others)
    if relation.schema in _TAKEN or taken:
        raise ProjectError(
            f"The test {test.name} would keep its rows in {relation.local}, which holds other "
            "data. Give it another alias or schema.",
            path=test.path,
            line=test.line,
            model=test.of,
        )
    return relation


def forget(connection: psycopg.Connection, relations: Iterable[Relation] = ()) -> None:
    """Drop views of failures that read what stands aside, or any of ``relations``.

    They would keep the first from being dropped, and the others from being replaced.
    """
    names = [(each.schema, each.identifier) for each in relations]
    found = connection.execute(
        """
        WITH kept AS MATERIALIZED (
            SELECT v.oid, format('%%I.%%I', n.nspname, v.relname) AS name
            FROM pg_description d
            JOIN pg_class v ON v.oid = d.objoid AND v.relkind = 'v'
            JOIN pg_namespace n ON n.oid = v.relnamespace
            WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND d.description = %s
        )
        SELECT DISTINCT kept.name
        FROM kept
        JOIN pg_rewrite r ON r.ev_class = kept.oid
        JOIN pg_depend p ON p.classid = 'pg_rewrite'::regclass AND p.objid = r.oid
            AND p.refclassid = 'pg_class'::regclass AND p.refobjid <> kept.oid
        JOIN pg_class base ON base.oid = p.refobjid
        JOIN pg_namespace b ON b.oid = base.relnamespace
        WHERE b.nspname = ANY(%s)
            OR (b.nspname, base.relname) IN (SELECT * FROM unnest(%s::name[], %s::name[]))
        """,
        [_MARK, aside.left_over(connection), *arrays_of(names)],
    ).fetchall()
    if not found:
        return
    try:
        execute(connection, f"DROP VIEW {', '.join(row[0] for row in found)}")
    except psycopg.errors.DependentObjectsStillExist as error:
        raise PublishError(
            f"Something depends on a view of failures: {error.diag.message_detail} Drop it; such "
            "views are made anew by each run."
        ) from error


def views(
    connection: psycopg.Connection, tests: Iterable[DataTest], compiler: Compiler
) -> list[str]:
    """Make the views of the failures of ``tests`` anew; gives a warning for each that fails.

    They read the models where ``compiler`` places them. Commits each; safe to repeat.
    """
    warnings = []
    for test in tests:
        if test.config.get("store_failures_as") != "view":
            continue
        try:
            kept = keeper(connection, test, compiler)
            assert kept is not None  # noqa: S101 - its kind was asked for above
            rows = limited(compiler.test(test, this=kept.relation))
            made = f"CREATE VIEW {kept.relation.local} AS (\n{rows});\n"
            execute(connection, kept.freed() + made + kept.marked())
        except (psycopg.Error, DatapipeError) as error:
            warnings.append(f"The rows that {test.name} found are not kept: {str(error).strip()}")
    return warnings


def limited(compiled: Compiled) -> str:
    """The SQL of a test with its ``limit``, ending in a new line."""
    assert isinstance(compiled.node, DataTest)  # noqa: S101 - it compiles tests alone
    limit = compiled.node.config.get("limit")
    return f"{compiled.sql}\n" + (f"LIMIT {limit}\n" if limit is not None else "")
