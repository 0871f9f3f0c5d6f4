"""The documentation of a project: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from datapipe.errors import ProjectError
from datapipe.transform.compile import Compiler
from datapipe.transform.database import catalog, functions
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.statements import LARGE_BYTES, execute
from datapipe.transform.docs import drawing, lineage
from datapipe.transform.docs.entries import Entry, Facts, LastResult, entries, key_of
from datapipe.transform.docs.walk import OTHERS
from datapipe.transform.graph import ordered
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model, Source
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.opening import opened
from datapipe.transform.options import Options

_TEMPLATE = Path(__file__).with_name("page.html")


def page(connection: psycopg.Connection | None, options: Options) -> tuple[str, tuple[str, ...]]:
    """The documentation as HTML, and warnings; without a connection, from the files alone."""
    project = opened(connection, options)
    read, renderer = project.manifest, project.renderer
    with renderer.using(connection) if connection else nullcontext():
        facts, warnings = _facts(read, renderer, connection)
    found = entries(read, facts)
    warnings += [
        f"The columns of {entry.node} could not be traced: {entry.unknown_lineage}"
        for entry in found
        if entry.unknown_lineage
    ]
    return _rendered(read.project.name, found), (*project.warnings, *warnings)


def _facts(
    read: Manifest, renderer: Renderer, connection: psycopg.Connection | None
) -> tuple[Facts, list[str]]:
    relations = [model for model in read.models.values() if not model.is_function]
    called = [model.relation.published for model in read.models.values() if model.is_function]
    nodes: list[Model | Source] = [*read.sources.values(), *relations]
    names = {(node.relation.schema, node.relation.identifier): key_of(node) for node in nodes}
    states = catalog.states(connection, names) if connection else {}
    known = {
        key_of(node): {name: column.data_type or "" for name, column in node.columns.items()}
        | {OTHERS: ""}  # whoever describes a source leaves out what is of no use to him
        for node in read.sources.values()
        if node.columns
    } | {
        names[place]: {column.name: column.type for column in state.columns}
        for place, state in states.items()
    }
    compiled, warnings = _compiled(read, Compiler(read, renderer, _published))
    queries = [
        lineage.Query(model.key, model.relation, compiled[model.unique_id])
        for model in ordered(read.models)
        if model.unique_id in compiled and not model.is_function
    ]
    there = functions.states(connection, called) if connection else []
    facts = Facts(
        states=states,
        functions=frozenset(state.standing for state in there),
        rows=_row_counts(connection, states),
        compiled=compiled,
        results=_last_results(connection),
        lineage=lineage.traced(queries, {key_of(node): node.relation for node in nodes}, known),
    )
    return facts, warnings


def _compiled(read: Manifest, compiler: Compiler) -> tuple[dict[str, str], list[str]]:
    """The SQL of models and tests, and a warning for what cannot be compiled before it is built.

    An ephemeral model keeps its name in what reads it, so that columns lead back to it.
    """
    compiled: dict[str, str] = {}
    warnings: list[str] = []
    nodes: list[Model | DataTest] = [m for m in read.models.values() if not m.is_seed]
    for node in [*nodes, *read.tests]:
        try:
            compiled[node.unique_id] = compiler.rendered(node)[0]
        except ProjectError as error:
            warnings.append(f"The SQL of {node.name} is not shown: {error}")
    return compiled, warnings


def _last_results(connection: psycopg.Connection | None) -> dict[str, LastResult]:
    """The last result of each test by unique id; one that is reused has passed before."""
    if connection is None or not _exists(connection, "meta.run_results"):
        return {}
    rows = connection.execute(
        """
        SELECT DISTINCT ON (unique_id)
            unique_id, replace(status, 'reused', 'pass'), failures, started_at AT TIME ZONE 'UTC'
        FROM meta.run_results JOIN meta.transform_runs USING (run_id)
        WHERE resource_type IN ('test', 'unit_test') AND status <> 'skipped'
        ORDER BY unique_id, run_id DESC
        """
    )
    return {unique_id: LastResult(*result) for unique_id, *result in rows}


def _exists(connection: psycopg.Connection, relation: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [relation]).fetchone()
    return bool(row and row[0])


def _row_counts(
    connection: psycopg.Connection | None, states: Mapping[catalog.Name, catalog.RelationState]
) -> dict[catalog.Name, int]:
    """About how many rows each table has, as PostgreSQL's planner estimates.

    Small tables without an estimate are counted.
    """
    if connection is None:
        return {}
    places = {state.oid: place for place, state in states.items() if state.kind in {"r", "m"}}
    rows = connection.execute(
        "SELECT oid::bigint, reltuples::bigint, pg_relation_size(oid) FROM pg_class "
        "WHERE oid = ANY(%s::oid[])",
        [list(places)],
    )
    counts = {}
    for oid, count, size in rows.fetchall():
        if count < 0 and size <= LARGE_BYTES:
            table = states[places[oid]].local
            row = execute(connection, f"SELECT count(*) FROM {table}").fetchone()
            count = row[0] if row else 0
        if count >= 0:
            counts[places[oid]] = count
    return counts


def _rendered(name: str, found: tuple[Entry, ...]) -> str:
    import jinja2
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["markdown"] = lambda text: Markup(markdown.render(text))  # noqa: S704 - the renderer escapes HTML
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(found, key=lambda entry: (entry.group, entry.name)):
        groups.setdefault(entry.group, []).append(entry)
    tests = {(test.name, test.sql): test for entry in found for test in entry.all_tests}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        project=name,
        generated_at=datetime.now(UTC),
        entries={entry.node: entry for entry in found},
        groups=groups,
        tests=tests,
        drawing=drawing.drawn({entry.node: entry.reads for entry in found}),
        lineage=_embedded(found),
    )


def _embedded(found: tuple[Entry, ...]) -> list[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """For the page's script: each column, by node and name, with those that it comes from."""
    return [
        (entry.node, column.name, column.origin.columns)
        for entry in found
        for column in entry.columns
        if column.origin is not None
    ]


def _published(model: Model) -> Relation:
    return model.relation
