"""Forecasts the day on which everything wanted is answered, with one run a day."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import IntEnum

from datapipe.frozen import frozen

_HORIZON_DAYS = 366


class Rank(IntEnum):
    """What is asked for first; within a rank, what has been due the longest."""

    ABOUT_TO_BE_LOST = 0
    NEVER_ASKED_DAILY = 1
    NEVER_ASKED = 2
    DUE = 3
    REFRESH = 4


@frozen
class Budget:
    """How many requests are left today, and how many a day has; None without a limit."""

    left_today: int | None
    per_day: int | None


@frozen
class Due:
    """A wanted request, and when it will be due again: at the next session, or after a period."""

    rank: Rank
    due_at: datetime
    exchange: str | None = None
    period: timedelta | None = None


def forecast(
    wanted: Sequence[Due],
    budget: Budget,
    closes: Mapping[str, Sequence[datetime]],
    *,
    now: datetime,
) -> tuple[date, date | None]:
    """The day on which the last of ``wanted`` is answered, and the day on which nothing waits.

    The second is None if it is not within a year: there is more to ask than the quota allows.
    """
    today = now.date()
    if budget.left_today is None or budget.per_day is None or len(wanted) <= budget.left_today:
        return today, today
    # What is due is asked in order; what was asked waits until it is due again.
    waiting = [(each.rank, each.due_at, place) for place, each in enumerate(wanted)]
    heapq.heapify(waiting)
    asked: list[tuple[datetime, datetime, int]] = []  # due again, in which place, what
    first_round = set(range(len(wanted)))
    complete_on: date | None = None
    for day in range(_HORIZON_DAYS + len(wanted) // max(1, budget.per_day)):
        at = now + timedelta(days=day)
        while asked and asked[0][0] <= at:
            _, due_at, place = heapq.heappop(asked)
            heapq.heappush(waiting, (Rank.DUE, due_at, place))
        for _ in range(min(budget.per_day if day else budget.left_today, len(waiting))):
            _, _, place = heapq.heappop(waiting)
            first_round.discard(place)
            again = _due_again(wanted[place], at, closes)
            if again:
                heapq.heappush(asked, (*again, place))
        if complete_on is None and not first_round:
            complete_on = at.date()
        if not waiting:
            return complete_on or at.date(), at.date()
        if complete_on is not None and day >= _HORIZON_DAYS:
            break
    return complete_on or today + timedelta(days=_HORIZON_DAYS), None


def _due_again(
    due: Due, asked_at: datetime, closes: Mapping[str, Sequence[datetime]]
) -> tuple[datetime, datetime] | None:
    """From when a request is due again, and the time that gives it its place in the order."""
    if due.period is not None:
        return asked_at + due.period, asked_at + due.period * 1.5
    to_come = closes.get(due.exchange or "", ())
    next_close = bisect_right(to_come, asked_at)
    if next_close == len(to_come):
        return None
    return to_come[next_close], to_come[next_close]
