"""Does the nodes of a run, each as soon as it can be done, and everything that can be done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import psycopg

from datapipe.errors import DatapipeError, WarehouseError
from datapipe.frozen import frozen
from datapipe.transform import checks
from datapipe.transform.build import Built
from datapipe.transform.compile import Compiled, Compiler, Unbuilt
from datapipe.transform.database.session_settings import leaving_none_open
from datapipe.transform.execution.outcome import result_of
from datapipe.transform.execution.schedule import Node, Schedule, Step, ways
from datapipe.transform.execution.workers import Connections, Workers
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.results import NodeResult

_TESTS_AT_ONCE = 50
# The classes of SQLSTATE after which everything else would fail, too: the server is going, has no
# room, or is not well.
_HOPELESS = ("08", "53", "57P", "58", "XX")


@frozen
class Doing:
    """How the nodes of a run are done, on whichever connection.

    ``build`` builds a model aside, with ``compiler`` or one like it; ``publish``, if there is one,
    makes it visible at once. ``witness`` is told what data tests have read.
    """

    compiler: Compiler
    build: Callable[[psycopg.Connection, Model, Compiler], Built]
    publish: Callable[[psycopg.Connection, Built], None] | None = None
    witness: checks.Witness | None = None


@frozen
class _Postponed:
    """A node that names, without ``ref``, what is still to be built."""

    node: Node
    by: Unbuilt


class Execution:
    """Does ``steps``; afterwards ``results`` tell how each ended, and ``built`` what is aside.

    ``tested`` has what data tests were compiled to. ``seconds`` are what steps took when they were
    last done, by which what the whole run waits for goes first; with None they are done in the
    order given.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        doing: Doing,
        *,
        seconds: Mapping[str, float] | None,
        fail_fast: bool,
        on_result: Callable[[NodeResult], None],
    ) -> None:
        self.steps = steps
        self.results: list[NodeResult] = []
        self.built: list[Built] = []
        self.tested: dict[str, Compiled] = {}  # the data tests that were asked, by unique id
        self._doing = doing
        self._fail_fast = fail_fast
        self._on_result = on_result
        self._schedule = Schedule(steps, None if seconds is None else ways(steps, seconds))
        self._lost: dict[str, str] = {}  # what failed or was skipped, and because of what
        self._impatient: set[str] = set()  # what can wait no longer
        self._compiler = doing.compiler.waiting(lambda node: node.unique_id not in self._impatient)
        self._stopped_by = ""
        self._publishing = threading.Lock()

    def run(self, connections: Connections) -> None:
        """Do all that can be done, on as many ``connections`` at the same time as there may be.

        Raises only what makes it hopeless to go on.
        """
        workers = Workers(connections, self._do)

        def settle(results: Sequence[NodeResult | _Postponed]) -> None:
            for result in results:
                if isinstance(result, _Postponed):
                    self._postpone(result)
                    continue
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
            self._lost[result.unique_id] = result.name
            self._skip(self._schedule.failed(result.unique_id), result.name)
        else:
            self._schedule.done(result.unique_id)

    def _postpone(self, postponed: _Postponed) -> None:
        node, by = postponed.node, postponed.by
        because = self._stopped_by or self._lost.get(by.model.unique_id, "")
        if because:
            self._skip([Step(node.unique_id, node)], because)
            self._skip(self._schedule.failed(node.unique_id), because)
        elif not self._schedule.postpone(node.unique_id, by.model.unique_id):
            self._impatient.add(by.node.unique_id)

    def _skip(self, steps: Sequence[Step], because: str) -> None:
        for step in steps:
            self._lost[step.unique_id] = because
            self.done(result_of(step.node, "skipped", because=because))

    def _do(
        self, connection: psycopg.Connection, steps: Sequence[Step]
    ) -> Sequence[NodeResult | _Postponed]:
        """Do one model or some tests of a kind; called in the thread of a worker.

        A transaction that templates have left open is rolled back, as dbt does after each node.
        """
        node = steps[0].node
        with leaving_none_open(connection), self._compiler.renderer.using(connection):
            if isinstance(node, Model):
                return [self._model(connection, node)]
            units = [step.node for step in steps if isinstance(step.node, UnitTest)]
            if units:
                return [self._unit_test(connection, test) for test in units]
            tests = [step.node for step in steps if isinstance(step.node, DataTest)]
            return self._data_tests(connection, tests)

    def _unit_test(self, connection: psycopg.Connection, test: UnitTest) -> NodeResult | _Postponed:
        try:
            return checks.unit_tests(connection, [test], self._compiler)[0]
        except Unbuilt as unbuilt:
            return _Postponed(test, unbuilt)

    def _data_tests(
        self, connection: psycopg.Connection, tests: Sequence[DataTest]
    ) -> Sequence[NodeResult | _Postponed]:
        postponed: list[_Postponed] = []
        left = list(tests)
        while True:
            try:
                done, compiled = checks.data_tests(
                    connection, left, self._compiler, witness=self._doing.witness
                )
                self.tested.update(compiled)
                return [*done, *postponed]
            except Unbuilt as unbuilt:  # while they were compiled: none was asked
                postponed += [_Postponed(test, unbuilt) for test in left if test is unbuilt.node]
                left = [test for test in left if test is not unbuilt.node]

    def _model(self, connection: psycopg.Connection, model: Model) -> NodeResult | _Postponed:
        began = time.perf_counter()
        try:
            built = self._doing.build(connection, model, self._compiler)
            if self._doing.publish is not None:
                with self._publishing:
                    self._doing.publish(connection, built)
        except Unbuilt as unbuilt:
            return _Postponed(model, unbuilt)
        except (DatapipeError, psycopg.Error) as caught:
            error = caught
            if isinstance(error, psycopg.Error):
                from datapipe.transform.compile.locate import stray_error  # seldom needed

                error = stray_error(error, model, self._compiler)
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
