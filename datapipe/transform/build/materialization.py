"""Runs a materialization of the project's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.build import seed_by_macros
from datapipe.transform.build.site import Site
from datapipe.transform.database.relation import Relation


def run(site: Site) -> list[Relation]:
    """Run it, over the connection that the renderer uses; gives the relations that it has made."""
    model = site.model
    macro = site.compiler.materialization(model)
    if macro is None:
        raise ProjectError(f"There is no materialization {model.materialized}.")
    # The template may write, and is rendered once.
    compiled = None if model.is_seed else site.compiled
    code, node = compiled and compiled.sql, site.compiler.seen(model, compiled)
    own: dict[str, Any] = {"sql": code, "compiled_code": code, "model": node}
    if model.is_seed:
        own["load_agate_table"] = partial(seed_by_macros.agate_table, model)
    result = site.compiler.call(model, macro, this=site.aside, own=own)
    relations = result.get("relations") if isinstance(result, Mapping) else None
    if relations is None:
        raise ProjectError(
            f"The materialization {model.materialized} returned no relations. "
            "End it with {{ return({'relations': [target_relation]}) }}.",
            path=model.path,
            model=model.name,
        )
    return list(relations)
