"""Tells how a run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from datapipe.transform.execution.schedule import Node
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.options import Listener
from datapipe.transform.results import ModelResult, NodeResult, Progress


class Telling:
    """Tells a listener of each result, and how many of ``nodes`` are done."""

    def __init__(self, listener: Listener, nodes: Sequence[Node]) -> None:
        self._listener = listener
        models = sum(isinstance(node, Model) for node in nodes)
        self._total = {"build": models, "test": len(nodes) - models}
        self._done = {"build": 0, "test": 0}

    def __call__(self, result: NodeResult) -> None:
        stage: Literal["build", "test"] = "build" if isinstance(result, ModelResult) else "test"
        self._done[stage] += 1
        self._listener.progress(Progress(stage, result.name, self._done[stage], self._total[stage]))
        self._listener.result(result, sum(self._done.values()), sum(self._total.values()))
