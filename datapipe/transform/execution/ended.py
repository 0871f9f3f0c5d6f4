"""How a node of a run ended, as dbt shows it to templates in ``results``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from datapipe.errors import DatapipeError
from datapipe.transform.build import Built
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.compile import Compiler
from datapipe.transform.compile.graph import shown_test, with_parents
from datapipe.transform.execution.schedule import Node
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.results import ModelResult, NodeResult, TestResult


class Word(str):
    """A member of one of dbt's enumerations: a text that has a value and a name."""

    __slots__ = ()

    @property
    def value(self) -> str:
        return str(self)

    @property
    def name(self) -> str:
        return "Unit" if self == "unit_test" else self.capitalize()


class Told(dict[str, Any]):
    """Something of dbt's that templates ask for its attributes, or to become a dict."""

    def to_dict(self, **_: Any) -> dict[str, Any]:
        return dict(self)


class ConfigTold(Told):
    """The configuration of a node, in which what is not there is nothing, as in dbt."""

    def __missing__(self, key: str) -> None:
        return None


class NodeTold(Told):
    """A node whose ``compiled_code`` is compiled when a template asks for it."""

    def __init__(self, seen: Mapping[str, Any], compiled: Callable[[], str | None]) -> None:
        super().__init__(seen)
        self._compiled = compiled

    def __missing__(self, key: str) -> Any:
        if key != "compiled_code":
            raise KeyError(key)
        self[key] = self._compiled()
        return self[key]

    def to_dict(self, **_: Any) -> dict[str, Any]:
        return {**self, "compiled_code": self["compiled_code"]}


class Timing:
    """When a step of a node began and ended, in UTC."""

    def __init__(self, name: str, started_at: datetime, completed_at: datetime) -> None:
        self.name = name
        self.started_at = started_at
        self.completed_at = completed_at

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """The times as text, as dbt writes them down."""
        times = {"started_at": self.started_at, "completed_at": self.completed_at}
        return {"name": self.name, **{key: f"{at.isoformat()}Z" for key, at in times.items()}}


class Ended:
    """One of ``results``. Compiling is not timed: it took no time."""

    def __init__(
        self, result: NodeResult, node: Node, built: Built | None, compiler: Compiler
    ) -> None:
        is_model = isinstance(result, ModelResult)
        status = ("success" if is_model else "pass") if result.status == "reused" else result.status
        self.status = Word(status)
        self.unique_id = node.unique_id
        self.node = _node(node, compiler)
        self.relation_name = self.node.get("relation_name")
        self.thread_id = "Thread-1 (worker)"
        self.execution_time = result.seconds
        self.failures = _failures(result, node)
        self.adapter_response = _response(result, node, built, compiler)
        said = "" if result.status == "reused" else result.message
        self.message = said or _message(result, node, self.adapter_response)
        self.batch_results = None
        self.agate_table = None
        ended = result.ended_at.astimezone(UTC).replace(tzinfo=None)
        began = ended - timedelta(seconds=result.seconds)
        self.timing = [Timing("compile", began, began), Timing("execute", began, ended)]

    @property
    def skipped(self) -> bool:
        return self.status == "skipped"

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """The result as dbt writes it down."""
        shown = {key: each for key, each in vars(self).items() if key not in _NOT_WRITTEN}
        timing = [each.to_dict() for each in self.timing]
        return {**shown, "node": self.node.to_dict(), "timing": timing}


_NOT_WRITTEN = {"unique_id", "relation_name"}
_NO_ROWS = {"view": "CREATE VIEW", "materialized_view": "REFRESH MATERIALIZED VIEW"}


def _node(node: Node, compiler: Compiler) -> NodeTold:
    """The node with all that ``graph`` has of it, which has nothing of unit tests."""

    def compiled() -> str | None:
        if isinstance(node, UnitTest) or (isinstance(node, Model) and node.is_seed):
            return None
        try:
            return (compiler.model(node) if isinstance(node, Model) else compiler.test(node)).sql
        except DatapipeError:  # that is why it failed
            return None

    seen: dict[str, Any]
    if isinstance(node, UnitTest):
        model = compiler.manifest.models[node.model]
        tested = model.unique_id
        seen = {
            "name": node.name,
            "alias": node.name,
            "database": model.relation.database,
            "schema": model.relation.schema,
            "resource_type": "unit_test",
            "package_name": node.package,
            "unique_id": node.unique_id,
            "fqn": list(node.fqn),
            "original_file_path": node.file,
            "description": node.description,
            "columns": {},
            "config": dict(node.config),
            "tags": list(node.config.get("tags") or []),
            "meta": dict(node.config.get("meta") or {}),
            "depends_on": {"macros": [], "nodes": [tested]},
            "tested_node_unique_id": tested,
        }
    elif isinstance(node, DataTest):
        stores = compiler.options.store_failures
        seen = shown_test(compiler.manifest, node, compiler.renderer, stores=stores)
    else:
        seen = with_parents(compiler.manifest, node)
    told = {
        "resource_type": Word(seen["resource_type"]),
        "config": ConfigTold(seen["config"]),
        "compiled": None if isinstance(node, Model) and node.is_seed else True,
    }
    return NodeTold({**seen, **told}, compiled)


def _failures(result: NodeResult, node: Node) -> int | None:
    """How many rows a test found; of a model built in batches, dbt says that there are none."""
    if isinstance(result, TestResult):
        return result.failures
    return 0 if isinstance(node, Model) and node.is_batched else None


def _response(
    result: NodeResult, node: Node, built: Built | None, compiler: Compiler
) -> dict[str, Any]:
    """What PostgreSQL answers to the statement with which dbt does the node."""
    if isinstance(result, TestResult) and result.status in {"pass", "warn", "fail", "reused"}:
        # Of a unit test, dbt fetches what is expected and what there is.
        expected = node.expect.number if isinstance(node, UnitTest) else None
        fetched = 1 if expected is None else 2 * expected
        return {"_message": f"SELECT {fetched}", "code": "SELECT", "rows_affected": fetched}
    if not isinstance(result, ModelResult) or not isinstance(node, Model) or result.has_failed:
        return {}
    kind, rows = result.materialized, result.rows
    if kind in _NO_ROWS and rows is None:
        return {"_message": _NO_ROWS[kind], "code": _NO_ROWS[kind], "rows_affected": -1}
    if rows is None or node.is_batched or (built is None and result.status != "reused"):
        return {}
    grown = built.grown if built else kind in {"incremental", "snapshot"}
    if kind == "seed":
        anew = refreshes_fully(node, compiler.options.full_refresh)
        code, counted = "CREATE" if anew else "INSERT", str(rows)
    elif not grown:
        code, counted = "SELECT", str(rows)
    elif node.config.get("incremental_strategy") == "merge":
        code, counted = "MERGE", str(rows)
    else:
        code, counted = "INSERT", f"0 {rows}"
    return {"_message": f"{code} {counted}", "code": code, "rows_affected": rows}


def _message(result: NodeResult, node: Node, response: Mapping[str, Any]) -> str | None:
    """What dbt says of a node that was built, and of a data test that found rows."""
    if isinstance(result, ModelResult):
        is_batched = isinstance(node, Model) and node.is_batched and not result.has_failed
        return "SUCCESS" if is_batched else response.get("_message")
    if result.status not in {"warn", "fail"} or not isinstance(result, TestResult):
        return None
    found = f"Got {result.failures} result{'' if result.failures == 1 else 's'}"
    limit = node.config.get("warn_if" if result.status == "warn" else "error_if", "!= 0")
    return f"{found}, configured to {result.status} if {limit}"
