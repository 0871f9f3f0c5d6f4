"""Models that may get other rows at each run, whatever they read."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from datapipe.transform.build import aside, growth, overrides, rows_of_others
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.state import hooked, words
from datapipe.transform.state.decide import Decisions
from datapipe.transform.state.records import NodeState


def by_itself(
    connection: psycopg.Connection,
    decisions: Decisions,
    model: Model,
    state: NodeState,
    texts: Sequence[str],
    hooks: Sequence[str],
) -> str:
    """Why ``model`` may get other rows each time; empty if it may not.

    A model that only adds rows reads what it has added before, or adds it again. ``hooks``, which
    are rendered, may do so, too.
    """
    own = {model.relation.published, aside.place_of(model)}
    form = state.form
    compiler = decisions.compiler(form)
    if compiler.materialization(model) is not None:
        return "is built by a materialization of the project's own"
    if model.is_seed and overrides.adds_to_seed(compiler.renderer):
        return "is filled by a macro of the project's own"
    if state.changed or any(rows_of_others.changes_others(hook, own) for hook in hooks):
        return hooked.CHANGES_OTHERS
    if form != "increment" or model.materialized != "incremental":
        return ""
    if model.is_batched:
        return "reads the clock (microbatch)"
    said = words.read(texts[0])
    if said.takes_a_slice:
        return "may take only a part of what is new (limit)"
    if not model.config.get("unique_key"):
        new = growth.place_of_increment(model).local
        row = execute(connection, f"SELECT EXISTS (SELECT FROM {new})").fetchone()
        if row and row[0]:
            return "added rows in the last run, and may add more"
    return ""
