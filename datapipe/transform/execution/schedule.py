"""Which nodes of a run can be done now, and which never can because another one failed."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter

from datapipe.frozen import frozen
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest, UnitTest

Node = Model | DataTest | UnitTest


@frozen
class Step:
    """A node to be done, after all of ``needs`` (unique ids) went well."""

    unique_id: str
    node: Node
    needs: frozenset[str] = frozenset()


def ways(steps: Sequence[Step], seconds: Mapping[str, float]) -> dict[str, float]:
    """For each step, the seconds from its start to the end of the last step that waits for it.

    ``seconds`` is how long steps took when they were last done; others are taken for average.
    """
    average = sum(seconds.values()) / len(seconds) if seconds else 1.0
    needs = {step.unique_id: step.needs for step in steps}
    after = dict.fromkeys(needs, 0.0)
    for unique_id in reversed(tuple(TopologicalSorter(needs).static_order())):
        after[unique_id] += seconds.get(unique_id, average)
        for need in needs[unique_id]:
            after[need] = max(after[need], after[unique_id])
    return after


class Schedule:
    """The steps of a run that are still to be done; gives out those that can be, in their order.

    With ``ways``, the seconds from each step to the end of what waits for it, a model with more of
    them than anything in work goes before its turn: the whole run waits for it. All models come
    after the seeds that need nothing, even if those fail: templates may look up a seed's table by
    its name, and with dbt it has been there since ``dbt seed``. Data tests come after the models
    that need nothing were given out, as with dbt: theirs may look up those.
    """

    def __init__(self, steps: Sequence[Step], ways: Mapping[str, float] | None = None) -> None:
        self._steps = steps
        self._ways = [(ways or {}).get(step.unique_id, 0.0) for step in steps]
        self._number = {step.unique_id: number for number, step in enumerate(steps)}
        self._needed_by: dict[str, list[int]] = {}
        self._needs = [len(step.needs) for step in steps]
        self._left = set(range(len(steps)))
        self._in_work: set[int] = set()
        self._seeds = {
            number
            for number, step in enumerate(steps)
            if isinstance(step.node, Model) and step.node.is_seed and not step.needs
        }
        self._first = {
            number
            for number, step in enumerate(steps)
            if isinstance(step.node, Model) and not step.needs
        }
        # Heaps, so that what came first is given out first: of models the seeds, then the longest.
        self._models: list[tuple[bool, float, int]] = []
        self._data_tests: list[int] = []
        self._unit_tests: list[int] = []
        self._last: list[int] = []
        for number, step in enumerate(steps):
            for need in step.needs:
                self._needed_by.setdefault(need, []).append(number)
            if not step.needs:
                self._offer(number)

    def take(self, tests_at_most: int) -> tuple[Step, ...]:
        """What can be done now in one go: tests of a kind, or a model; empty if all has to wait."""
        taken = self._taken(tests_at_most)
        self._in_work.update(taken)
        return tuple(self._steps[number] for number in taken)

    def _taken(self, tests_at_most: int) -> list[int]:
        model = self._next_model()
        longest = max((self._ways[number] for number in self._in_work), default=0.0)
        if model is not None and (self._first or self._ways[model] > longest):
            return [self._popped()]
        for tests in (self._data_tests, self._unit_tests):
            if tests:
                return [heapq.heappop(tests) for _ in range(min(len(tests), tests_at_most))]
        if model is not None:
            return [self._popped()]
        if self._last and self._left == set(self._last):
            size = min(len(self._last), tests_at_most)
            return [heapq.heappop(self._last) for _ in range(size)]
        return []

    def _popped(self) -> int:
        number = heapq.heappop(self._models)[-1]
        self._first.discard(number)
        return number

    def _next_model(self) -> int | None:
        if not self._models:
            return None
        number = self._models[0][-1]
        return number if number in self._seeds or self._seeds.isdisjoint(self._left) else None

    def done(self, unique_id: str) -> None:
        """``unique_id`` went well: what waited for it alone can be done."""
        self._end(self._number[unique_id])
        for number in self._needed_by.get(unique_id, ()):
            self._needs[number] -= 1
            if not self._needs[number] and number in self._left:
                self._offer(number)

    def postpone(self, unique_id: str, need: str) -> bool:
        """Give ``unique_id`` out again when ``need`` went well: it was found to wait for that, too.

        Where ``need`` has ended, or waits for it in turn, it is False and given out at once.
        """
        number = self._number[unique_id]
        self._in_work.discard(number)
        self._seeds.discard(number)
        waits = self._number.get(need) in self._left - self._behind(unique_id)
        if waits:
            self._needed_by.setdefault(need, []).append(number)
            self._needs[number] += 1
        else:
            self._offer(number)
        return waits

    def failed(self, unique_id: str) -> tuple[Step, ...]:
        """``unique_id`` failed: leave out what can never be done because of it, and return it."""
        self._end(self._number[unique_id])
        skipped = self._behind(unique_id)
        self._left -= skipped
        return self._in_order(skipped)

    def _behind(self, unique_id: str) -> set[int]:
        """What is left and waits for ``unique_id``, if only through others."""
        found: set[int] = set()
        edge = [unique_id]
        while edge:
            for number in self._needed_by.get(edge.pop(), ()):
                if number in self._left and number not in found:
                    found.add(number)
                    edge.append(self._steps[number].unique_id)
        return found

    def give_up(self) -> tuple[Step, ...]:
        """Leave out all that was not given out yet, and return it."""
        given_out = self._left - self._waiting()
        skipped, self._left = self._left - given_out, given_out
        self._models, self._data_tests, self._unit_tests, self._last = [], [], [], []
        return self._in_order(skipped)

    def _end(self, number: int) -> None:
        self._left.discard(number)
        self._in_work.discard(number)

    def _waiting(self) -> set[int]:
        models = (number for *_, number in self._models)
        offered = {*models, *self._data_tests, *self._unit_tests, *self._last}
        return {number for number in self._left if self._needs[number]} | offered

    def _offer(self, number: int) -> None:
        node = self._steps[number].node
        if isinstance(node, Model):
            heapq.heappush(self._models, (number not in self._seeds, -self._ways[number], number))
        elif isinstance(node, DataTest):
            # What it looks at, if it names nothing, may be anything that the run makes.
            tests = self._data_tests if node.refs or node.sources else self._last
            heapq.heappush(tests, number)
        else:
            heapq.heappush(self._unit_tests, number)

    def _in_order(self, numbers: Iterable[int]) -> tuple[Step, ...]:
        return tuple(self._steps[number] for number in sorted(numbers))
