"""What ``on-run-start`` and ``on-run-end`` see of a run, as dbt shows it to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from datapipe.errors import DatapipeError
from datapipe.transform.build import Built, aside
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.execution.schedule import Node
from datapipe.transform.execution.steps import as_dbt_comes_to_them
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.results import NodeResult, Status, TestResult

if TYPE_CHECKING:
    from datapipe.transform.execution.ended import Ended

# Before a run there is nothing of it: dbt writes nothing for these, and goes through nothing.
BEFORE = dict.fromkeys(("schemas", "database_schemas", "results"), "")


def after(
    nodes: Sequence[Node],
    results: Sequence[NodeResult],
    built: Iterable[Built],
    compiler: Compiler,
    *,
    tested: Mapping[str, Compiled],
    unpublished: DatapipeError | None = None,
    selected: Collection[str] = (),
) -> Mapping[str, Any]:
    """``results``, one for each node in the order of dbt, and the schemas of what is there now.

    Of all that is ``selected``, by unique id, the exposures have results, too.

    Where nothing could be published, ``unpublished`` is why: what was built is ``skipped`` then, or
    an ``error`` where publishing itself failed. What was compiled is told as it was, of data tests
    by ``tested``: to render a template again might write again. ``compiler`` tells of the others.
    """
    from datapipe.transform.execution import ended as as_told  # few projects have such hooks

    instead: Status = "skipped" if any(each.has_failed for each in results) else "error"
    by_id = {node.unique_id: node for node in nodes}
    made = {each.model.unique_id: each for each in built}
    codes = {**tested, **{key: each.compiled for key, each in made.items() if each.compiled}}
    compiler = compiler.growing(each.model.key for each in made.values() if each.grown)
    ended: list[Ended] = []
    there: set[tuple[str, str]] = set()
    place = as_dbt_comes_to_them(compiler.manifest, nodes)
    for result in sorted(results, key=lambda each: place(by_id[each.unique_id])):
        node, shown = by_id[result.unique_id], result
        if unpublished is not None and isinstance(node, Model) and result.status == "success":
            why = str(unpublished).partition("\n")[0]
            shown = replace(result, status=instead, message=f"It was not published: {why}")
        code = codes.get(node.unique_id)
        sent = None if code is None else aside.in_public(code.sql, compiler.manifest.schemas)
        ended.append(as_told.of(shown, node, made.get(node.unique_id), compiler, sent))
        if shown.has_failed:
            continue
        if isinstance(node, Model):
            there.add(_schema(node))
        elif isinstance(result, TestResult) and result.stored_in:
            there.add((compiler.renderer.target["dbname"], result.stored_in.split('"')[1]))
    lost = {each.node["unique_id"] for each in ended if each.status in {"error", "skipped"}}
    for exposure in compiler.manifest.exposures:
        if exposure.resource_type == "exposure" and exposure.unique_id in selected:
            parents = compiler.manifest.parents(exposure)
            is_skipped = not lost.isdisjoint(parents)
            ended.append(as_told.of_exposure(exposure, compiler, is_skipped=is_skipped))
    return {
        "schemas": sorted({schema for _, schema in there}),
        "database_schemas": sorted(there),
        "results": ended,
    }


def _schema(model: Model) -> tuple[str, str]:
    return model.relation.database, model.relation.schema
