"""What hooks come to, and the models whose rows they change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from datapipe.errors import DatapipeError
from datapipe.transform.build import rows_of_others, written_hooks
from datapipe.transform.compile import Compiler
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.state.records import NodeState

CHANGES_OTHERS = "changes other tables"


def rendered(model: Model, compiler: Compiler) -> list[str] | None:
    """What the hooks of ``model`` come to; None if they do something while they are rendered."""
    if not model.has_hooks:
        return []
    try:
        return written_hooks.rendered(model, compiler)
    except DatapipeError:  # or the build will tell what is wrong
        return None


def partners(
    models: Collection[Model],
    recorded: Mapping[str, NodeState],
    compiler_of: Callable[[Model], Compiler],
) -> dict[str, list[tuple[str, str]]]:
    """For each model, by unique id, the models that it is built together with, and why.

    What changes the rows of a model must find them newly built, and not changed already.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    by_name = {model.relation.published: model for model in models}
    for model in models:
        before = recorded.get(model.unique_id)
        changed: Iterable[str] = before.changed if before is not None else ()
        if before is None:
            hooks = rendered(model, compiler_of(model)) or ()
            changed = {
                each.unique_id for each in rows_of_others.changed(";\n".join(hooks), by_name)
            }
        for other in changed:
            found.setdefault(other, []).append((model.unique_id, f"{model.name} changes it"))
    return found
