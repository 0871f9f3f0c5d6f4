"""How a plan is shown."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

from datapipe.cli.extract_plan import rendered
from datapipe.extract.endpoints import Request, named
from datapipe.extract.history import Candidate
from datapipe.extract.planner import Held, Plan, Wanted
from datapipe.warehouse.gaps import Gap

AT = datetime(2026, 5, 15, 22, tzinfo=UTC)
(DAILY,) = named(["daily"])


def candidate(symbol: str) -> Candidate:
    return Candidate(DAILY, Request(DAILY.function, symbol, {"outputsize": "compact"}))


def plan(wanted: int, *, left: int | None = 25, caught_up: date | None = None) -> Plan:
    return Plan(
        at=AT,
        wanted=tuple(Wanted(candidate(f"S{n}"), "never asked", 1, AT, None) for n in range(wanted)),
        held=(Held(candidate("TYPO"), "refused as invalid", AT),),
        current=7,
        left_today=left,
        per_day=None if left is None else 25,
        complete_on=date(2026, 5, 17),
        caught_up_on=caught_up,
        gaps=(
            Gap("IBM", date(2025, 11, 7), date(2025, 12, 16), 27, 0, "paid"),
            Gap("KO", date(2026, 5, 15), date(2026, 5, 15), 1, 1, "request"),
        ),
    )


def test_a_small_plan_names_every_request_and_its_reason() -> None:
    assert rendered(plan(2, left=1, caught_up=date(2026, 5, 17))).splitlines() == [
        "Plan of 2026-05-15 22:00 UTC; nothing is sent.",
        "",
        "Now, in this order (1):",
        "  S0  daily  never asked",
        "",
        "In later runs (1):",
        "  S1  daily  never asked",
        "",
        "Held back (1):",
        "  TYPO  daily  refused as invalid; again from 2026-05-15 22:00",
        "",
        "Missing, and not to be had by a free request (27 sessions):",
        "  IBM  2025-11-07 to 2025-12-16  27 sessions",
        f"    {plan(2).gaps[0].advice}",
        "",
        "Wanted       2 requests",
        "Would bring  1 missing session of daily bars",
        "Up to date   7 requests",
        "Left today   1 of 25",
        "Done now     1 request",
        "Complete     on 2026-05-17, with a run a day",
    ]


def test_what_the_quota_cannot_keep_up_with_is_said() -> None:
    assert (
        "on 2026-05-17, with a run a day; then there is more than 25 requests a day can keep"
        in (rendered(plan(60)))
    )


def test_a_plan_of_thousands_stays_short() -> None:
    lines = rendered(plan(5000)).splitlines()
    assert len(lines) < 60
    assert "  S25, S26, S27, S28, S29, S30 and 4,969 more  daily  never asked" in lines


def test_a_plan_is_told_as_json_too() -> None:
    document = json.loads(rendered(plan(2, left=1), form="json"))
    assert document["now"] == [
        {
            "symbol": "S0",
            "endpoint": "daily",
            "params": {"outputsize": "compact"},
            "reason": "never asked",
        }
    ]
    assert [each["symbol"] for each in document["later"]] == ["S1"]
    assert (document["left_today"], document["complete_on"]) == (1, "2026-05-17")
    assert document["gaps"][0]["sessions"] == 27
