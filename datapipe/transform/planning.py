"""What a run would do; nothing is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg

from datapipe.transform import manifest, project, state
from datapipe.transform.graph.select import asks_state, select
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.options import Options
from datapipe.transform.state import Plan


def plan(connection: psycopg.Connection, project_dir: Path, options: Options) -> Plan:
    """What a run with these options would build, reuse and test, and why."""
    connection.execute('SET search_path = "$user", public')
    loaded = project.load(project_dir, options.variables)
    target = {**described(connection, options.target_schema), "threads": options.threads}
    renderer = Renderer(loaded, target)
    read = manifest.read(loaded, renderer)
    facts = None
    if asks_state(options.include, options.exclude):
        facts = state.facts(connection, read, renderer, options.target_schema)
    selection = select(read, options.include, options.exclude, facts=facts)
    planned = state.planned(connection, read, renderer, selection, options)
    return replace(planned, warnings=(*renderer.warnings, *selection.warnings))
