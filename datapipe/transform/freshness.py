"""How fresh the sources of a project are, against what their YAML allows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.frozen import frozen
from datapipe.transform.build import overrides
from datapipe.transform.database.statements import execute
from datapipe.transform.jinja import meant, said
from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.nodes import Source
from datapipe.transform.manifest.setting_lines import below
from datapipe.transform.opening import opened
from datapipe.transform.options import Options
from datapipe.transform.snippet import shown
from datapipe.warehouse.failures import failure
from datapipe.warehouse.moments import in_utc

Status = Literal["pass", "warn", "error", "runtime error"]

_PERIODS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@frozen
class SourceFreshness:
    """One source as it was found; ``max_loaded_at`` is None where it holds no row.

    ``error`` is too old by ``error_after``; ``runtime error`` could not be found out, and
    ``message`` says why.
    """

    unique_id: str
    name: str
    status: Status
    max_loaded_at: datetime | None = None
    snapshotted_at: datetime | None = None
    warn_after: timedelta | None = None
    error_after: timedelta | None = None
    message: str = ""

    @property
    def age(self) -> timedelta | None:
        """How old the newest row is; None where there is none."""
        if self.max_loaded_at is None or self.snapshotted_at is None:
            return None
        return self.snapshotted_at - self.max_loaded_at


def check(
    connection: psycopg.Connection, options: Options
) -> tuple[str, tuple[SourceFreshness, ...], tuple[str, ...]]:
    """The project's name, the freshness of each selected source that declares any, and warnings."""
    project = opened(connection, options)
    selected = {node.unique_id for node in project.selection.nodes}
    found = tuple(
        _checked(connection, source, project.renderer)
        for source in project.manifest.sources.values()
        if source.unique_id in selected and _is_declared(source)
    )
    warnings = (*project.warnings, *overrides.warnings(project.renderer, ["freshness"]))
    return project.manifest.project.name, found, warnings


def _is_declared(source: Source) -> bool:
    freshness = source.freshness or {}
    return any(_threshold_of(freshness, name) for name in ("warn_after", "error_after"))


def _threshold_of(freshness: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The threshold, if it says anything: dbt ignores one without a count."""
    found = freshness.get(name) or {}
    return found if isinstance(found, Mapping) and found.get("count") is not None else {}


def _checked(connection: psycopg.Connection, source: Source, renderer: Renderer) -> SourceFreshness:
    name = f"{source.source_name}.{source.name}"
    try:
        warn_after = _threshold(source, "warn_after")
        error_after = _threshold(source, "error_after")
        newest, now = _asked(connection, source, _query(source, renderer))
    except DatapipeError as error:
        return SourceFreshness(source.unique_id, name, "runtime error", message=str(shown(error)))
    age = timedelta.max if newest is None else now - newest
    status: Status = "pass"
    if error_after is not None and age > error_after:
        status = "error"
    elif warn_after is not None and age > warn_after:
        status = "warn"
    return SourceFreshness(source.unique_id, name, status, newest, now, warn_after, error_after)


def _threshold(source: Source, name: str) -> timedelta | None:
    given = _threshold_of(source.freshness or {}, name)
    if not given:
        return None
    count, period = given["count"], str(given.get("period"))
    if period not in _PERIODS or not isinstance(count, int):
        raise _mistake(
            source,
            f"{name} takes a whole count and a period of {', '.join(_PERIODS)}, not "
            f"{dict(given)}.{near(period, _PERIODS) if period not in _PERIODS else ''}",
            name,
        )
    return count * _PERIODS[period]


def _query(source: Source, renderer: Renderer) -> str:
    """The query for when the newest row was loaded, and for now."""
    config = source.config
    query = config.get("loaded_at_query")
    at: dict[str, Any] = {"path": source.path, "line": source.line, "package": source.package}
    if query:
        own = {"this": source.relation, "execute": True}
        text = renderer.text(str(query), own, **at).strip()
        return f"SELECT (\n{text}\n), now()"
    field = config.get("loaded_at_field")
    if not field:
        raise _mistake(
            source,
            f"The source {source.source_name}.{source.name} has no loaded_at_field, and "
            "PostgreSQL does not know when a table was last written. Name the column that tells "
            "it, or give a loaded_at_query.",
        )
    only = (source.freshness or {}).get("filter")
    where = f" WHERE {renderer.text(str(only), {}, **at)}" if only else ""
    return f"SELECT max({field}), now() FROM {source.relation}{where}"


def _asked(
    connection: psycopg.Connection, source: Source, query: str
) -> tuple[datetime | None, datetime]:
    try:
        row = execute(connection, query).fetchone()
    except psycopg.Error as error:
        doing = f"looking at the source {source.source_name}.{source.name}"
        if connection.broken:
            raise failure(error, doing) from error
        message = said.message(error, doing) + meant.near_name(error, connection, query)
        raise _mistake(source, message, "loaded_at_query", "loaded_at_field") from error
    assert row is not None  # noqa: S101 - an aggregate gives a row
    newest, now = row
    if newest is not None and not isinstance(newest, datetime):
        raise _mistake(
            source,
            f"When the source {source.source_name}.{source.name} was loaded is not a timestamp, "
            f"but {newest!r}. Write a cast into loaded_at_field, such as my_date::timestamp.",
            "loaded_at_field",
        )
    return None if newest is None else in_utc(newest), in_utc(now)


def _mistake(source: Source, message: str, *settings: str) -> ProjectError:
    """An error at the first of ``settings`` that the table has, or else where the table begins."""
    lines = (below(source.path, source.line, setting) for setting in settings)
    line = next(filter(None, lines), source.line)
    return ProjectError(message, path=source.path, line=line)
