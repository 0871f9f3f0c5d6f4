"""Materialized views: made anew aside, with their indexes, as their SQL now is.

Publishing moves what stands aside. So readers never wait for a refresh, and a view of which the
SQL has changed shows it; dbt refreshes the old one until it is told to start afresh.
"""

from __future__ import annotations

import time

from datapipe.transform.build import contract, overrides
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.build.site import Site, indexes
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.statements import analyzed, execute


def build(site: Site) -> Built:
    """Create the materialized view; ``on_configuration_change`` says what other indexes may do.

    Raises ProjectError where it says fail and the indexes in ``config`` have changed.
    """
    started = time.perf_counter()
    if site.contract:
        contract.check(site)
        contract.tell_not_enforced(site)
    local = site.aside.local
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
    increment = () if _stays_as_it_is(site) else None
    return Built(site.model, site.aside, rows, time.perf_counter() - started, increment)


def _stays_as_it_is(site: Site) -> bool:
    policy = site.model.config.get("on_configuration_change") or "apply"
    if policy == "apply" or refreshes_fully(site.model, site.compiler.options.full_refresh):
        return False
    names = [site.model.relation.published, site.aside.standing]
    states = catalog.states(site.connection, names)
    old, new = (states.get(name) for name in names)
    if old is None or new is None or old.kind != "m":
        return False
    there = definitions.indexes(site.connection, [old.oid, new.oid])
    if there.get(old.oid) == there.get(new.oid):
        return False
    changed = f"The indexes of the materialized view {site.model.name} are not those in config()"
    if policy == "fail":
        raise site.error(
            f"{changed}, and on_configuration_change is fail. Run with --full-refresh, or set it "
            "to apply.",
            "on_configuration_change",
        )
    site.warn(f"{changed}, and on_configuration_change is continue: it stays as it was.")
    execute(
        site.connection,
        f"DROP MATERIALIZED VIEW {new.local}; CREATE VIEW {new.local} AS SELECT * FROM {old.local}",
    )
    return True
