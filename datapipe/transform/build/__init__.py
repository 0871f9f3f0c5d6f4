"""Builds nodes aside, each in the way its materialization says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg

from datapipe.transform.build import (
    custom,
    incremental,
    materialized_view,
    microbatch,
    seed,
    snapshot,
    table,
)
from datapipe.transform.build.built import Built
from datapipe.transform.build.incremental import starting as growing
from datapipe.transform.build.model_hooks import Hooks
from datapipe.transform.build.site import Site, Stopped
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.manifest.nodes import Model

__all__ = ["Built", "build", "growing"]

Saw = Callable[[psycopg.Connection, Model, Compiled | None], None]


def build(
    connection: psycopg.Connection,
    model: Model,
    compiler: Compiler,
    published: RelationState | None = None,
    *,
    saw: Saw | None = None,
) -> Built:
    """Build ``model`` where ``compiler`` places it, and commit.

    ``published`` is its table where that only grows. ``saw`` is called in the transaction of the
    build, when its statements have been sent. Several threads may build at once, each over a
    connection of its own. Raises ProjectError for what is wrong with the model.
    """
    site = Site(connection, model, compiler, published)
    try:
        built = _built(site, saw)
    except Stopped as stopped:  # the transaction is over, so near names can be asked for
        raise stopped.told(connection) from stopped.error
    compiled = None if model.is_seed else site.compiled
    return replace(built, grown=published is not None, compiled=compiled)


def _built(site: Site, saw: Saw | None) -> Built:
    model = site.model
    hooks = Hooks(site, run_by_materialization=custom.is_custom(site))
    if not model.is_seed and not _is_microbatch(model):
        site.compiled  # noqa: B018 - a mistake in the template is found before a hook is run
    hooks.run_before(in_transaction=False)
    if not hooks and saw is None:
        return _materialized(site)
    with site.connection.transaction():
        hooks.run_before(in_transaction=True)
        hooks.make_room()
        built = hooks.run_after(_materialized(site), in_transaction=True)
        if saw is not None:
            saw(site.connection, model, None if model.is_seed else site.compiled)
    return hooks.run_after(built, in_transaction=False)


def _materialized(site: Site) -> Built:
    model = site.model
    if custom.is_custom(site):
        return custom.build(site)
    if model.is_seed:
        return seed.build(site)
    if model.materialized == "snapshot":
        return snapshot.build(site)
    if site.published is not None:
        return incremental.build(site, site.published)
    if model.materialized == "view":
        return table.build_view(site)
    if model.materialized == "materialized_view":
        return materialized_view.build(site)
    if _is_microbatch(model):
        return microbatch.build(site)
    return table.build_table(site)


def _is_microbatch(model: Model) -> bool:
    """Whether the template is rendered once for each batch, and not by itself."""
    return model.materialized == "incremental" and incremental.strategy_of(model) == "microbatch"
