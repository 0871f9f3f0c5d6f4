"""What is known of earlier runs, for ``state:`` and ``result:`` in a selection."""

from __future__ import annotations

import psycopg

from datapipe.transform.graph.methods import Facts
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.state import definitions, records
from datapipe.transform.state.fingerprint import Defined, Fingerprints

# What dbt's words are for that which need not be done again.
_REUSED = {"test": "pass", "unit_test": "pass"}
# To dbt, what a test has only by name is modified, too, when the test is new.
_OF_NEW_TESTS = frozenset({"contract", "persisted_descriptions", "relation"})


def facts(
    connection: psycopg.Connection, manifest: Manifest, renderer: Renderer, target_schema: str
) -> Facts | None:
    """How the project differs from what was last published, and how the last run ended.

    None if nothing was ever run.
    """
    project = manifest.project.name
    if not _may_know(connection) or records.last_run(connection, project) is None:
        return None
    before = records.states(connection, target_schema, manifest.project.all_packages)
    fingerprints = Fingerprints(manifest, renderer)
    modified: dict[str, frozenset[str]] = {}
    new: set[str] = set()
    built = [model for model in manifest.models.values() if model.materialized != "ephemeral"]
    nodes: list[Defined] = [*built, *manifest.tests, *definitions.never_built(manifest)]
    parts = {node.unique_id: fingerprints.parts(node) for node in nodes}
    parts |= {test.unique_id: fingerprints.parts_of_unit_test(test) for test in manifest.unit_tests}
    for unique_id, now in parts.items():
        state = before.get(unique_id)
        if state is None:
            new.add(unique_id)
        was = state.parts if state else {}
        # The macros of what is new may be as old as any.
        changed = frozenset(
            part for part in now if now[part] != was.get(part) and (state or part != "macros")
        )
        if state is None and unique_id.startswith("test."):
            changed |= _OF_NEW_TESTS
        if changed:
            modified[unique_id] = changed
    results = {
        unique_id: _REUSED.get(unique_id.partition(".")[0], "success")
        if status == "reused"
        else status
        for unique_id, status in records.last_results(connection, project).items()
    }
    return Facts(new=frozenset(new), modified=modified, results=results)


def _may_know(connection: psycopg.Connection) -> bool:
    """Whether a run was ever made in this database."""
    row = connection.execute("SELECT to_regclass('meta.transform_runs') IS NOT NULL").fetchone()
    return bool(row and row[0])
