"""What ``on-run-start`` and ``on-run-end`` see of a run, in dbt's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from datapipe.errors import DatapipeError
from datapipe.transform.execution.schedule import Node
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.results import ModelResult, NodeResult, Status, TestResult


def before(nodes: Sequence[Node]) -> Mapping[str, Any]:
    """``schemas`` and ``database_schemas`` of all that is going to be built."""
    return _where({_schema(node) for node in nodes if isinstance(node, Model)})


def after(
    nodes: Sequence[Node],
    results: Sequence[NodeResult],
    *,
    unpublished: DatapipeError | None = None,
) -> Mapping[str, Any]:
    """``results``, one for each node, and the schemas of what is there now.

    Where nothing could be published, ``unpublished`` is why: what was built is ``skipped`` then, or
    an ``error`` where publishing itself failed.
    """
    built: Status = "skipped" if any(each.has_failed for each in results) else "error"
    by_id = {node.unique_id: node for node in nodes}
    told = []
    there: set[tuple[str, str]] = set()
    for result in results:
        node, shown = by_id[result.unique_id], result
        if unpublished is not None and isinstance(node, Model) and result.status == "success":
            why = str(unpublished).partition("\n")[0]
            shown = replace(result, status=built, message=f"It was not published: {why}")
        told.append(_told(shown, node))
        if shown.has_failed:
            continue
        if isinstance(node, Model):
            there.add(_schema(node))
        elif isinstance(result, TestResult) and result.stored_in:
            there.add((told[-1].node["database"], result.stored_in.split('"')[1]))
    return {**_where(there), "results": told}


def _schema(model: Model) -> tuple[str, str]:
    return model.relation.database, model.relation.schema


def _where(schemas: Set[tuple[str, str]]) -> dict[str, Any]:
    return {
        "schemas": sorted({schema for _, schema in schemas}),
        "database_schemas": sorted(schemas),
    }


def _told(result: NodeResult, node: Node) -> SimpleNamespace:
    is_model = isinstance(result, ModelResult)
    status = ("success" if is_model else "pass") if result.status == "reused" else result.status
    seen: dict[str, Any] = {"unique_id": node.unique_id, "name": node.name}
    if not isinstance(node, Model) and not hasattr(node, "as_template_sees_it"):
        seen["resource_type"] = result.resource_type
    else:
        seen |= node.as_template_sees_it()
    relation = str(node.relation) if isinstance(node, Model) else None
    return SimpleNamespace(
        node={**seen, "relation_name": relation},
        unique_id=node.unique_id,
        status=status,
        message=result.message or None,
        failures=result.failures if isinstance(result, TestResult) else None,
        execution_time=result.seconds,
        thread_id="Thread-1",
        timing=[],
        adapter_response={"rows_affected": result.rows} if isinstance(result, ModelResult) else {},
        relation_name=relation,
    )
