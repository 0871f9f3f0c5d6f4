"""Takes digests of what is going to be read, where counts of rows may not tell of a change."""

from __future__ import annotations

from collections.abc import Set

import psycopg

from datapipe.transform.manifest import Manifest
from datapipe.transform.state import tokens
from datapipe.transform.state.decide import Decisions
from datapipe.transform.state.look import Look


def take(connection: psycopg.Connection, manifest: Manifest, decisions: Decisions) -> None:
    """Take digests of what is going to be read, before that: the next run may need them."""
    found = decisions.seen.tokens
    wanted: set[str] = set()
    costly: set[str] = set()
    for model in manifest.models.values():
        if model.unique_id in decisions.why:
            before = decisions.recorded.get(model.unique_id)
            wanted |= before.inputs.keys() if before else set()
            wanted |= {manifest.sources[key].relation.local for key in model.sources}
            if before and before.form == "whole" and before.output and before.output.has_rows:
                costly |= before.inputs.keys()
    for test in decisions.tests:
        if test.unique_id in decisions.why:
            wanted |= {manifest.sources[key].relation.local for key in test.sources}
    wanted -= decisions.built.keys()  # how they stand then, this run tells
    wanted |= _below_views(connection, wanted, decisions.seen)
    wanted = {
        key
        for key in tokens.with_parts(wanted, found, decisions.seen.by_oid)
        if key in found and found[key].kind in {"r", "m"} and not found[key].digest
    }
    # Of a large one only where models are at stake that compute all their rows.
    taken = {*tokens.small(connection, wanted), *(decisions.seen.untold & wanted & costly)}
    tokens.digested(found, tokens.digests(connection, sorted(taken)))


def _below_views(connection: psycopg.Connection, keys: Set[str], seen: Look) -> set[str]:
    """All that the views among ``keys`` read, directly or through other views."""
    oids = {key: oid for oid, key in seen.by_oid.items()}
    found: set[str] = set()
    edge = {key for key in keys if key in seen.tokens and seen.tokens[key].kind == "v"}
    while edge:
        lower = tokens.below(connection, [oids[key] for key in edge]).values()
        reached = {seen.by_oid[oid] for each in lower for oid in each if oid in seen.by_oid}
        edge = {key for key in reached - found if seen.tokens[key].kind == "v"}
        found |= reached
    return found
