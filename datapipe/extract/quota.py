"""The quota: requests are counted in PostgreSQL, before they are sent.

A strict API counts a request when it arrives, and nobody knows when that was: not before it was
sent, and not after its answer came. So a slot of a second or a minute is free again only when that
time has gone since the *answer*, and the spacing holds at the API however unevenly requests travel.
A request without an answer, whose process was killed, say, is taken to have arrived ``leeway``
after it was counted; a process that could not send it by then gives its slot up.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol
from zoneinfo import ZoneInfo

import psycopg

from datapipe.extract.endpoints import Request
from datapipe.extract.refusals import AskedElsewhere, QuotaSpent

_LOCK_CLASS = 0x64707174  # "dpqt" in ASCII
_LEEWAY = timedelta(seconds=5)  # for a request to arrive, and for clocks to differ
_WINDOWS = ((timedelta(seconds=1), "per_second"), (timedelta(minutes=1), "per_minute"))
_WIDER = 1.02  # than the limit says, since no two clocks run alike

NOT_SENT = "not_sent"
_UNANSWERED = ["sent", "interrupted", "broken_connection"]
_NEVER_ARRIVED = [NOT_SENT, "unreachable"]

_LOCK = "SELECT pg_advisory_xact_lock(%s, hashtext(%s)), clock_timestamp()"

# By when the request that takes the last place of a window had arrived at the latest.
_NEWEST = """
SELECT arrived_at FROM (
    SELECT requested_at + CASE WHEN outcome = ANY(%(unanswered)s)
        THEN %(leeway)s ELSE interval '0' END AS arrived_at
    FROM meta.requests
    WHERE key_id = %(key_id)s AND requested_at > %(now)s - %(window)s - %(leeway)s
      AND outcome <> ALL(%(never)s)
) r WHERE arrived_at > %(now)s - %(window)s ORDER BY arrived_at DESC OFFSET %(others)s LIMIT 1
"""

_DAY = """
SELECT count(*) FILTER (WHERE outcome <> ALL(%(never)s)),
       coalesce(bool_or(outcome = 'rate_limit.daily' AND requested_at >= %(begin)s), false)
FROM meta.requests WHERE key_id = %(key_id)s AND requested_at >= %(begin)s - %(leeway)s
"""

# What another run has asked since this one began, be it answered or still on its way.
_ELSEWHERE = """
SELECT bool_or(outcome IN ('ok', 'empty')) FROM meta.requests
WHERE key_id = %s AND requested_at >= %s AND run_id <> %s AND endpoint = %s AND symbol = %s
  AND outcome IN ('ok', 'empty', 'sent')
"""

_TAKE = """
INSERT INTO meta.requests (run_id, key_id, requested_at, endpoint, symbol)
VALUES (%s, %s, clock_timestamp(), %s, %s) RETURNING request_id
"""

_TAKE_ALL = """
INSERT INTO meta.requests (run_id, key_id, requested_at, endpoint, symbol)
SELECT %s, %s, clock_timestamp(), u.endpoint, u.symbol
FROM unnest(%s::text[], %s::text[]) AS u (endpoint, symbol)
RETURNING endpoint, symbol, request_id
"""

# An answered request has arrived by now: from then on its slot is counted.
_NOTE = """
UPDATE meta.requests r SET outcome = u.outcome, detail = u.detail,
    requested_at = CASE WHEN u.outcome = ANY(%s) THEN requested_at
                   ELSE least(clock_timestamp(), requested_at + %s) END
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS u (request_id, outcome, detail)
WHERE r.request_id = u.request_id
"""


@dataclass(frozen=True)
class Limits:
    """How many requests a key may send; None where there is no limit."""

    per_second: int | None
    per_minute: int | None
    per_day: int | None

    @property
    def unlimited(self) -> bool:
        return self.per_second is None and self.per_minute is None and self.per_day is None


class Day(Protocol):
    """When the API's day turns."""

    def begin(self, now: datetime) -> datetime:
        """When the day began that ``now`` is in."""

    def end(self, now: datetime) -> datetime:
        """When the next day begins."""


@dataclass(frozen=True)
class CalendarDay:
    """A day that turns at midnight in a time zone."""

    timezone: str = "UTC"

    def begin(self, now: datetime) -> datetime:
        local = now.astimezone(ZoneInfo(self.timezone))
        return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)

    def end(self, now: datetime) -> datetime:
        begin = self.begin(now)
        return (begin.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=begin.tzinfo)


@dataclass(frozen=True)
class Note:
    """How a request ended; ``detail`` holds no key."""

    request_id: int
    outcome: str
    detail: str | None = None


class Quota:
    """Counts the requests of one key over all processes that share the warehouse.

    ``connection`` is in autocommit and the quota's own: its transactions may not hold what others
    write. The methods may be called from several threads. ``leeway`` is how long a request may
    take to arrive, and by how much the API's clock may differ at the turn of the day.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        key: str,
        limits: Limits,
        *,
        run_id: int,
        day: Day | None = None,
        leeway: timedelta = _LEEWAY,
    ) -> None:
        # Each statement must see what was committed while it waited for the lock.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        self._connection = connection
        self._key_id = hashlib.sha256(f"datapipe {key}".encode()).hexdigest()[:12]
        self._limits = limits
        self._run_id = run_id
        self._day = day or CalendarDay()
        self._leeway = leeway
        self._looked = False
        self._began: datetime | None = None
        self._one_at_a_time = Lock()

    @property
    def key_id(self) -> str:
        """The fingerprint by which the ledger knows the key."""
        return self._key_id

    @property
    def unlimited(self) -> bool:
        return self._limits.unlimited

    @property
    def send_within_seconds(self) -> float:
        """How long after ``take`` a request may still leave, so that it arrives in time."""
        return self._leeway.total_seconds() * 0.6

    def take(self, request: Request) -> int | float:
        """Count a request, and give its id; or the seconds (a float) to wait before trying again.

        The row is committed before the request is sent, so that a killed process cannot lose it.
        Raises QuotaSpent when the day's requests are used up, by our count or by the API's word,
        and AskedElsewhere when another run has asked the same since this one began.
        """
        with self._one_at_a_time, self._connection.transaction():
            row = self._connection.execute(_LOCK, [_LOCK_CLASS, self._key_id]).fetchone()
            assert row is not None  # noqa: S101 - a query without FROM gives a row
            self._refuse_twice(request, row[1])
            wait = self._wait(row[1])
            if wait:
                return wait.total_seconds()
            taken = self._connection.execute(_TAKE, self._row(request)).fetchone()
        return int(taken[0]) if taken else 0

    def take_all(self, requests: Sequence[Request]) -> list[int]:
        """Count requests of a key without limits, in one round trip; gives their ids.

        Raises QuotaSpent when the API has said today that they are used up.
        """
        with self._one_at_a_time:
            if not self._looked:
                self._until_tomorrow(self._now())
            rows = self._connection.execute(
                _TAKE_ALL,
                [
                    self._run_id,
                    self._key_id,
                    [request.function for request in requests],
                    [request.symbol for request in requests],
                ],
            ).fetchall()
        ids = defaultdict(list)
        for function, symbol, request_id in rows:
            ids[function, symbol].append(request_id)
        return [ids[request.function, request.symbol].pop() for request in requests]

    def note(self, request_id: int, outcome: str, detail: str | None = None) -> None:
        """Write how a request ended; ``detail`` must hold no key."""
        self.note_all([Note(request_id, outcome, detail)])

    def note_all(self, notes: Sequence[Note]) -> list[None]:
        """Write how requests ended, in one round trip."""
        with self._one_at_a_time:
            self._connection.execute(
                _NOTE,
                [
                    _UNANSWERED,
                    self._leeway,
                    [note.request_id for note in notes],
                    [note.outcome for note in notes],
                    [note.detail for note in notes],
                ],
            )
        return [None] * len(notes)

    def left_today(self) -> int | None:
        """How many requests today's quota still has; None where the day has no limit."""
        with self._one_at_a_time:
            now = self._now()
            self._began = self._began or now  # what others ask from now on is not planned here
            sent, refused = self._counted(self._day.begin(now))
        if refused:
            return 0
        per_day = self._limits.per_day
        return None if per_day is None else max(0, per_day - sent)

    def _now(self) -> datetime:
        row = self._connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None  # noqa: S101 - a query without FROM gives a row
        now: datetime = row[0]
        return now

    def _row(self, request: Request) -> list[object]:
        return [self._run_id, self._key_id, request.function, request.symbol]

    def _refuse_twice(self, request: Request, now: datetime) -> None:
        self._began = self._began or now
        if "month" in request.params:
            return  # the ledger does not tell one month's question from another's
        asked = [self._key_id, self._began, self._run_id, request.function, request.symbol]
        row = self._connection.execute(_ELSEWHERE, asked).fetchone()
        if row and row[0] is not None:
            raise AskedElsewhere(f"Another run asks for {request}.", answered=row[0])

    def _wait(self, now: datetime) -> timedelta:
        """How long to wait at least; nothing when a request may go now."""
        until_tomorrow = self._until_tomorrow(now)
        if until_tomorrow:
            return until_tomorrow
        return max(
            self._until_free(now, length * _WIDER, limit)
            for length, name in _WINDOWS
            for limit in [getattr(self._limits, name)]
        )

    def _until_free(self, now: datetime, window: timedelta, limit: int | None) -> timedelta:
        if limit is None:
            return timedelta()
        row = self._connection.execute(
            _NEWEST,
            {
                "key_id": self._key_id,
                "now": now,
                "window": window,
                "leeway": self._leeway,
                "unanswered": _UNANSWERED,
                "never": _NEVER_ARRIVED,
                "others": limit - 1,
            },
        ).fetchone()
        if row is None:
            return timedelta()
        # One that is still on its way may be answered now, and is not free before its time then.
        arrived_at: datetime = min(row[0], now)
        return arrived_at + window - now + timedelta(milliseconds=1)

    def _until_tomorrow(self, now: datetime) -> timedelta:
        """Nothing while the day has requests left; QuotaSpent when it has none.

        Around the turn a request must fit into both days, since the API's clock may differ.
        """
        if self._limits.per_day is None and self._looked:
            return timedelta()  # nobody refuses for the day but the API, and that ends the run
        self._looked = True
        begin = self._day.begin(now)
        spent = self._said(begin)
        if spent:
            end = self._day.end(now)
            raise QuotaSpent(
                f"The day's requests are used up ({spent}); the next day begins at "
                f"{end:%Y-%m-%d %H:%M %Z}. The next run goes on; nothing is lost.",
                kind="rate_limit.daily",
            )
        until_sure = begin + self._leeway - now
        if until_sure > timedelta() and self._said(self._day.begin(begin - self._leeway)):
            return until_sure
        return timedelta()

    def _said(self, begin: datetime) -> str:
        """Why the day that began at ``begin`` is spent, if it is."""
        sent, refused = self._counted(begin)
        if refused:
            return "Alpha Vantage says so"
        per_day = self._limits.per_day
        return f"{sent} of {per_day}" if per_day is not None and sent >= per_day else ""

    def _counted(self, begin: datetime) -> tuple[int, bool]:
        row = self._connection.execute(
            _DAY,
            {
                "key_id": self._key_id,
                "begin": begin,
                "leeway": self._leeway,
                "never": _NEVER_ARRIVED,
            },
        ).fetchone()
        return (row[0], row[1]) if row else (0, False)
