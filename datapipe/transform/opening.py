"""A project as it was read, and what was selected of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast, get_args

import psycopg

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform import manifest, project
from datapipe.transform.graph.select import Earlier, Selection, asks, select
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest import Manifest
from datapipe.transform.options import Indirect, Options
from datapipe.transform.project import Project
from datapipe.transform.state import sources
from datapipe.transform.state.facts import facts


@frozen
class Opened:
    """All that a command goes on with."""

    manifest: Manifest
    renderer: Renderer
    selection: Selection

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.renderer.warnings, *self.selection.warnings)


def opened(
    connection: psycopg.Connection | None,
    options: Options,
    *,
    on_log: Callable[[str], None] = lambda message: None,
) -> Opened:
    """Read the project, and select; without a connection, earlier runs are not known."""
    loaded = project.load(options.project_dir, options.variables, cache_dir=options.cache_dir)
    target = described(connection, options.target_schema, threads=options.threads)
    renderer = Renderer(loaded, target, on_log=on_log)
    read = manifest.read(loaded, renderer)
    selection = select(
        read,
        options.select,
        options.exclude,
        earlier=_earlier(connection, read, renderer, options) if connection else None,
        indirect=options.indirect or _indirect(loaded),
    )
    return Opened(read, renderer, selection)


def _earlier(
    connection: psycopg.Connection, read: Manifest, renderer: Renderer, options: Options
) -> Earlier:
    """What the selection asks of what was before, and no more: much of it takes its time."""
    criteria = (*options.select, *options.exclude)
    known, fresher = None, None
    if asks(criteria, "state", "result"):
        known = facts(connection, read, renderer, options.target_schema)
    if asks(criteria, "source_status"):
        fresher = sources.fresher(connection, read.project.name)
    return Earlier(known, fresher)


def _indirect(loaded: Project) -> Indirect:
    """How the project itself wants its tests selected."""
    for known in get_args(Indirect):
        if loaded.flags.get("indirect_selection", "eager") == known:
            return cast("Indirect", known)
    raise ProjectError(
        f"indirect_selection is one of {', '.join(get_args(Indirect))}.",
        path=loaded.path,
        line=loaded.settings.line_of("flags"),
    )
