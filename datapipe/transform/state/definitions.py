"""How nodes are defined, for ``state:`` in a selection; also those that are never built.

The definition of what is built is recorded with the build, that of other nodes at the end of a run
that went well.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from datapipe.transform.manifest import Manifest
from datapipe.transform.state.decide import Decisions
from datapipe.transform.state.fingerprint import Defined
from datapipe.transform.state.records import NodeState


def never_built(manifest: Manifest) -> Iterator[Defined]:
    """The nodes that are not built: sources, exposures and ephemeral models."""
    yield from manifest.sources.values()
    yield from manifest.exposures
    for model in manifest.models.values():
        if model.materialized == "ephemeral":
            yield model


def changed(decisions: Decisions) -> Iterator[NodeState]:
    """Nodes that were selected and not built, and whose definitions are not the recorded ones."""
    parts = decisions.fingerprints.parts
    for model in decisions.in_order:
        before = decisions.recorded.get(model.unique_id)
        if model.unique_id in decisions.reused and before is not None:
            now = parts(model)
            if now != before.parts:
                yield replace(before, parts=now)
    selected: Set[str] = {node.unique_id for node in decisions.selected}
    for each in never_built(decisions.manifest):
        if each.unique_id in selected:
            before, now = decisions.recorded.get(each.unique_id), parts(each)
            if before is None or now != before.parts:
                yield NodeState(each.unique_id, "whole", "", {}, now)
