"""The strategy ``microbatch``: the query is run once for every hour, day, month or year.

In each batch, inputs that have an ``event_time`` are read for that stretch of time only. The rows
are merged by ``unique_key`` into those of the batches before. A first run starts at ``begin``, a
later one ``lookback`` batches before the current one. If the run was asked for a stretch of time,
that counts instead, and it ends with that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.build import overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.build.increment import Increment
from datapipe.transform.build.reshape import alterations
from datapipe.transform.build.site import Site, place
from datapipe.transform.build.table import finish
from datapipe.transform.compile import Compiler
from datapipe.transform.database import catalog
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import analyzed, execute
from datapipe.transform.manifest.nodes import Model, Source

_BATCH = "pg_temp.datapipe_batch"


@frozen
class _During(Relation):
    """A relation that is read for a stretch of time: written into SQL, it is a query."""

    condition: str = ""

    __repr__ = Relation.__repr__

    def __str__(self) -> str:
        alias = f"_dbt_et_filter_subq_{self.identifier}"
        return f"(select * from {self.render()} where {self.condition}) {quoted(alias)}"

    def render(self) -> str:
        """Its name alone, by which a template asks for all of its rows."""
        return super().__str__()


def build(site: Site) -> Built:
    """Create the table for the model's first run, and fill it batch by batch."""
    started = time.perf_counter()
    rows = gather(site, site.aside)
    finish(site, site.aside)
    return Built(site.model, site.aside, rows, time.perf_counter() - started)


def gather(site: Site, table: Relation) -> int | None:
    """Bring the rows of all batches that are due into ``table``; gives how many it has then.

    The first batch creates it, unless it is a copy of the published table.
    """
    grows = site.published is not None
    anew = refreshes_fully(site.model, site.compiler.options.full_refresh)
    is_there = grows and table == site.aside
    own = overrides.strategy_of(site)
    for number, (start, end) in enumerate(_batches(site)):
        compiler = _compiler(site, start, end, incremental=(grows or number > 0) and not anew)
        compiled = compiler.model(site.model)
        creates = number == 0 and not is_there
        into = table.local if creates else _BATCH
        kind = "TABLE" if creates else "TEMPORARY TABLE"
        name = into.removeprefix("pg_temp.")
        if into == site.aside.local and overrides.makes_table(site):
            statements = overrides.created(site, "get_create_table_as_sql", False, of=compiled)
        else:
            statements = site.statements(compiled)
            placed = place(table, site.model) if creates else ""
            statements.add_table(f"CREATE {kind} {name}", into, compiled, placed)
        statements.execute(site.connection, compiled, compiler)
        site.compiled = compiled
        site.batches.append((start, end))
        if not creates:
            seen = {**compiler.seen(site.model, compiled), **_batch(site, start, end)}
            _merge(site, table, own, compiler.standing_in({"model": seen}, {}))
    row = execute(site.connection, f"SELECT count(*) FROM {table.local}").fetchone()
    execute(site.connection, analyzed(table.local))
    return int(row[0]) if row else None


def _merge(site: Site, table: Relation, own: str | None, compiler: Compiler) -> None:
    """Merge the rows of this batch into ``table``, by macros of the project's if it has ``own``."""
    connection = site.connection
    row = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()"
    ).fetchone()
    assert row is not None  # noqa: S101 - a temporary table was just made
    name = _BATCH.removeprefix("pg_temp.")
    here, batch = table.standing, (str(row[0]), name)
    states = catalog.states(connection, [here, batch])
    gained = Increment(site, states[here], states[batch], "merge")
    if own:
        for statement in alterations(states[here], gained.columns, table.local):
            execute(connection, statement)
        execute(connection, gained.by_macro(own, table, Relation.create(identifier=name), compiler))
    else:
        execute(connection, "; ".join(gained.statements()))
    execute(connection, f"DROP TABLE {_BATCH}")


def _compiler(site: Site, start: datetime, end: datetime, *, incremental: bool) -> Compiler:
    """The compiler for one batch, whose templates read that stretch of time."""

    def during(relation: Relation, node: Model | Source) -> Relation:
        field = node.config.get("event_time")
        if not field:
            return relation
        column = node.columns.get(field)
        name = quoted(field) if column is not None and column.quote else field
        values = {each.name: getattr(relation, each.name) for each in fields(Relation)}
        return _During(**values, condition=f"{name} >= '{start}' and {name} < '{end}'")

    def source(*names: str) -> Relation:
        found = site.compiler.manifest.source(*names, package=site.model.package)
        return during(found.relation, found)

    own: dict[str, Any] = {
        "source": source,
        "is_incremental": lambda: incremental,
        "model": {**site.compiler.seen(site.model, None), **_batch(site, start, end)},
    }
    placed = site.compiler.at(lambda model: during(site.compiler.place(model), model))
    return placed.standing_in(own, {})


def _batch(site: Site, start: datetime, end: datetime) -> dict[str, Any]:
    """What ``model`` has in templates while the batch is built."""
    batch = {"id": _id(site, start), "event_time_start": start, "event_time_end": end}
    return {"batch": batch}


def _batches(site: Site) -> Iterator[tuple[datetime, datetime]]:
    size, asked = str(site.model.config["batch_size"]), site.compiler.options.event_time
    until = asked[1] if asked else datetime.now(UTC)
    end = _truncated(until, size)
    if end != until:
        end = _moved(end, size, 1)
    if asked:
        start = _truncated(asked[0], size)
    elif site.published is None:
        start = _truncated(_begin(site), size)
    else:
        lookback = site.model.config.get("lookback")
        # The end is where a batch begins, so one more is the batch that is going on.
        start = _moved(end, size, -(1 + (1 if lookback is None else int(lookback))))
    while True:
        following = _moved(start, size, 1)
        yield start, min(following, end)
        if following >= end:
            return
        start = following


def _begin(site: Site) -> datetime:
    begin = site.model.config.get("begin")
    if not isinstance(begin, datetime):
        raise site.error(
            f"The strategy microbatch needs begin, a date such as 2024-01-01, not {begin}.",
            "begin" if begin else "microbatch",
        )
    return begin if begin.tzinfo else begin.replace(tzinfo=UTC)


def _truncated(moment: datetime, size: str) -> datetime:
    floor = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if size != "hour":
        floor = floor.replace(hour=0)
    if size in {"month", "year"}:
        floor = floor.replace(day=1)
    return floor.replace(month=1) if size == "year" else floor


def _moved(moment: datetime, size: str, count: int) -> datetime:
    if size in {"hour", "day"}:
        return moment + count * timedelta(**{f"{size}s": 1})
    months = moment.year * 12 + moment.month - 1 + count * (12 if size == "year" else 1)
    return moment.replace(year=months // 12, month=months % 12 + 1)


def _id(site: Site, start: datetime) -> str:
    formats = {"year": "%Y", "month": "%Y%m", "day": "%Y%m%d", "hour": "%Y%m%dT%H"}
    return start.strftime(formats[str(site.model.config["batch_size"])])
