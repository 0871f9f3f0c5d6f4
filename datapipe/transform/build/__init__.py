"""Builds models, seeds, snapshots and functions aside, each as its materialization says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol

import psycopg

from datapipe.transform.build import overrides, partitions, rows_of_others, views_of_hooks
from datapipe.transform.build.built import Built
from datapipe.transform.build.cascades import Cascades
from datapipe.transform.build.growth import starting as growing
from datapipe.transform.build.model_hooks import Hooks
from datapipe.transform.build.site import Site, Stopped
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.session_settings import renew
from datapipe.transform.database.statements import execute
from datapipe.transform.jinja import scope
from datapipe.transform.manifest.nodes import Model

__all__ = ["Built", "Cascades", "build", "growing"]


class Witness(Protocol):
    """Notices what the build of a model has read."""

    def question(self, model: Model) -> str:
        """One statement, to be sent at the end of the transaction that builds ``model``."""

    def saw(
        self,
        connection: psycopg.Connection,
        model: Model,
        compiled: Compiled | None,
        answer: Sequence[tuple[Any, ...]],
        hooks: Sequence[str] = (),
        changed: Collection[str] = (),
        alone: bool = True,
    ) -> None:
        """Take the answer to it, what the hooks came to, and the models whose rows were changed.

        ``alone`` is False where hooks have made views elsewhere. ``connection`` may still be in
        that transaction.
        """


def build(
    connection: psycopg.Connection,
    model: Model,
    compiler: Compiler,
    published: RelationState | None = None,
    *,
    witness: Witness | None = None,
    cascades: Cascades | None = None,
) -> Built:
    """Build ``model`` where ``compiler`` places it, and commit.

    ``published`` is its published table if that only grows; ``cascades`` knows of all that do.
    Several threads may build at once, each over its own connection. Raises ProjectError for what is
    wrong with the model.
    """
    site = Site(connection, model, compiler, published)
    try:
        with scope.sending(lambda statement: rows_of_others.changing(site, statement)):
            if cascades is not None:
                cascades.prepare(site)
            built = _built(site, witness)
    except Stopped as stopped:  # the transaction is over, so near names can be asked for
        raise stopped.told(connection) from stopped.error
    finally:
        if site.leaves and not connection.broken:
            renew(connection)
            connection.execute("SET synchronous_commit = off")
    return replace(
        built,
        grown=published is not None,
        compiled=None if model.is_seed else site.compiled,
        keys=tuple(site.keys),
        elsewhere=site.elsewhere,
        batches=tuple(site.batches),
        also=(*built.also, *views_of_hooks.also(site, built)),
    )


def _built(site: Site, witness: Witness | None) -> Built:
    model = site.model
    hooks = Hooks(site, run_by_materialization=site.is_custom)
    if not model.is_seed and not model.is_batched:
        site.compiled  # noqa: B018 - a mistake in the template is found before a hook is run
    hooks.run_before(in_transaction=False)
    if not hooks and witness is None and not site.model.is_function:
        return _materialized(site)
    if not hooks and witness is not None and _is_sent_at_once(site):
        site.question = witness.question(model)
        built = _materialized(site)
        witness.saw(site.connection, model, site.compiled, site.answer, changed=site.changed)
        return built
    with site.connection.transaction():
        hooks.run_before(in_transaction=True)
        hooks.make_room()
        built = hooks.run_after(_materialized(site), in_transaction=True)
        if witness is not None:
            answer = execute(site.connection, witness.question(model)).fetchall()
            compiled = None if model.is_seed else site.compiled
            told, alone = hooks.told(), not site.views
            witness.saw(site.connection, model, compiled, answer, told, site.changed, alone)
    built = hooks.run_after(built, in_transaction=False)
    if not any("partition" in each.lower() for each in hooks.told()):
        return built
    parts = (partitions.part(built, each) for each in partitions.of(site))
    return replace(built, also=(*built.also, *parts))


def _materialized(site: Site) -> Built:
    # Imported late: most runs need few of them, and a run that builds nothing needs none.
    model = site.model
    if model.is_function:
        from datapipe.transform.build import function

        return function.build(site)
    if site.is_custom:
        from datapipe.transform.build import custom

        return custom.build(site)
    if model.is_seed:
        from datapipe.transform.build import seed

        return seed.build(site)
    if model.materialized == "snapshot":
        from datapipe.transform.build import snapshot

        return snapshot.build(site)
    if site.published is not None:
        from datapipe.transform.build import incremental

        return incremental.build(site, site.published)
    if model.materialized == "materialized_view":
        from datapipe.transform.build import materialized_view

        return materialized_view.build(site)
    if model.is_batched:
        from datapipe.transform.build import microbatch

        return microbatch.build(site)
    from datapipe.transform.build import table

    if model.materialized == "view":
        return table.build_view(site)
    built = table.build_table(site)
    if model.materialized == "incremental" and model.config.get("unique_key"):
        from datapipe.transform.build import incremental

        incremental.tell_of_names(site, "unique_key")
        if model.config.get("incremental_strategy") == "merge":
            incremental.tell_of_names(site, "merge_update_columns")
    return built


def _is_sent_at_once(site: Site) -> bool:
    """Whether the whole build is sent in one round trip, which is a transaction by itself."""
    is_plain = site.model.materialized in {"table", "view"} and not site.is_custom
    return is_plain and not overrides.of(site.model, site.compiler.renderer)
