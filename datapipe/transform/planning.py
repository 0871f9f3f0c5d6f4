"""What a run would do; nothing is done."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from datapipe.transform import state
from datapipe.transform.opening import opened
from datapipe.transform.options import Options
from datapipe.transform.state import Plan


def plan(connection: psycopg.Connection, options: Options) -> Plan:
    """What a run with these options would build, reuse and test, and why."""
    connection.execute('SET search_path = "$user", public')
    found = opened(connection, options)
    planned = state.planned(connection, found.manifest, found.renderer, found.selection, options)
    return replace(planned, warnings=found.warnings)
