"""Materialized views: made anew aside, with their indexes.

Publishing moves what stands aside, so readers never wait for a refresh, and changed SQL shows. dbt,
too, makes one anew if it drops tables or views that this one reads. Otherwise dbt refreshes the old
one until it is told to start afresh. Where macros of the project's own refresh or change it, the
same is done here, with a copy.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from datapipe.transform.build import contract, copies, overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.build.site import Site, indexes
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.statements import analyzed, execute
from datapipe.transform.jinja.context import KnownConfig
from datapipe.transform.manifest.nodes import Model


def build(site: Site) -> Built:
    """Create it; ``on_configuration_change`` says what is done where its indexes have changed.

    Raises ProjectError if that is fail and the indexes in ``config`` are others.
    """
    started = time.perf_counter()
    if site.model.has_contract:
        contract.check(site)
        contract.tell_not_enforced(site)
    local = site.aside.local
    old = _old(site)
    if old is not None and overrides.changes_materialized_view(site) and _copied(site, old):
        increment = () if _stays_by_macros(site, old) else None
        return Built(site.model, site.aside, None, time.perf_counter() - started, increment)
    if overrides.makes_materialized_view(site):
        statements = overrides.created(site, "get_create_materialized_view_as_sql")
    else:
        statements = site.statements()
        # As with dbt there are no brackets round the query, which may end with a semicolon.
        statements.add(f"CREATE MATERIALIZED VIEW {local} AS\n", site.compiled, "")
        for index in indexes(site.model):
            statements.add(f"CREATE {index.format(local)}")
    statements.add(analyzed(local))
    rows = statements.execute(site.connection, site.compiled, site.compiler)
    increment = () if old is not None and _stays_as_it_is(site, old) else None
    return Built(site.model, site.aside, rows, time.perf_counter() - started, increment)


def _old(site: Site) -> RelationState | None:
    """The published materialized view, if it makes a difference what that is."""
    full_refresh = site.compiler.options.full_refresh
    matters = _policy(site) != "apply" or overrides.changes_materialized_view(site)
    if not matters or refreshes_fully(site.model, full_refresh) or _goes_with_others(site):
        return None
    name = site.model.relation.published
    old = catalog.states(site.connection, [name]).get(name)
    return old if old is not None and old.kind == "m" else None


def _goes_with_others(site: Site) -> bool:
    """Whether dbt would drop it in this run, together with something that it reads."""
    models, full_refresh = site.compiler.manifest.models, site.compiler.options.full_refresh
    read: dict[str, None] = {}
    edge = [site.model]
    while edge:
        of = [models[key] for each in edge for key in each.refs if key not in read]
        read |= {each.key: None for each in of}
        edge = [each for each in of if each.materialized in {"ephemeral", "materialized_view"}]
    built = [models[key] for key in read if site.compiler.is_selected(models[key])]
    return any(not each.is_function and _is_dropped(each, full_refresh) for each in built)


def _is_dropped(model: Model, full_refresh: bool) -> bool:
    """Whether dbt drops the old relation of the model when it builds it."""
    if model.materialized in {"incremental", "materialized_view"} or model.is_seed:
        return refreshes_fully(model, full_refresh)
    return model.materialized not in {"ephemeral", "snapshot"}


def _copied(site: Site, old: RelationState) -> bool:
    """Whether a copy of ``old`` stands aside now, which reads what the run has built."""
    copies.refreshable(site, old)
    name = site.aside.standing
    if catalog.states(site.connection, [name])[name].kind == "m":
        return True
    execute(site.connection, f"DROP VIEW {site.aside.local}")
    return False


def _stays_by_macros(site: Site, old: RelationState) -> bool:
    """Let the project's macros, or dbt's, refresh or change the copy; True if ``old`` stays."""
    code, model = site.compiled.sql, site.model
    target = replace(site.aside, type="materialized_view")
    own = {"sql": code, "compiled_code": code, "model": site.compiler.seen(model, site.compiled)}

    def called(macro: str, *values: Any) -> Any:
        return site.compiler.call(model, macro, values, this=site.aside, own=own)

    config = KnownConfig(model.config)
    changes = called("get_materialized_view_configuration_changes", target, config)
    if changes is None:
        text = called("refresh_materialized_view", target)
    elif _stays(site, old):
        return True
    else:
        beside = (
            called("make_backup_relation", target),
            called("make_intermediate_relation", target),
        )
        macro = "get_alter_materialized_view_as_sql"
        text = called(macro, target, changes, code, target, *beside)
    execute(site.connection, str(text))
    execute(site.connection, analyzed(target.local))
    return False


def _stays_as_it_is(site: Site, old: RelationState) -> bool:
    name = site.aside.standing
    new = catalog.states(site.connection, [name]).get(name)
    if new is None:
        return False
    there = definitions.indexes(site.connection, [old.oid, new.oid])
    return there.get(old.oid) != there.get(new.oid) and _stays(site, old)


def _policy(site: Site) -> str:
    return str(site.model.config.get("on_configuration_change") or "apply")


def _stays(site: Site, old: RelationState) -> bool:
    """Whether ``old``, whose indexes are not the model's any more, stays; a view shows it then."""
    policy = _policy(site)
    if policy == "apply":
        return False
    changed = f"The indexes of the materialized view {site.model.name} are not those in config()"
    if policy == "fail":
        raise site.error(
            f"{changed}, and on_configuration_change is fail. Run with --full-refresh, or set it "
            "to apply.",
            "on_configuration_change",
        )
    site.warn(f"{changed}, and on_configuration_change is continue: it stays as it was.")
    local = site.aside.local
    execute(
        site.connection,
        f"DROP MATERIALIZED VIEW {local}; CREATE VIEW {local} AS SELECT * FROM {old.local}",
    )
    return True
