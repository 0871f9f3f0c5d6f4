"""Snapshots: every version of a row that was ever seen, from when to when.

A first run takes all rows. Later ones compute, aside, which versions end and which begin. What all
in the run read is a view of the published table with those changes in it, and publishing makes the
same changes to the table itself, as with an incremental model.
"""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg

from datapipe.transform.build import overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import place_of_increment
from datapipe.transform.build.incremental import state_of, tell_of_names
from datapipe.transform.build.reshape import (
    DEST,
    SOURCE,
    alterations,
    columns_to_come,
    is_reshaped,
)
from datapipe.transform.build.site import Site, Stopped
from datapipe.transform.build.snapshot_strategy import Strategy, not_taken, strategy_of
from datapipe.transform.build.table import create, fill, finish
from datapipe.transform.database import catalog
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute

_CHANGE = "dbt_change_type"


def build(site: Site) -> Built:
    """Take the snapshot aside: all of it, or what has changed since the published one."""
    if overrides.makes_snapshot(site):
        from datapipe.transform.build import snapshot_by_macros  # late, as few projects need it

        return snapshot_by_macros.build(site)
    started = time.perf_counter()
    if site.published is None:
        rows = _first(site)
        if site.model.config.get("check_cols") != "all":
            tell_of_names(site, "check_cols")
        return Built(site.model, site.aside, rows, time.perf_counter() - started)
    old = state_of(site.connection, site.aside) if site.copied else site.published
    source = _columns_of_query(site)
    strategy = strategy_of(site, old, source)
    _check_table(site, old, strategy)
    rows = _stage(site, old, strategy, source)
    versions = _Versions(site, old, strategy)
    try:
        if site.copied:
            for statement in alterations(old, versions.columns, old.local):
                execute(site.connection, statement)
            execute(site.connection, "; ".join(versions.statements()))
        elif is_reshaped(old, versions.columns):
            fill(site, site.aside, versions.applied())
        else:
            execute(site.connection, f"CREATE VIEW {site.aside.local} AS {versions.applied()}")
            seconds = time.perf_counter() - started
            return Built(site.model, site.aside, rows, seconds, versions.statements())
    except psycopg.Error as error:
        raise not_taken(site, error, "Mend unique_key, updated_at or the query.") from error
    return Built(site.model, site.aside, rows, time.perf_counter() - started)


def _first(site: Site) -> int | None:
    name = site.model.relation.published
    there = catalog.states(site.connection, [name]).get(name)
    if there is not None and there.kind != "r":
        raise site.error(
            f"{there.local} is there already and is no table, so it cannot hold a snapshot. Drop "
            "it or give the snapshot another name.",
            "snapshot",
        )
    strategy = strategy_of(site, None, [])
    names, updated_at = strategy.names, strategy.updated_at
    added = [
        f"{strategy.scd_id} AS {names['dbt_scd_id']}",
        f"{updated_at} AS {names['dbt_updated_at']}",
        f"{updated_at} AS {names['dbt_valid_from']}",
        f"{strategy.open_end} AS {names['dbt_valid_to']}",
    ]
    if strategy.hard_deletes == "new_record":
        added.append(f"'False' AS {names['dbt_is_deleted']}")
    statements = site.statements()
    selected = ", ".join(["SELECT *", *added])
    before = f"{create(site)} {site.aside.local} AS {selected} FROM (\n"
    statements.add(before, site.compiled, ") AS sbq")
    rows = statements.execute(site.connection, site.compiled, site.compiler)
    finish(site, site.aside)
    return rows


def _columns_of_query(site: Site) -> list[str]:
    before = f"{site.compiler.reading(site.compiled.sql)}SELECT * FROM (\n"
    try:
        cursor = execute(site.connection, f"{before}{site.compiled.sql}\n) AS query LIMIT 0")
        while cursor.nextset():
            pass
    except psycopg.Error as error:
        raise Stopped(error, site.compiled, [len(before)], site.compiler) from error
    return [column.name for column in cursor.description or ()]


def _check_table(site: Site, old: RelationState, strategy: Strategy) -> None:
    """Raise ProjectError where the published table cannot be one of this snapshot."""
    wanted = ["dbt_scd_id", "dbt_valid_from", "dbt_valid_to"]
    if strategy.hard_deletes == "new_record":
        wanted.append("dbt_is_deleted")
    there = {column.name.lower() for column in old.columns}
    missing = [
        name for name in map(strategy.names.__getitem__, wanted) if name.lower() not in there
    ]
    if missing:
        raise site.error(
            f"The table {old.local} of the snapshot {site.model.name} has no column "
            f"{', '.join(missing)}. Mend snapshot_meta_column_names or hard_deletes, or add the "
            "column to the table.",
            "snapshot",
        )


def _stage(site: Site, old: RelationState, strategy: Strategy, source: list[str]) -> int | None:
    """Write down, aside, the versions that end and those that begin; gives how many there are."""
    names, deletes = strategy.names, strategy.hard_deletes
    new_record = deletes == "new_record"
    keys = strategy.keys
    fields = ", ".join(
        f"{key} AS {name}" for key, name in zip(keys, strategy.key_names, strict=True)
    )
    match = " AND ".join(
        f"snapshotted_data.{name} = source_data.{name}" for name in strategy.key_names
    )
    first = strategy.key_names[0]
    is_deleted = f"snapshotted_data.{names['dbt_is_deleted']} = 'True'" if new_record else "false"
    changed = f"({strategy.row_changed} OR {is_deleted})"
    began = ", ".join(
        f"source_data.{names[name]}"
        for name in ("dbt_updated_at", "dbt_valid_from", "dbt_valid_to", "dbt_scd_id")
    )
    flag = {
        value: f", '{value}' AS {names['dbt_is_deleted']}" if new_record else ""
        for value in ("False", "True")
    }
    no_flag = ", NULL" if new_record else ""
    # They are written where a NULL would do, too, as a union keeps the length of a varchar then.
    of_source = "".join(f"source_data.{quoted(name)}, " for name in source)
    begins = (
        f"SELECT 'insert' AS {_CHANGE}, {of_source}{began}{flag['False']} FROM source_data "
        f"LEFT JOIN snapshotted_data ON {match} "
        f"WHERE snapshotted_data.{first} IS NULL OR {changed}"
    )
    ends = (
        f"SELECT 'update', {of_source}NULL, NULL, source_data.{names['dbt_valid_from']}, "
        f"snapshotted_data.{names['dbt_scd_id']}{no_flag} FROM source_data "
        f"JOIN snapshotted_data ON {match} WHERE {changed}"
    )
    parts = [begins, ends]
    if deletes in {"invalidate", "new_record"}:
        gone = (
            f"FROM snapshotted_data LEFT JOIN source_data ON {match} "
            f"WHERE source_data.{first} IS NULL AND NOT coalesce({is_deleted}, false)"
        )
        parts.append(
            f"SELECT 'delete', {of_source}NULL, NULL, {strategy.now}, "
            f"snapshotted_data.{names['dbt_scd_id']}{no_flag} {gone}"
        )
        if new_record:
            there = {column.name for column in old.columns}
            last = "".join(
                f"{'snapshotted_data' if name in there else 'source_data'}.{quoted(name)}, "
                for name in source
            )
            parts.append(
                f"SELECT 'insert', {last}{strategy.now}, {strategy.now}, "
                f"snapshotted_data.{names['dbt_valid_to']}, {strategy.deleted_id}"
                f"{flag['True']} {gone}"
            )
    statements = site.statements()
    statements.add(
        f"CREATE TABLE {place_of_increment(site.model).local} AS WITH snapshot_query AS (\n",
        site.compiled,
        f"), snapshotted_data AS (SELECT *, {fields} FROM {old.local} "
        f"WHERE {strategy.is_open(names['dbt_valid_to'])}), "
        f"source_data AS (SELECT *, {fields}, {strategy.updated_at} AS {names['dbt_updated_at']}, "
        f"{strategy.updated_at} AS {names['dbt_valid_from']}, "
        f"{strategy.open_end} AS {names['dbt_valid_to']}, "
        f"{strategy.scd_id} AS {names['dbt_scd_id']} FROM snapshot_query) "
        + " UNION ALL ".join(parts),
    )
    return statements.execute(site.connection, site.compiled, site.compiler)


class _Versions:
    """The changes that were written down, as a query and as statements."""

    def __init__(self, site: Site, old: RelationState, strategy: Strategy) -> None:
        self.old = old
        self.new = state_of(site.connection, place_of_increment(site.model))
        self.strategy = strategy
        staged = tuple(column for column in self.new.columns if column.name != _CHANGE)
        self.columns = columns_to_come(old, replace(self.new, columns=staged))
        names = {column.name.lower(): column.name for column in old.columns}
        self.scd_id = quoted(names[strategy.names["dbt_scd_id"].lower()])
        self.valid_to = names[strategy.names["dbt_valid_to"].lower()]

    def applied(self) -> str:
        """A query for the rows that the snapshot will have."""
        until = quoted(self.valid_to)
        kept = []
        for column in self.columns:
            text = column.from_(DEST)
            if column.name == self.valid_to:
                given = f"CASE WHEN closed.scd_id IS NULL THEN {DEST}.{until} ELSE closed.until END"
                text = f"CAST({given} AS {column.type}) AS {until}"
            kept.append(text)
        came = ", ".join(column.from_(SOURCE) for column in self.columns)
        return (
            f"SELECT {', '.join(kept)} FROM {self.old.local} AS {DEST} LEFT JOIN ("
            f"SELECT DISTINCT ON ({self.scd_id}) {self.scd_id} AS scd_id, {until} AS until "
            f"FROM {self.new.local} WHERE {_CHANGE} IN ('update', 'delete')) AS closed "
            f"ON closed.scd_id::text = {DEST}.{self.scd_id}::text AND {self._is_open()} "
            f"UNION ALL SELECT {came} FROM {self.new.local} AS {SOURCE} "
            f"WHERE {SOURCE}.{_CHANGE} = 'insert'"
        )

    def statements(self) -> tuple[str, str]:
        """The statements that give the published table the rows of ``applied``."""
        until, table, new = quoted(self.valid_to), self.old.local, self.new.local
        columns = ", ".join(quoted(column.name) for column in self.columns if column.new_type)
        ended = (
            f"UPDATE {table} AS {DEST} SET {until} = {SOURCE}.{until} FROM {new} AS {SOURCE} "
            f"WHERE {SOURCE}.{self.scd_id}::text = {DEST}.{self.scd_id}::text "
            f"AND {SOURCE}.{_CHANGE} IN ('update', 'delete') AND {self._is_open()}"
        )
        begun = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {new}"
        return ended, f"{begun} WHERE {_CHANGE} = 'insert'"

    def _is_open(self) -> str:
        return self.strategy.is_open(f"{DEST}.{quoted(self.valid_to)}")
