"""How a node of a run ended, as dbt shows it to templates in ``results``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from datapipe.errors import DatapipeError
from datapipe.transform.build import Built
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.compile import Compiler
from datapipe.transform.compile.graph import shown_test, with_parents
from datapipe.transform.execution.schedule import Node
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.other_nodes import Exposure
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
        return _NAMES.get(self) or self.capitalize()


_NAMES = {"unit_test": "Unit", "no-op": "NoOp"}


class Told(dict[str, Any]):
    """Something of dbt's that templates ask for its attributes, or to become a dict."""

    def to_dict(self, **_: Any) -> dict[str, Any]:
        return dict(self)


class ConfigTold(Told):
    """The configuration of a node, in which what is not there is nothing, as in dbt."""

    def __missing__(self, key: str) -> None:
        return None


class NodeTold(Told):
    """A node whose ``compiled_code`` is compiled when a template asks for it, if it has any."""

    def __init__(self, seen: Mapping[str, Any], compiled: Callable[[], str | None] | None) -> None:
        super().__init__(seen)
        self._compiled = compiled

    def __missing__(self, key: str) -> Any:
        if key != "compiled_code" or self._compiled is None:
            raise KeyError(key)
        self[key] = self._compiled()
        return self[key]

    def to_dict(self, **_: Any) -> dict[str, Any]:
        own = {} if self._compiled is None else {"compiled_code": self["compiled_code"]}
        return {**self, **own}


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


class Batches:
    """The stretches of time for which a model was built, one by one."""

    def __init__(self, successful: Sequence[tuple[datetime, datetime]]) -> None:
        self.successful = list(successful)
        self.failed: list[tuple[datetime, datetime]] = []

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """The times as text, as dbt writes them down."""
        told = [[at.isoformat() for at in batch] for batch in self.successful]
        return {"successful": told, "failed": []}


class Ended:
    """One of ``results``: how ``node`` ended."""

    def __init__(self, node: NodeTold, status: str, seconds: float = 0.0) -> None:
        self.status = Word(status)
        self.timing: list[Timing] = []
        self.thread_id = "Thread-1 (worker)"
        self.execution_time = seconds
        self.adapter_response: dict[str, Any] = {}
        self.message: str | None = None
        self.failures: int | None = None
        self.node = node
        self.agate_table = None
        self.batch_results: Batches | None = None

    @property
    def skipped(self) -> bool:
        return self.status == "skipped"

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """The result as dbt writes it down."""
        batches = self.batch_results and self.batch_results.to_dict()
        told = {"timing": [each.to_dict() for each in self.timing], "batch_results": batches}
        return {**vars(self), **told, "node": self.node.to_dict()}


_NO_ROWS = {
    "view": "CREATE VIEW",
    "materialized_view": "REFRESH MATERIALIZED VIEW",
    "function": "CREATE FUNCTION",
}


def of(
    result: NodeResult, node: Node, built: Built | None, compiler: Compiler, sent: str | None
) -> Ended:
    """What ``result`` is to templates. Compiling is not timed: it took no time.

    ``sent`` is what the node was compiled to, if this run has compiled it.
    """
    is_model = isinstance(result, ModelResult)
    status = ("success" if is_model else "pass") if result.status == "reused" else result.status
    shown = Ended(_node(node, compiler, sent), status, result.seconds)
    shown.failures = _failures(result, node)
    shown.adapter_response = _response(result, node, built, compiler)
    said = "" if result.status == "reused" else result.message
    shown.message = said or _message(result, node, shown.adapter_response)
    if built is not None and built.batches:
        shown.batch_results = Batches(built.batches)
    ended = result.ended_at.astimezone(UTC).replace(tzinfo=None)
    began = ended - timedelta(seconds=result.seconds)
    shown.timing = [Timing("compile", began, began), Timing("execute", began, ended)]
    return shown


def of_exposure(exposure: Exposure, compiler: Compiler, *, is_skipped: bool) -> Ended:
    """What dbt tells of an exposure, of which there is nothing to do."""
    seen = with_parents(compiler.manifest, exposure)
    told = {"config": ConfigTold(seen["config"]), "resource_type": Word(seen["resource_type"])}
    ended = Ended(NodeTold({**seen, **told}, None), "skipped" if is_skipped else "no-op")
    ended.message, ended.failures = (None, None) if is_skipped else ("NO-OP", 0)
    now = datetime.now(UTC).replace(tzinfo=None)
    ended.timing = [] if is_skipped else [Timing("compile", now, now), Timing("execute", now, now)]
    return ended


def _node(node: Node, compiler: Compiler, sent: str | None) -> NodeTold:
    """The node with all that ``graph`` has of it, which has nothing of unit tests."""
    is_compiled = not (isinstance(node, Model) and node.is_batched)  # but each batch of it

    def compiled() -> str | None:
        if isinstance(node, UnitTest) or not is_compiled:
            return None
        if sent is not None:
            return sent
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
            "fqn": ["unit_test", *node.fqn],
            "original_file_path": node.file,
            "path": f"models/{node.name}.sql",
            "language": model.language,
            "raw_code": model.raw_code.strip(),
            "description": node.description,
            "columns": {},
            "config": {"materialized": "unit", **node.config},
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
    told = {"resource_type": Word(seen["resource_type"]), "config": ConfigTold(seen["config"])}
    if isinstance(node, Model) and node.is_seed:
        return NodeTold({**seen, **told}, None)
    done = {"compiled": is_compiled, "extra_ctes_injected": is_compiled}
    return NodeTold({**seen, **told, **done}, compiled)


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
    if built is not None and built.response is not None:
        said = built.response
        told = {"_message": str(said), "code": said.code, "rows_affected": said.rows_affected}
        return {key: value for key, value in told.items() if value is not None}
    kind, rows = result.materialized, result.rows
    if kind in _NO_ROWS and rows is None:
        return {"_message": _NO_ROWS[kind], "code": _NO_ROWS[kind], "rows_affected": -1}
    if rows is None or node.is_batched or (built is None and result.status != "reused"):
        return {}
    grown = built.grown if built else kind in {"incremental", "snapshot"}
    if kind == "seed":
        anew = refreshes_fully(node, compiler.options.full_refresh)
        code, counted = "CREATE" if anew else "INSERT", str(rows)
    elif not grown and not node.has_contract:
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
