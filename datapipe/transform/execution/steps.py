"""What of a project a run does, and what each of it has to wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from datapipe.transform.execution.schedule import Node, Step
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
        gates = _gates(built, data_tests, upstream)
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


def _gates(
    built: dict[str, Model], tests: Sequence[DataTest], upstream: _Upstream
) -> dict[str, set[str]]:
    """The data tests that each model waits for: those that read nothing but what comes before it.

    It is enough to look at the models next to what a test reads: the others wait for those.
    """
    before: dict[str, set[str]] = {}
    next_to: dict[str, set[str]] = {}
    for key, model in built.items():  # in the order of building
        parents = upstream.read_by(model) & built.keys()
        before[key] = {*parents, *(far for parent in parents for far in before[parent])}
        for parent in parents:
            next_to.setdefault(parent, set()).add(key)
    gates: dict[str, set[str]] = {}
    for test in tests:
        read = upstream.read_by(test) & built.keys()
        for key in {child for parent in read for child in next_to.get(parent, ())}:
            if read <= before[key]:
                gates.setdefault(key, set()).add(test.unique_id)
    return gates
