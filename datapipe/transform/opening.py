"""A project as it was read, and what was selected of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast, get_args

import psycopg

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform import manifest, project
from datapipe.transform.graph.asked import Asked, asked
from datapipe.transform.graph.select import Earlier, Selection, select
from datapipe.transform.graph.selectors import FILE as SELECTORS
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest import Manifest
from datapipe.transform.options import Indirect, Options
from datapipe.transform.project import Project
from datapipe.transform.snippet import shown
from datapipe.transform.state import sources
from datapipe.transform.state.facts import facts

# Methods of selection that ask about the last run, and about the freshness of sources.
_RUN = ("state", "result")
_SOURCES = ("source_status",)

_WARNINGS_AT_MOST = 20


@frozen
class Opened:
    """A project that was read, what renders its templates, and what was selected of it."""

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
    """Read the project and select; without a connection, nothing is known of earlier runs."""
    loaded = project.load(options.project_dir, options.variables, cache_dir=options.cache_dir)
    target = described(connection, options.target_schema, threads=options.threads)
    renderer = Renderer(loaded, target, on_log=on_log)
    wanted = _asked(loaded, options, lambda: renderer)
    if wanted.default:
        on_log(f"What {SELECTORS} has as its default is selected: {wanted.default}.")
    try:
        read = manifest.read(renderer)
    except ProjectError as error:
        if renderer.warnings:
            warnings = "\n".join(f"  {each}" for each in renderer.warnings[:_WARNINGS_AT_MOST])
            error.args = (f"{shown(error)}\nThere are warnings, too:\n{warnings}",)
        raise
    earlier = _earlier(connection, read, renderer, wanted, options) if connection else None
    return Opened(read, renderer, select(read, wanted, earlier=earlier))


def asks_of_earlier(options: Options) -> bool:
    """Whether the selection depends on earlier runs."""
    loaded = project.load(options.project_dir, options.variables, cache_dir=options.cache_dir)
    target = described(None, options.target_schema, threads=options.threads)
    return _asked(loaded, options, lambda: Renderer(loaded, target)).asks(*_RUN, *_SOURCES)


def _asked(loaded: Project, options: Options, renderer: Callable[[], Renderer]) -> Asked:
    indirect = options.indirect or _indirect(loaded)
    return asked(loaded, renderer, options.select, options.exclude, indirect=indirect)


def _earlier(
    connection: psycopg.Connection,
    read: Manifest,
    renderer: Renderer,
    wanted: Asked,
    options: Options,
) -> Earlier:
    """What the selection needs to know of earlier runs, and no more: finding out takes time."""
    known, fresher = None, None
    if wanted.asks(*_RUN):
        known = facts(connection, read, renderer, options.target_schema)
    if wanted.asks(*_SOURCES):
        fresher = sources.fresher(connection, read.project.name)
    return Earlier(known, fresher)


def _indirect(loaded: Project) -> Indirect:
    """The indirect selection of tests that the project itself sets."""
    for known in get_args(Indirect):
        if loaded.flags.get("indirect_selection", "eager") == known:
            return cast("Indirect", known)
    raise ProjectError(
        f"indirect_selection must be one of {', '.join(get_args(Indirect))}.",
        path=loaded.path,
        line=loaded.settings.line_of("flags"),
    )
