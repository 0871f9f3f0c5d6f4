"""How ``datapipe transform --plan`` shows a plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from datapipe.cli.text import aligned, count

if TYPE_CHECKING:
    from datapipe.transform.state import Plan, Planned

_ROWS_AT_MOST = 60


def rendered(plan: Plan, *, form: str = "text") -> str:
    """A plan as text, or as JSON with ``form="json"``."""
    return json.dumps(_document(plan), indent=2) if form == "json" else "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterable[str]:
    if plan.build:
        yield f"To be built, in this order ({len(plan.build):,}):"
        yield from _listed([(each.name, each.materialized, each.reason) for each in plan.build])
        yield ""
    if plan.keep:
        yield f"Kept, as the run before has built them ({len(plan.keep):,}):"
        yield from _listed([(each.name, each.materialized) for each in plan.keep])
        yield ""
    if plan.reuse:
        yield f"Reused, as nothing changed ({len(plan.reuse):,}):"
        yield from _listed([(each.name, each.materialized) for each in plan.reuse])
        yield ""
    if plan.test:
        yield f"To be tested ({len(plan.test):,}):"
        yield from _listed([(each.name, each.reason) for each in plan.test])
        yield ""
    kept = f"{len(plan.keep):,} kept, " if plan.keep else ""
    yield (
        f"{count(len(plan.build), 'model')} built, {kept}{len(plan.reuse):,} reused; "
        f"{count(len(plan.test), 'test')} run, {len(plan.reuse_tests):,} reused. "
        "Nothing was done."
    )


def _listed(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    yield from aligned(rows[:_ROWS_AT_MOST], indent="  ")
    if len(rows) > _ROWS_AT_MOST:
        yield f"  and {len(rows) - _ROWS_AT_MOST:,} more"


def _document(plan: Plan) -> dict[str, Any]:
    def entry(each: Planned) -> dict[str, str]:
        described = {
            "unique_id": each.unique_id,
            "resource_type": each.resource_type,
            "name": each.name,
            "materialized": each.materialized,
            "relation": each.relation,
            "reason": each.reason,
        }
        return {key: value for key, value in described.items() if value}

    return {
        "build": [entry(each) for each in plan.build],
        "keep": [entry(each) for each in plan.keep],
        "reuse": [entry(each) for each in plan.reuse],
        "test": [entry(each) for each in plan.test],
        "reuse_tests": [entry(each) for each in plan.reuse_tests],
        "warnings": list(plan.warnings),
    }
