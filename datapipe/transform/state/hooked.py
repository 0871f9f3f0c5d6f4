"""What hooks would do, and the models whose rows they would change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from datapipe.errors import DatapipeError
from datapipe.transform.build import elsewhere, model_hooks
from datapipe.transform.compile import Compiler
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.state.records import NodeState

CHANGES_OTHERS = "has a hook that changes other tables"


def rendered(model: Model, compiler: Compiler) -> list[str] | None:
    """What the hooks of ``model`` would do; None where they do it while they are rendered."""
    if not model.config.get("pre_hook") and not model.config.get("post_hook"):
        return []
    try:
        return model_hooks.rendered(model, compiler)
    except DatapipeError:  # or the build will tell what is wrong
        return None


def partners(
    models: Collection[Model],
    recorded: Mapping[str, NodeState],
    compiler_of: Callable[[Model], Compiler],
) -> dict[str, list[tuple[str, str]]]:
    """For each model, by unique id, those with which it is built, and why.

    Their hooks must find the rows that it builds, and not those that they have changed before.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    by_name = {model.relation.published: model for model in models}
    for model in models:
        before = recorded.get(model.unique_id)
        if before is not None and before.unsteady != CHANGES_OTHERS:
            continue  # to render a hook may take queries, and it may tell the user something
        hooks = rendered(model, compiler_of(model))
        for other in elsewhere.changed(";\n".join(hooks or ()), by_name):
            if other.key != model.key:
                why = f"a hook of {model.name} changes it"
                found.setdefault(other.unique_id, []).append((model.unique_id, why))
    return found
