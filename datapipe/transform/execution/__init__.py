"""Does the nodes of a run, each as soon as it can be done, and everything that can be done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg

from datapipe.errors import DatapipeError, WarehouseError
from datapipe.transform import checks
from datapipe.transform.build import Built
from datapipe.transform.compile import Compiler
from datapipe.transform.execution.outcome import result_of
from datapipe.transform.execution.schedule import Schedule, Step
from datapipe.transform.execution.workers import Workers
from datapipe.transform.manifest.nodes import DataTest, Model, UnitTest
from datapipe.transform.results import NodeResult
from datapipe.warehouse.failures import failure

_TESTS_AT_ONCE = 50
# The classes of SQLSTATE after which everything else would fail, too: the server is going, has no
# room, or is not well.
_HOPELESS = ("08", "53", "57P", "58", "XX")


@dataclass(frozen=True)
class Doing:
    """How the nodes of a run are done, on whichever connection.

    ``build`` builds a model aside; ``publish``, if there is one, makes it visible at once.
    ``saw`` is told of data tests within the transaction that they ran in.
    """

    compiler: Compiler
    build: Callable[[psycopg.Connection, Model], Built]
    publish: Callable[[psycopg.Connection, Built], None] | None = None
    saw: checks.Saw | None = None


class Execution:
    """Does ``steps``; afterwards ``results`` tell how each ended, and ``built`` what is aside."""

    def __init__(
        self,
        steps: Sequence[Step],
        doing: Doing,
        *,
        fail_fast: bool,
        on_result: Callable[[NodeResult], None],
    ) -> None:
        self.steps = steps
        self.results: list[NodeResult] = []
        self.built: list[Built] = []
        self._doing = doing
        self._fail_fast = fail_fast
        self._on_result = on_result
        self._schedule = Schedule(steps)
        self._stopped_by = ""
        self._publishing = threading.Lock()

    def run(self, connections: Sequence[psycopg.Connection]) -> None:
        """Do all that can be done, on all of ``connections`` at the same time.

        Raises only what makes it hopeless to go on.
        """
        workers = Workers(connections, self._do)

        def settle(results: Sequence[NodeResult]) -> None:
            for result in results:
                self._settle(result)
                if result.has_failed and self._fail_fast and not self._stopped_by:
                    self._stopped_by = result.name
                    workers.cancel()
                    self._skip(self._schedule.give_up(), result.name)

        workers.work(lambda: self._schedule.take(_TESTS_AT_ONCE) or None, settle)

    def done(self, result: NodeResult) -> None:
        """Keep and tell a result, also of a node that is no step of this execution."""
        self.results.append(result)
        self._on_result(result)

    def _settle(self, result: NodeResult) -> None:
        if self._stopped_by and result.status == "error":  # it was told to stop
            result = replace(result, status="skipped", because=self._stopped_by, message="")
        self.done(result)
        if result.has_failed:
            self._skip(self._schedule.failed(result.unique_id), result.name)
        else:
            self._schedule.done(result.unique_id)

    def _skip(self, steps: Sequence[Step], because: str) -> None:
        for step in steps:
            self.done(result_of(step.node, "skipped", because=because))

    def _do(self, connection: psycopg.Connection, steps: Sequence[Step]) -> Sequence[NodeResult]:
        """Do one model or some tests of a kind; called in the thread of a worker."""
        compiler, nodes = self._doing.compiler, [step.node for step in steps]
        with compiler.renderer.using(connection):
            if isinstance(nodes[0], Model):
                return [self._model(connection, nodes[0])]
            units = [node for node in nodes if isinstance(node, UnitTest)]
            if units:
                return checks.unit_tests(connection, units, compiler)
            tests = [node for node in nodes if isinstance(node, DataTest)]
            return checks.data_tests(connection, tests, compiler, saw=self._doing.saw)

    def _model(self, connection: psycopg.Connection, model: Model) -> NodeResult:
        began = time.perf_counter()
        try:
            built = self._doing.build(connection, model)
            if self._doing.publish is not None:
                with self._publishing:
                    self._doing.publish(connection, built)
        except (DatapipeError, psycopg.Error) as caught:
            error = caught
            if isinstance(error, psycopg.Error):
                error = failure(error, f"building {model.name}")
            if _is_hopeless(error, connection):
                raise error from caught
            return result_of(model, "error", seconds=time.perf_counter() - began, error=error)
        self.built.append(built)
        return result_of(model, "success", seconds=built.seconds, rows=built.rows)


def _is_hopeless(error: DatapipeError, connection: psycopg.Connection) -> bool:
    """Whether everything else would fail in the same way."""
    if connection.closed or connection.broken:
        return True
    state = error.sqlstate if isinstance(error, WarehouseError) else None
    return state is not None and state.startswith(_HOPELESS)
