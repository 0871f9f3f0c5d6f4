"""What of a project a run does, and what each of it has to wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from datapipe.transform.execution.schedule import Node, Step
from datapipe.transform.graph import ordered
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest, UnitTest


def planned(
    manifest: Manifest,
    models: Sequence[Model],
    data_tests: Sequence[DataTest],
    unit_tests: Sequence[UnitTest],
    *,
    tested_first: bool,
) -> list[Step]:
    """The steps of a run that builds ``models`` in this order.

    A unit test waits for what its model reads, a model for its unit tests and for what it reads, a
    data test for what it reads. ``tested_first`` makes a model also wait for the data tests of
    what it reads, as dbt does.
    """
    built = {model.key: model for model in models}
    upstream = _Upstream(manifest)
    units: dict[str, list[UnitTest]] = {}
    for test in unit_tests:
        units.setdefault(test.model, []).append(test)

    def needed(node: Node) -> set[str]:
        return {built[key].unique_id for key in upstream.read_by(node) if key in built}

    gates: dict[str, set[str]] = {}
    if tested_first:
        gates = _gates(manifest, built, data_tests)
    steps = []
    for model in models:
        needs = frozenset(needed(model) | gates.get(model.key, set()))
        own = units.pop(model.key, [])
        steps += [Step(test.unique_id, test, needs) for test in own]
        needs |= {test.unique_id for test in own}
        steps.append(Step(model.unique_id, model, needs))
    for tests in units.values():  # of models that are not built now
        steps += [Step(test.unique_id, test) for test in tests]
    return steps + [Step(test.unique_id, test, frozenset(needed(test))) for test in data_tests]


def as_dbt_comes_to_them(
    manifest: Manifest, nodes: Sequence[Node]
) -> Callable[[Node], tuple[int, bool, str]]:
    """What to sort ``nodes`` by, to have them as dbt's build does them with one thread.

    What became possible first goes first, and of what did together what is less deep, then what
    has the lesser name. Unit tests come just before their model.
    """
    gates = _gates(manifest, {node.key for node in nodes if isinstance(node, Model)}, nodes)
    ids = {key: model.unique_id for key, model in manifest.models.items()}
    reads = {node.unique_id: node.refs for node in nodes if isinstance(node, DataTest)}
    reads |= {ids[key]: manifest.models[key].refs for key in gates}
    waits = {each: {ids[key] for key in refs if ids[key] in reads} for each, refs in reads.items()}
    for key, tests in gates.items():
        waits[ids[key]] |= tests
    waited_for: dict[str, list[str]] = {}
    for each, needs in waits.items():
        for need in needs:
            waited_for.setdefault(need, []).append(each)
    depths = dict.fromkeys(waits, 0)
    possible = deque(sorted(each for each, needs in waits.items() if not needs))
    places: dict[str, int] = {}
    while possible:
        done = possible.popleft()
        places[done] = len(places)
        after = waited_for.get(done, ())
        for each in after:
            depths[each] = max(depths[each], depths[done] + 1)
            waits[each].discard(done)
        freed = (each for each in after if not waits[each])
        possible.extend(sorted(freed, key=lambda each: (depths[each], each)))

    def place(node: Node) -> tuple[int, bool, str]:
        if isinstance(node, UnitTest):
            return places.get(ids[node.model], -1), False, node.unique_id
        return places[node.unique_id], True, node.unique_id

    return place


class _Upstream:
    """The models with a relation that a node reads, itself or through ephemeral models."""

    def __init__(self, manifest: Manifest) -> None:
        self._models = manifest.models
        self._found: dict[str, frozenset[str]] = {}

    def read_by(self, node: Node) -> frozenset[str]:
        if isinstance(node, UnitTest):
            return self.read_by(self._models[node.model])
        return frozenset(self._through(node.refs))

    def _through(self, refs: Iterable[str]) -> Iterator[str]:
        for key in refs:
            if self._models[key].materialized != "ephemeral":
                yield key
                continue
            if key not in self._found:
                self._found[key] = frozenset(self._through(self._models[key].refs))
            yield from self._found[key]


def _gates(manifest: Manifest, built: Container[str], tests: Sequence[Node]) -> dict[str, set[str]]:
    """The data tests that each model waits for: those that read nothing but what comes before it.

    It is enough to look at the models next to what a test reads: the others wait for those, and
    what reads an ephemeral model waits for what that would.
    """
    gates: dict[str, set[str]] = {}
    before: dict[str, set[str]] = {}
    next_to: dict[str, set[str]] = {}
    for model in ordered(manifest.models):
        if model.key in built or model.materialized == "ephemeral":
            parents = {key for key in model.refs if key in gates}
            gates[model.key] = set()
            before[model.key] = {*parents, *(far for parent in parents for far in before[parent])}
            for parent in parents:
                next_to.setdefault(parent, set()).add(model.key)
    for test in tests:
        read = {key for key in test.refs if key in gates} if isinstance(test, DataTest) else set()
        for key in {child for parent in read for child in next_to.get(parent, ())}:
            if read <= before[key]:
                gates[key].add(test.unique_id)
    for key, waits in gates.items():
        for parent in manifest.models[key].refs:
            if parent in gates and manifest.models[parent].materialized == "ephemeral":
                waits |= gates[parent]
    return gates
