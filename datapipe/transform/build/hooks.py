"""``on-run-start`` and ``on-run-end``: statements of the project around a run.

They are the user's own and take effect at once, as in dbt: what ``on-run-start`` did stays,
whatever becomes of the run. ``on-run-end`` is sent when all is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import psycopg

from datapipe.errors import ProjectError
from datapipe.transform.compile import Compiler
from datapipe.transform.database.statements import execute
from datapipe.transform.project.yaml_file import Items
from datapipe.warehouse.failures import failure

Moment = Literal["on-run-start", "on-run-end"]


def run(
    connection: psycopg.Connection,
    moment: Moment,
    compiler: Compiler,
    known: Mapping[str, Any],
) -> None:
    """Render and send the statements of ``moment`` one by one; ``known`` is what they see, too."""
    project = compiler.manifest.project
    given = project.settings.get(moment)
    lines = [project.settings.line_of(moment)]
    if isinstance(given, Items):
        hooks, lines = list(given), given.lines
    else:
        hooks = [given] if given else []
    for hook, line in zip(hooks, lines, strict=False):
        text = hook.get("sql") if isinstance(hook, Mapping) else hook
        if not isinstance(text, str):
            raise ProjectError(
                f"{moment} takes statements, or mappings with sql.", path=project.path, line=line
            )
        statement = compiler.hook(text, project.path, line, known).strip()
        if not statement:
            continue
        try:
            execute(connection, statement)
        except psycopg.Error as error:
            if (error.sqlstate or "08")[:2] in {"08", "53", "57", "58"}:
                raise failure(error, moment) from error
            published = " The models had been published." if moment == "on-run-end" else ""
            raise ProjectError(
                f"PostgreSQL stopped {moment}: {error.diag.message_primary}.{published}",
                path=project.path,
                line=line,
            ) from error
