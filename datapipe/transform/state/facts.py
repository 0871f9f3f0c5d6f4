"""What is known of earlier runs, for ``state:`` and ``result:`` in a selection."""

from __future__ import annotations

import psycopg

from datapipe.transform.graph.methods import Facts
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import DataTest, Model
from datapipe.transform.state import records
from datapipe.transform.state.fingerprint import Fingerprints

# What dbt's words are for that which need not be done again.
_REUSED = {"test": "pass", "unit_test": "pass"}


def facts(
    connection: psycopg.Connection, manifest: Manifest, renderer: Renderer, target_schema: str
) -> Facts | None:
    """How the project differs from what was last published, and how the last run ended.

    None where nothing was ever run.
    """
    project = manifest.project.name
    if not _may_know(connection) or records.last_run(connection, project) is None:
        return None
    before = records.states(connection, target_schema)
    fingerprints = Fingerprints(manifest, renderer)
    modified: dict[str, frozenset[str]] = {}
    new: set[str] = set()
    nodes: list[Model | DataTest] = [*manifest.models.values(), *manifest.tests]
    for node in nodes:
        if isinstance(node, Model) and node.materialized == "ephemeral":
            continue
        now, state = fingerprints.parts(node), before.get(node.unique_id)
        if state is None:
            new.add(node.unique_id)
        was = state.parts if state else {}
        changed = frozenset(part for part in now if now[part] != was.get(part))
        if changed:
            modified[node.unique_id] = changed
    for unit in manifest.unit_tests:
        state = before.get(unit.unique_id)
        if state is None:
            new.add(unit.unique_id)
        if state is None or state.sql_hash != fingerprints.unit_test(unit):
            modified[unit.unique_id] = frozenset({"body"})
    results = {
        unique_id: _REUSED.get(unique_id.partition(".")[0], "success")
        if status == "reused"
        else status
        for unique_id, status in records.last_results(connection, project).items()
    }
    return Facts(new=frozenset(new), modified=modified, results=results)


def _may_know(connection: psycopg.Connection) -> bool:
    """Whether this database was ever made ready for a run."""
    row = connection.execute("SELECT to_regclass('meta.transform_runs') IS NOT NULL").fetchone()
    return bool(row and row[0])
