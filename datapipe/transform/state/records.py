"""What runs record in the schema ``meta`` for those that come after them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.options import Options
from datapipe.transform.results import NodeResult, TestResult
from datapipe.transform.state.tokens import Token

NOT_PASSED = "did not pass in the last run"
_KEPT_RUNS = 100
_KEPT_OPTIONS = ("indirect", "store_failures", "event_time_start", "event_time_end", "per_model")


@frozen
class NodeState:
    """A model as it was published, or a test as it passed.

    ``unsteady`` says why it may have another result tomorrow. ``functions`` are hashes of those
    that were called, by name. ``output`` is None for a test. ``changed`` are the models whose rows
    its template or its hooks have changed.
    """

    unique_id: str
    form: str
    sql_hash: str
    settings: Mapping[str, str]
    parts: Mapping[str, str]
    unsteady: str = ""
    relation: str | None = None
    output: Token | None = None
    inputs: Mapping[str, Token] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    changed: tuple[str, ...] = ()

    @property
    def is_of_a_function(self) -> bool:
        return self.unique_id.startswith("function.")

    def stored(self) -> dict[str, Any]:
        """All that is recorded of it, except the time that it took."""
        tokens = {key: token.stored() for key, token in self.inputs.items()}
        inputs = {"relations": tokens, "functions": dict(self.functions)}
        return {
            "unique_id": self.unique_id,
            "form": self.form,
            "sql_hash": self.sql_hash,
            "settings": dict(self.settings),
            "parts": dict(self.parts),
            "unsteady": self.unsteady,
            "relation": self.relation,
            "output": self.output.stored() if self.output else None,
            "inputs": {**inputs, "changed": list(self.changed)} if self.changed else inputs,
        }


@frozen
class LastRun:
    """What the last run was asked for; ``succeeded`` is False if it was killed.

    ``options`` are those that were given to it, by name.
    """

    run_id: int
    select: tuple[str, ...]
    exclude: tuple[str, ...]
    variables: Mapping[str, Any]
    full_refresh: bool
    target_schema: str
    succeeded: bool
    options: Mapping[str, Any]


@frozen
class Aside:
    """A node that a run has built and not published."""

    run_id: int
    schema: str
    name: str
    oid: int
    state: NodeState
    built_on: Mapping[str, int]


def states(
    connection: psycopg.Connection, target_schema: str, packages: Iterable[str]
) -> dict[str, NodeState]:
    """What is recorded of the nodes of these packages, by unique id."""
    rows = connection.execute(
        "SELECT unique_id, form, sql_hash, settings, parts, unsteady, relation, output, inputs, "
        "seconds FROM meta.node_states "
        "WHERE target_schema = %s AND split_part(unique_id, '.', 2) = ANY(%s)",
        [target_schema, list(packages)],
    )
    return {row[0]: _state(row) for row in rows}


def write(
    connection: psycopg.Connection, run_id: int, target_schema: str, states: Sequence[NodeState]
) -> None:
    """Record ``states`` in place of what was recorded of these nodes."""
    if not states:
        return
    connection.execute(
        """
        INSERT INTO meta.node_states AS s
            (target_schema, run_id, unique_id, form, sql_hash, settings, parts, unsteady, relation,
             output, inputs, seconds)
        SELECT %s, %s, new.* FROM json_to_recordset(%s::json) AS new (
            unique_id text, form text, sql_hash text, settings jsonb, parts jsonb, unsteady text,
            relation text, output jsonb, inputs jsonb, seconds float8)
        ON CONFLICT (unique_id, target_schema) DO UPDATE SET
            run_id = excluded.run_id, form = excluded.form, sql_hash = excluded.sql_hash,
            settings = excluded.settings, parts = excluded.parts, unsteady = excluded.unsteady,
            relation = excluded.relation, output = excluded.output, inputs = excluded.inputs,
            seconds = excluded.seconds, recorded_at = excluded.recorded_at
        """,
        [
            target_schema,
            run_id,
            _json([{**each.stored(), "seconds": each.seconds} for each in states]),
        ],
    )


def forget(connection: psycopg.Connection, target_schema: str, unique_ids: Iterable[str]) -> None:
    """Forget these nodes, so that the next run does them again."""
    connection.execute(
        "DELETE FROM meta.node_states WHERE target_schema = %s AND unique_id = ANY(%s)",
        [target_schema, list(unique_ids)],
    )


def doubt(connection: psycopg.Connection, target_schema: str, unique_ids: Sequence[str]) -> None:
    """Let the next run do these tests again, as they have not passed."""
    if not unique_ids:
        return
    connection.execute(
        "UPDATE meta.node_states SET unsteady = %s "
        "WHERE target_schema = %s AND unique_id = ANY(%s)",
        [NOT_PASSED, target_schema, unique_ids],
    )


def begin_run(connection: psycopg.Connection, run_id: int, project: str, options: Options) -> None:
    """Record what a run was asked for."""
    connection.execute(
        "INSERT INTO meta.transform_runs (run_id, project, target_schema, selected, excluded, "
        "variables, full_refresh, options) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (run_id) DO UPDATE SET succeeded = NULL, started_at = excluded.started_at, "
        "selected = excluded.selected, excluded = excluded.excluded, "
        "variables = excluded.variables, full_refresh = excluded.full_refresh, "
        "project = excluded.project, target_schema = excluded.target_schema, "
        "options = excluded.options",
        [
            run_id,
            project,
            options.target_schema,
            _json(list(options.select)),
            _json(list(options.exclude)),
            _json(dict(options.variables)),
            options.full_refresh,
            _json({name: getattr(options, name) for name in _KEPT_OPTIONS}),
        ],
    )


def end_run(
    connection: psycopg.Connection, run_id: int, results: Sequence[NodeResult], *, succeeded: bool
) -> None:
    """Record how a run and each of its nodes ended; runs of long ago are forgotten."""
    ended = [
        {
            "unique_id": each.unique_id,
            "resource_type": each.resource_type,
            "name": each.name,
            "status": each.status,
            "message": each.message.replace("\0", ""),
            "failures": each.failures if isinstance(each, TestResult) else None,
            "seconds": each.seconds,
        }
        for each in results
    ]
    connection.execute("DELETE FROM meta.run_results WHERE run_id = %s", [run_id])
    connection.execute(
        "INSERT INTO meta.run_results (run_id, unique_id, resource_type, name, status, message, "
        "failures, seconds) SELECT DISTINCT ON (unique_id) %s, new.* FROM "
        "json_to_recordset(%s::json) AS new (unique_id text, resource_type text, name text, "
        "status text, message text, failures bigint, seconds float8)",
        [run_id, _json(ended)],
    )
    connection.execute(
        "UPDATE meta.transform_runs SET succeeded = %s WHERE run_id = %s", [succeeded, run_id]
    )
    connection.execute(
        "DELETE FROM meta.run_results WHERE run_id < (SELECT min(run_id) FROM (SELECT run_id "
        "FROM meta.transform_runs ORDER BY started_at DESC LIMIT %s) latest)",
        [_KEPT_RUNS],
    )


def last_run(connection: psycopg.Connection, project: str | None = None) -> LastRun | None:
    """What the last run of ``project`` was asked for, and whether it succeeded."""
    row = connection.execute(
        "SELECT run_id, selected, excluded, variables, full_refresh, target_schema, "
        "coalesce(succeeded, false), options FROM meta.transform_runs "
        "WHERE project = coalesce(%s, project) ORDER BY started_at DESC, run_id DESC LIMIT 1",
        [project],
    ).fetchone()
    if row is None:
        return None
    kept = {
        name: datetime.fromisoformat(value) if value and name.startswith("event_time") else value
        for name, value in row[7].items()
    }
    return LastRun(
        row[0], tuple(row[1]), tuple(row[2]), row[3], row[4], row[5], succeeded=row[6], options=kept
    )


def last_results(connection: psycopg.Connection, project: str) -> dict[str, str]:
    """How each node ended in the last finished run of ``project``, by unique id."""
    rows = connection.execute(
        "SELECT unique_id, status FROM meta.run_results WHERE run_id = (SELECT run_id "
        "FROM meta.transform_runs WHERE project = %s AND succeeded IS NOT NULL "
        "ORDER BY started_at DESC, run_id DESC LIMIT 1)",
        [project],
    )
    return dict(rows.fetchall())


def put_aside(connection: psycopg.Connection, asides: Sequence[Aside]) -> None:
    """Record what lies aside."""
    stored = [
        {
            "unique_id": each.state.unique_id,
            "run_id": each.run_id,
            "schema_name": each.schema,
            "relation_name": each.name,
            "state": {**each.state.stored(), "oid": each.oid, "built_on": dict(each.built_on)},
        }
        for each in asides
    ]
    connection.execute(
        "INSERT INTO meta.built_aside (unique_id, run_id, schema_name, relation_name, state) "
        "SELECT * FROM json_to_recordset(%s::json) AS new (unique_id text, run_id bigint, "
        "schema_name text, relation_name text, state jsonb) "
        "ON CONFLICT (unique_id) DO UPDATE SET run_id = excluded.run_id, "
        "schema_name = excluded.schema_name, relation_name = excluded.relation_name, "
        "state = excluded.state",
        [_json(stored)],
    )


def lying_aside(connection: psycopg.Connection) -> dict[str, Aside]:
    """What the last run has built and not published, by unique id."""
    rows = connection.execute(
        "SELECT unique_id, run_id, schema_name, relation_name, state FROM meta.built_aside"
    )
    found = {}
    for unique_id, run_id, schema, name, stored in rows:
        keys = ("form", "sql_hash", "settings", "parts", "unsteady", "relation", "output", "inputs")
        state = _state((unique_id, *(stored[key] for key in keys), 0.0))
        found[unique_id] = Aside(run_id, schema, name, stored["oid"], state, stored["built_on"])
    return found


def nothing_aside(connection: psycopg.Connection, *, but: Iterable[str] = ()) -> None:
    """Record that nothing lies aside any more, except ``but``: it was published or dropped."""
    connection.execute("DELETE FROM meta.built_aside WHERE unique_id <> ALL(%s)", [list(but)])


def _state(row: tuple[Any, ...]) -> NodeState:
    unique_id, form, sql_hash, settings, parts, unsteady, relation, output, inputs, seconds = row
    return NodeState(
        unique_id=unique_id,
        form=form,
        sql_hash=sql_hash,
        settings=settings,
        parts=parts,
        unsteady=unsteady,
        relation=relation,
        output=Token.read(output) if output else None,
        inputs={key: Token.read(token) for key, token in inputs["relations"].items()},
        functions=inputs["functions"],
        seconds=seconds,
        changed=tuple(inputs.get("changed", ())),
    )


def _json(value: object) -> str:
    """``value`` as JSON without escapes, which not every encoding of a database can take."""
    return json.dumps(value, ensure_ascii=False, default=str)
