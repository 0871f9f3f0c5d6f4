"""Builds incremental models both ways, and compares the two.

All of it happens in one transaction that is rolled back: both ways see the same rows, nobody sees
either, and nothing is left, whatever happens on the way.
"""

from __future__ import annotations

import psycopg

from datapipe.errors import VerifyFailedError
from datapipe.transform.build import aside, growth, incremental
from datapipe.transform.build.site import Site
from datapipe.transform.build.table import build_table
from datapipe.transform.comparison import Comparison, Verified
from datapipe.transform.compile import Compiler
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.graph import ordered
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.opening import opened
from datapipe.transform.options import Options
from datapipe.transform.state import words

__all__ = ["Verified", "told", "verify"]

_WHOLE, _GROWN = "__verify_whole", "__verify_grown"
_SHOWN = 60  # characters of a value


def verify(
    connection: psycopg.Connection, options: Options
) -> tuple[tuple[Verified, ...], tuple[str, ...]]:
    """Compare every incremental model that is selected; gives the outcomes and what to warn of.

    Raises VerifyFailedError if any is not the same both ways. ``connection`` is in autocommit.
    """
    found = opened(connection, options)
    read, renderer = found.manifest, found.renderer
    models = [
        model
        for model in ordered(read.models)
        if model.key in found.selection.models and model.materialized == "incremental"
    ]
    published = growth.starting(connection, models, full_refresh=False)
    results = tuple(
        _verified(connection, read, renderer, model, published.get(model.key)) for model in models
    )
    wrong = [each for each in results if not each.is_same]
    if wrong:
        raise VerifyFailedError(
            f"{len(wrong)} of {len(results)} incremental models are not what a full build gives:\n"
            + "\n".join(told(each) for each in wrong)
            + "\nMend the model, or run once with --full-refresh where its rows are of an older "
            "version of it.",
            failed=[each.name for each in wrong],
            results=results,
        )
    return results, found.warnings


def told(verified: Verified) -> str:
    """The outcome for one model, in a line or a few."""
    name = f"{verified.name} ({verified.relation})"
    if verified.columns:
        return f"  {name}: {verified.columns[0]}"
    if not verified.differing:
        same = f"the same both ways, {verified.rows:,} rows." if verified.is_compared else ""
        return f"  {name}: {same} {verified.note}".replace(":  ", ": ").rstrip()
    what = "key" if verified.first and not verified.first.is_whole_row else "row"
    lines = [f"  {name}: {_count(verified.differing, what)} not the same. {verified.note}".rstrip()]
    first = verified.first
    if first is not None:
        key = ", ".join(f"{name} = {_shown(value)}" for name, value in first.key.items())
        where = f" is only in {first.only_in}" if first.only_in else ""
        lines.append(f"    the first: {key}{where}")
        lines += [
            f"      {column}: {_shown(whole)} by a full build, {_shown(grown)} by increments"
            for column, (whole, grown) in first.columns.items()
        ]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _shown(value: str | None) -> str:
    if value is None:
        return "NULL"
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 3] + "...")


def _verified(
    connection: psycopg.Connection,
    read: Manifest,
    renderer: Renderer,
    model: Model,
    published: RelationState | None,
) -> Verified:
    relation = f"{model.relation.schema}.{model.relation.identifier}"
    if published is None:
        return Verified(
            model.name, relation, note="it was not published yet, or never grows", is_compared=False
        )
    level = connection.isolation_level
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    try:
        with (
            renderer.using(connection),
            connection.transaction(force_rollback=True),
        ):
            whole = _built(connection, read, renderer, model, _WHOLE, None)
            grown = _built(connection, read, renderer, model, _GROWN, published)
            clock = words.read(_sql(read, renderer, model)).unsteady
            return Comparison(connection, model, whole, grown, clock).outcome(relation)
    finally:
        if not connection.broken:
            connection.isolation_level = level


def _built(
    connection: psycopg.Connection,
    read: Manifest,
    renderer: Renderer,
    model: Model,
    suffix: str,
    published: RelationState | None,
) -> Relation:
    """Build ``model`` into a schema of its own, in full or onto what is published."""
    schema = aside.beside(model.relation.schema, suffix)
    increment = growth.place_of_increment(model)
    for name in (schema, increment.standing[0]):
        # What a run left there comes back when all this is rolled back.
        execute(
            connection,
            f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE; CREATE SCHEMA {quoted(name)}",
        )

    def place(each: Model) -> Relation:
        return each.relation.within(schema) if each.key == model.key else each.relation

    increments = frozenset({model.key}) if published is not None else frozenset()
    compiler = Compiler(read, renderer, place, increments=increments)
    site = Site(connection, model, compiler, published)
    if published is not None:
        incremental.build(site, published)
    else:
        build_table(site)
    return site.aside


def _sql(read: Manifest, renderer: Renderer, model: Model) -> str:
    return Compiler(read, renderer, lambda each: each.relation).model(model).sql
