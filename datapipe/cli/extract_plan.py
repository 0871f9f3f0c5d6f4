"""How ``datapipe extract --plan`` shows a plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from datapipe.cli.text import aligned, count

if TYPE_CHECKING:
    from datapipe.extract.planner import Held, Plan, Wanted
    from datapipe.warehouse.gaps import Gap

_ROWS_AT_MOST = 40
_NAMES_AT_MOST = 6


def rendered(plan: Plan, *, form: str = "text") -> str:
    """A plan as text, or as JSON with ``form="json"``."""
    return json.dumps(_document(plan), indent=2) if form == "json" else "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterable[str]:
    yield f"Plan of {plan.at:%Y-%m-%d %H:%M} UTC; nothing is sent."
    yield ""
    if plan.now:
        yield f"Now, in this order ({len(plan.now):,}):"
        yield from _wanted(plan.now)
        yield ""
    if plan.waiting:
        yield f"In later runs ({len(plan.waiting):,}):"
        yield from _wanted(plan.waiting)
        yield ""
    if plan.held:
        yield f"Held back ({len(plan.held):,}):"
        yield from _held(plan.held)
        yield ""
    unmended = [gap for gap in plan.gaps if gap.cure != "request"]
    if unmended:
        missing = sum(gap.sessions for gap in unmended)
        yield f"Missing, and not to be had by a free request ({count(missing, 'session')}):"
        yield from _gaps(unmended)
        yield ""
    yield from _summary(plan)


def _summary(plan: Plan) -> Iterable[str]:
    rows = [
        ("Wanted", count(len(plan.wanted), "request")),
        ("Up to date", count(plan.current, "request")),
        ("Left today", _left(plan)),
        ("Done now", count(len(plan.now), "request")),
        ("Complete", _complete(plan)),
    ]
    mended = sum(gap.mendable for gap in plan.gaps)
    if mended:
        rows.insert(1, ("Would bring", f"{count(mended, 'missing session')} of daily bars"))
    return aligned(rows)


def _left(plan: Plan) -> str:
    if plan.left_today is None:
        return "no limit"
    return str(plan.left_today) + (f" of {plan.per_day}" if plan.per_day is not None else "")


def _complete(plan: Plan) -> str:
    if not plan.wanted:
        return "now"
    first = "with this run" if not plan.waiting else f"on {plan.complete_on}, with a run a day"
    if plan.caught_up_on is None:
        return f"{first}; then there is more than {plan.per_day} requests a day can keep up with"
    if plan.caught_up_on > plan.complete_on:
        return f"{first}; what comes meanwhile, too, on {plan.caught_up_on}"
    return first


def _wanted(wanted: Sequence[Wanted]) -> Iterable[str]:
    if len(wanted) <= _ROWS_AT_MOST:
        rows = [(each.request.symbol, each.endpoint, each.reason) for each in wanted]
        return aligned(rows, indent="  ")
    # What is alike stands together; the order of the groups is that of their first requests.
    groups: dict[tuple[str, str], list[str]] = {}
    for each in wanted:
        groups.setdefault((each.endpoint, each.reason), []).append(each.request.symbol)
    return _grouped(groups)


def _held(held: Sequence[Held]) -> Iterable[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for each in held:
        reason = f"{each.reason}; again from {each.until:%Y-%m-%d %H:%M}"
        groups.setdefault((each.endpoint, reason), []).append(each.request.symbol)
    return _grouped(groups)


def _grouped(groups: dict[tuple[str, str], list[str]]) -> Iterable[str]:
    rows = [
        (_names(symbols), endpoint, reason)
        for (endpoint, reason), symbols in list(groups.items())[:_ROWS_AT_MOST]
    ]
    if len(groups) > _ROWS_AT_MOST:
        rest = list(groups.values())[_ROWS_AT_MOST:]
        rows.append((f"and {sum(map(len, rest)):,} more", "", ""))
    return aligned(rows, indent="  ")


def _gaps(gaps: Sequence[Gap]) -> Iterable[str]:
    rows = [
        (
            gap.symbol,
            str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}",
            count(gap.sessions, "session"),
        )
        for gap in gaps[:_ROWS_AT_MOST]
    ]
    shown = aligned(rows, indent="  ")
    for advice, lines in groupby(zip(shown, gaps, strict=False), key=lambda pair: pair[1].advice):
        yield from (line for line, _ in lines)
        yield f"    {advice}"
    if len(gaps) > _ROWS_AT_MOST:
        yield f"  and {len(gaps) - _ROWS_AT_MOST:,} more gaps"


def _names(symbols: Sequence[str]) -> str:
    shown = ", ".join(symbols[:_NAMES_AT_MOST])
    more = len(symbols) - _NAMES_AT_MOST
    return shown + (f" and {more:,} more" if more > 0 else "")


def _document(plan: Plan) -> dict[str, Any]:
    def entry(each: Wanted | Held) -> dict[str, Any]:
        return {
            "symbol": each.request.symbol,
            "endpoint": each.endpoint,
            "params": dict(each.request.params),
            "reason": each.reason,
        }

    return {
        "at": plan.at.isoformat(),
        "now": [entry(each) for each in plan.now],
        "later": [entry(each) for each in plan.waiting],
        "held": [entry(each) | {"until": each.until.isoformat()} for each in plan.held],
        "gaps": [
            {
                "symbol": gap.symbol,
                "first": gap.first.isoformat(),
                "last": gap.last.isoformat(),
                "sessions": gap.sessions,
                "mendable": gap.mendable,
                "cure": gap.advice,
            }
            for gap in plan.gaps
        ],
        "up_to_date": plan.current,
        "left_today": plan.left_today,
        "per_day": plan.per_day,
        "complete_on": plan.complete_on.isoformat(),
        "caught_up_on": plan.caught_up_on and plan.caught_up_on.isoformat(),
    }
