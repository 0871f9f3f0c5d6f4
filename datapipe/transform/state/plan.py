"""The plan of a run: what it would do, and why."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.graph.select import Selection
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.options import Options
from datapipe.transform.state import records, resume
from datapipe.transform.state.decide import Decisions, decided


@frozen
class Planned:
    """A node of a plan; ``reason`` says why it is built, or why it is not."""

    unique_id: str
    resource_type: str
    name: str
    materialized: str
    relation: str
    reason: str


@frozen
class Plan:
    """What a run would build and test, each in order, and what it would reuse.

    ``keep`` is what the run that it resumes has built already; it would only be published.
    """

    build: tuple[Planned, ...]
    reuse: tuple[Planned, ...]
    test: tuple[Planned, ...]
    reuse_tests: tuple[Planned, ...]
    keep: tuple[Planned, ...] = ()
    warnings: tuple[str, ...] = ()


def planned(
    connection: psycopg.Connection,
    manifest: Manifest,
    renderer: Renderer,
    selection: Selection,
    options: Options,
) -> Plan:
    """What a run with these options would do, and why; changes nothing."""
    decisions = decided(connection, manifest, renderer, selection, options)
    kept = resume.kept(connection, decisions).kept if options.resume else {}
    failed = records.last_results(connection, manifest.project.name)
    models, tests = [], []
    for model in decisions.in_order:
        relation = f"{model.relation.schema}.{model.relation.identifier}"
        reason = _reason(decisions, failed, model.unique_id)
        models.append(
            Planned(
                model.unique_id,
                model.resource_type,
                model.name,
                model.materialized,
                relation,
                reason,
            )
        )
    for test in decisions.tests:
        reason = _reason(decisions, failed, test.unique_id)
        tests.append(Planned(test.unique_id, "test", test.name, "", "", reason))
    for unit in decisions.unit_tests:
        reason = _reason(decisions, failed, unit.unique_id)
        tests.append(Planned(unit.unique_id, "unit_test", unit.name, "", "", reason))
    return Plan(
        build=tuple(each for each in models if each.unique_id in decisions.why.keys() - kept),
        keep=tuple(each for each in models if each.unique_id in kept),
        reuse=tuple(each for each in models if each.unique_id in decisions.reused),
        test=tuple(each for each in tests if each.unique_id in decisions.why),
        reuse_tests=tuple(each for each in tests if each.unique_id in decisions.reused),
    )


def _reason(decisions: Decisions, failed: Mapping[str, str], unique_id: str) -> str:
    if unique_id in decisions.reused:
        return decisions.reused[unique_id]
    ended = {"error": "it failed in the last run", "fail": "it failed in the last run",
             "skipped": "the last run did not come to it"}  # fmt: skip
    why = decisions.why[unique_id]
    again = ended.get(failed.get(unique_id, ""), "")
    return f"{why}; {again}" if again else why
