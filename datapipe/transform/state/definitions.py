"""What nodes are by definition, for ``state:`` in a selection: also those that nothing is built of.

What was built is written down with that. Of the others it is at the end of a run that went well.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from datapipe.transform.manifest import Manifest
from datapipe.transform.state.decide import Decisions
from datapipe.transform.state.fingerprint import Defined
from datapipe.transform.state.records import NodeState


def never_built(manifest: Manifest) -> Iterator[Defined]:
    """Sources, exposures and ephemeral models."""
    yield from manifest.sources.values()
    yield from manifest.exposures
    for model in manifest.models.values():
        if model.materialized == "ephemeral":
            yield model


def changed(decisions: Decisions) -> Iterator[NodeState]:
    """What was selected and not built, and is not defined as it is known to have been."""
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
