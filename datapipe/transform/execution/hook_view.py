"""What ``on-run-start`` and ``on-run-end`` see of a run, in dbt's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from datapipe.transform.execution.schedule import Node
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.results import ModelResult, NodeResult, TestResult


def known(nodes: Sequence[Node], results: Sequence[NodeResult] = ()) -> Mapping[str, Any]:
    """``schemas``, ``database_schemas`` and, at the end, ``results``, one for each node."""
    models = [node for node in nodes if isinstance(node, Model)]
    written = {(model.relation.database, model.relation.schema) for model in models}
    kept = [each.stored_in for each in results if isinstance(each, TestResult) and each.stored_in]
    if models:
        written |= {(models[0].relation.database, where.split('"')[1]) for where in kept}
    by_id = {node.unique_id: node for node in nodes}
    return {
        "schemas": sorted({schema for _, schema in written}),
        "database_schemas": sorted(written),
        "results": [_told(each, by_id[each.unique_id]) for each in results],
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
