"""Runs a materialization of the project's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.build import seed_by_macros
from datapipe.transform.build.site import Site
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.tables import Response


def run(site: Site) -> tuple[list[Relation], Response | None]:
    """Run it, over the connection that the renderer uses.

    Gives the relations that it has made, and what PostgreSQL answered to its statement ``main``.
    """
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
    ended = site.compiler.call(
        model, "result_of_materialization", macro.split("."), this=site.aside, own=own
    )
    result, main = ended["made"], ended["main"]
    relations = result.get("relations") if isinstance(result, Mapping) else None
    if relations is None:
        raise ProjectError(
            f"The materialization {model.materialized} returned no relations. "
            "End it with {{ return({'relations': [target_relation]}) }}.",
            path=model.path,
            model=model.name,
        )
    return list(relations), main and main["response"]
