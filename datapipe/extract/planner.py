"""The planner: which requests are wanted, in which order, and when everything is answered.

Nothing is asked for where nothing new can be. What is left over today the next run plans anew from
the same rows; there is no other memory.

The order: daily bars that are about to fall out of the compact window; what was never answered,
daily bars first; then what has waited longest. What is due by its own cadence stands half a period
behind the daily bars, so that it comes after them and yet comes, however little the quota is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import psycopg

from datapipe.errors import UsageError
from datapipe.extract.endpoints import Endpoint, Request, requests
from datapipe.extract.forecast import Budget, Due, Rank, forecast
from datapipe.extract.history import Barred, Candidate, History, barred, closes_after, histories
from datapipe.frozen import frozen
from datapipe.warehouse import sessions
from datapipe.warehouse.gaps import COMPACT_SESSIONS, Gap, gaps

_PERIODS = {"week": timedelta(days=7), "month": timedelta(days=30), "quarter": timedelta(days=91)}
_SLACK = timedelta(hours=12)  # cron does not come at the same second every day
_LONGEST_WAIT = timedelta(days=30)
_EVER = datetime.min.replace(tzinfo=UTC)  # since when that is due which was never asked
_URGENT = COMPACT_SESSIONS - 20
_PATIENT = 8  # good answers without the session, before a series is taken for dead


@frozen
class _Judged:
    candidate: Candidate
    reason: str

    @property
    def request(self) -> Request:
        return self.candidate.request

    @property
    def endpoint(self) -> str:
        return self.candidate.endpoint.name


@frozen
class Wanted(_Judged):
    """A request that can bring something new, and why."""

    rank: Rank
    due_at: datetime
    asked_at: datetime | None


@frozen
class Held(_Judged):
    """A request that is held back until a time, since it failed before."""

    until: datetime


@frozen
class Plan:
    """What is to be asked for."""

    at: datetime
    # In the order in which they are asked for.
    wanted: tuple[Wanted, ...]
    held: tuple[Held, ...]
    # How many requests could bring nothing new.
    current: int
    left_today: int | None
    per_day: int | None
    # With one run a day: the day on which the last wanted request is answered, and the first on
    # which nothing waits, or None if that is not within a year. Today, if nothing is wanted.
    complete_on: date
    caught_up_on: date | None
    gaps: tuple[Gap, ...] = ()

    @property
    def now(self) -> tuple[Wanted, ...]:
        """What this run will ask for."""
        return self.wanted[: self.left_today]

    @property
    def waiting(self) -> tuple[Wanted, ...]:
        """What is left to later runs."""
        return () if self.left_today is None else self.wanted[self.left_today :]

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that is wanted, in order: the quota ends a run where the day's requests end."""
        return tuple(wanted.request for wanted in self.wanted)


def plan(
    connection: psycopg.Connection,
    endpoints: Sequence[Endpoint],
    symbols: Sequence[str],
    options: Mapping[str, str],
    *,
    left_today: int | None,
    per_day: int | None,
    key_id: str | None = None,
    now: datetime | None = None,
    refresh: bool = False,
    with_gaps: bool = False,
) -> Plan:
    """Plan the requests of ``endpoints`` for ``symbols``; sends nothing.

    ``left_today`` and ``per_day`` are the quota's, None where there is no limit. ``key_id`` is the
    key's fingerprint in ``meta.requests``: what its plan was found not to include is held back.
    With ``refresh`` everything is wanted, also where nothing new can be. ``with_gaps`` looks for
    all that is missing of the daily bars. Fills ``meta.sessions`` where it falls short.
    """
    now = now or datetime.now(UTC)
    candidates = [
        Candidate(endpoint, request)
        for endpoint in endpoints
        for request in requests([endpoint], symbols, options)
    ]
    exchanges = sorted({candidate.exchange for candidate in candidates})
    sessions.fill(connection, exchanges, now=now)
    known = histories(connection, candidates, now=now)
    since = now - _LONGEST_WAIT
    refused = barred(connection, key_id, since=since, now=now) if key_id else []
    mendable = _mendable(connection, candidates, known, now)
    wanted: list[Wanted] = []
    held: list[Held] = []
    for candidate, history in zip(candidates, known, strict=True):
        decided = (
            _refreshed(candidate, history)
            if refresh
            else _not_entitled(candidate, refused)
            or _decide(candidate, history, now, mendable.get(candidate.request.symbol, 0))
        )
        if isinstance(decided, Wanted):
            wanted.append(decided)
        elif decided:
            held.append(decided)
    wanted.sort(key=lambda each: (each.rank, each.due_at, each.asked_at or _EVER))
    complete_on, caught_up_on = forecast(
        [_due(each) for each in wanted],
        Budget(left_today, per_day),
        closes_after(connection, exchanges, now=now),
        now=now,
    )
    return Plan(
        at=now,
        wanted=tuple(wanted),
        held=tuple(sorted(held, key=lambda each: each.until)),
        current=len(candidates) - len(wanted) - len(held),
        left_today=left_today,
        per_day=per_day,
        complete_on=complete_on,
        caught_up_on=caught_up_on,
        gaps=gaps(connection, _with_bars(candidates), now=now) if with_gaps else (),
    )


def _decide(
    candidate: Candidate, history: History, now: datetime, mendable: int
) -> Wanted | Held | None:
    """Whether a request can bring something new: now, later, or not at all."""
    found = _news(candidate, history, now, mendable)
    if found is None:
        return None
    reason, rank, due_at = found
    until, why = _wait(candidate, history)
    if until is not None:
        if until > now:
            return Held(candidate, why, until)
        rank, due_at = Rank.DUE, max(due_at, until)
    return Wanted(candidate, reason, rank, due_at, history.asked_at)


def _news(
    candidate: Candidate, history: History, now: datetime, mendable: int
) -> tuple[str, Rank, datetime] | None:
    """Why there may be something new, its rank, and since when."""
    cadence, seen_at = candidate.endpoint.cadence, history.seen_at
    if month := candidate.request.params.get("month"):
        return _news_of_month(month, history)
    if seen_at is None and (not candidate.has_bars or history.bar_date is None):
        rank = Rank.NEVER_ASKED_DAILY if cadence == "session" else Rank.NEVER_ASKED
        reason = "never asked" if history.asked_at is None else "asked, and not answered yet"
        return reason, rank, _EVER
    if candidate.request.params.get("outputsize") == "full" and not history.full_seen:
        return "the whole history was not asked for yet", Rank.NEVER_ASKED, _EVER
    if cadence in _PERIODS and seen_at is not None:
        period = _PERIODS[cadence]
        if seen_at + period - _SLACK > now:
            return None
        reason = f"due every {cadence}, last answered on {seen_at:%Y-%m-%d}"
        return reason, Rank.DUE, seen_at + period + period / 2
    if cadence == "once" or history.closed_at is None:
        return None
    if candidate.has_bars:
        return _news_of_bars(history, mendable)
    if seen_at is not None and seen_at >= history.closed_at:
        return None
    reason = f"not answered since the session of {history.session_date} closed"
    return reason, Rank.DUE, history.closed_at


def _news_of_bars(history: History, mendable: int) -> tuple[str, Rank, datetime] | None:
    closed_at, seen_at = history.closed_at, history.seen_at
    if history.arrived or closed_at is None:
        return None
    if history.bar_date is None:
        return "no bar is stored", Rank.DUE, closed_at
    if history.missing_since is not None:
        reason = f"{_sessions(history.missing)} missing after {history.bar_date}"
        urgent = history.missing >= _URGENT and history.lacking < _PATIENT
        return reason, Rank.ABOUT_TO_BE_LOST if urgent else Rank.DUE, history.missing_since
    if seen_at is not None and seen_at >= closed_at:
        return None
    if history.bar_known_from is not None and history.bar_known_from < closed_at:
        return f"the bar of {history.bar_date} was not finished when it came", Rank.DUE, closed_at
    if mendable:
        return f"{_sessions(mendable)} missing within reach", Rank.DUE, closed_at
    return None


def _sessions(count: int) -> str:
    return "1 session is" if count == 1 else f"{count} sessions are"


def _news_of_month(month: str, history: History) -> tuple[str, Rank, datetime] | None:
    """A month of intraday bars is complete if it was answered after its end."""
    try:
        end = date.fromisoformat(f"{month}-01") + timedelta(days=32)
    except ValueError:
        raise UsageError(f"{month!r} is not a month. Write it as 2026-05.") from None
    done_at = datetime(end.year, end.month, 2, tzinfo=UTC)
    if history.closed_at is not None:
        done_at = min(done_at, history.closed_at)
    if history.seen_at is not None and history.seen_at >= done_at:
        return None
    return f"{month} was not answered since its last session", Rank.DUE, done_at


def _wait(candidate: Candidate, history: History) -> tuple[datetime | None, str]:
    """Until when to wait because of how the last requests ended, and why."""
    asked_at = history.asked_at
    if asked_at is None:
        return None, ""
    day, hour = timedelta(days=1), timedelta(hours=1)
    if history.refused or history.empty:
        times = history.refused + history.empty
        wait = _doubled(day, times, _LONGEST_WAIT)
        period = _PERIODS.get(candidate.endpoint.cadence)
        if period and not history.refused:
            wait = max(wait, period)  # nothing there is an answer, too
        said = "refused as invalid" if history.refused else "answered with nothing"
        return asked_at + wait, f"{said}, {times} times" if times > 1 else said
    if history.broken >= 3:
        wait = _doubled(hour, history.broken - 2, day)
        return asked_at + wait, f"no sound answer, {history.broken} times"
    if history.arrived:
        return None, ""
    if candidate.has_bars and history.lacking >= _PATIENT:
        wait = _doubled(day, history.lacking - _PATIENT + 1, _LONGEST_WAIT)
        return asked_at + wait, f"no bar after {history.bar_date}, though asked again and again"
    if history.lacking_since_close >= 2:
        wait = _doubled(hour, history.lacking_since_close - 1, day)
        reason = f"the session of {history.session_date} is not there yet"
        return asked_at + wait, f"{reason}, asked {history.lacking_since_close} times"
    return None, ""


def _doubled(first: timedelta, times: int, most: timedelta) -> timedelta:
    """1, 2, 4 and so on times ``first``, at most ``most``."""
    return min(first * (1 << (min(times, 12) - 1)), most)


def _refreshed(candidate: Candidate, history: History) -> Wanted:
    since = history.seen_at or _EVER
    return Wanted(candidate, "asked for anew", Rank.REFRESH, since, history.asked_at)


def _not_entitled(candidate: Candidate, refused: Sequence[Barred]) -> Held | None:
    full = candidate.request.params.get("outputsize") == "full"
    for each in refused:
        if each.function == candidate.request.function and (full or not each.full):
            what = f"{each.function} with outputsize=full" if each.full else each.function
            reason = f"this key's plan does not include {what} ({each.kind})"
            return Held(candidate, reason, each.refused_at + _LONGEST_WAIT)
    return None


def _mendable(
    connection: psycopg.Connection,
    candidates: Sequence[Candidate],
    known: Sequence[History],
    now: datetime,
) -> dict[str, int]:
    """How many missing sessions a request may bring, for symbols that seem up to date.

    There are such only if bars have come from elsewhere: an answer holds every session within its
    reach.
    """
    unasked = [
        candidate.request.symbol
        for candidate, history in zip(candidates, known, strict=True)
        if candidate.has_bars
        and history.closed_at is not None
        and history.bar_date == history.session_date
        and (history.seen_at is None or history.seen_at < history.closed_at)
    ]
    found = gaps(connection, unasked, now=now) if unasked else ()
    mendable: dict[str, int] = {}
    for gap in found:
        mendable[gap.symbol] = mendable.get(gap.symbol, 0) + gap.mendable
    return mendable


def _with_bars(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.request.symbol for candidate in candidates if candidate.has_bars]


def _due(wanted: Wanted) -> Due:
    """When a request will be due again, for the forecast."""
    cadence = wanted.candidate.endpoint.cadence
    if cadence == "once":
        return Due(wanted.rank, wanted.due_at)
    period = _PERIODS.get(cadence)
    if period:
        return Due(wanted.rank, wanted.due_at, period=period)
    return Due(wanted.rank, wanted.due_at, exchange=wanted.candidate.exchange)
