"""The quota: requests are counted in PostgreSQL, before they are sent.

A strict API counts a request when it arrives, and nobody knows when that was: not before it was
sent, and not after its answer came. So a slot of a second or a minute is free again only when that
time has gone since the *answer*, and the spacing holds at the API however unevenly requests travel.
A request without an answer, whose process was killed, say, is taken to have arrived ``leeway``
after it was counted; a process that could not send it by then gives its slot up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

import psycopg

from datapipe.extract.day import CalendarDay, Day, learned
from datapipe.extract.endpoints import Request
from datapipe.extract.refusals import AskedElsewhere, QuotaSpent
from datapipe.frozen import frozen

_LOCK_CLASS = 0x64707174  # "dpqt" in ASCII
_ALIVE_CLASS = 0x6470616C  # "dpal"
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
       max(requested_at) FILTER (WHERE outcome = 'rate_limit.daily' AND requested_at >= %(begin)s)
FROM meta.requests WHERE key_id = %(key_id)s AND requested_at >= %(begin)s - %(leeway)s
"""

# Whether a request is on its way that will tell if the day has turned since a refusal.
_FINDING_OUT = """
SELECT coalesce(bool_and(outcome = 'sent'), false) FROM meta.requests
WHERE key_id = %(key_id)s AND requested_at > %(refused_at)s
  AND requested_at > %(now)s - interval '1 minute'
"""
_LOOK_AGAIN = timedelta(seconds=0.5)

# The last time that the day was spent, and when a request was answered again.
_TURNED = """
SELECT refused.requested_at, answered.requested_at
FROM meta.requests refused CROSS JOIN LATERAL (
    SELECT requested_at FROM meta.requests
    WHERE key_id = %(key_id)s AND requested_at > refused.requested_at AND outcome = ANY(%(said)s)
    ORDER BY requested_at LIMIT 1
) answered
WHERE refused.key_id = %(key_id)s AND refused.outcome = 'rate_limit.daily'
ORDER BY refused.requested_at DESC LIMIT 1
"""
_ANSWERED = ["ok", "empty", "invalid_request", "premium_required", "not_entitled"]

# The process that counts holds this lock as long as it lives.
_LIVE = "SELECT pg_advisory_lock_shared(%s, %s)"

# What another run has asked since this one began: answered, or still on its way. What a killed
# process asked is neither.
_ELSEWHERE = """
SELECT asked.place, bool_or(r.outcome <> 'sent')
FROM unnest(%(endpoints)s::text[], %(symbols)s::text[], %(params)s::jsonb[])
    WITH ORDINALITY AS asked (endpoint, symbol, params, place)
JOIN meta.requests r ON r.symbol = asked.symbol AND r.endpoint = asked.endpoint
    AND r.params = asked.params
WHERE r.requested_at >= %(began)s AND r.run_id <> %(run_id)s
  AND (r.outcome IN ('ok', 'empty', 'invalid_request') OR r.outcome = 'sent' AND EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(alive)s::bigint::oid AND objid = (r.run_id %% 2147483648)::oid
  ))
GROUP BY asked.place
"""

# In the order of the lists, so that the ids can be told apart.
_TAKE = """
INSERT INTO meta.requests (request_id, run_id, key_id, requested_at, endpoint, symbol, params)
SELECT u.request_id, %(run_id)s, %(key_id)s, clock_timestamp(), u.endpoint, u.symbol, u.params
FROM (
    SELECT nextval('meta.request_ids') AS request_id, asked.*
    FROM unnest(%(endpoints)s::text[], %(symbols)s::text[], %(params)s::jsonb[])
        WITH ORDINALITY AS asked (endpoint, symbol, params, place)
    ORDER BY place
) u
RETURNING request_id
"""

# An answered request has arrived by now: from then on its slot is counted.
_NOTE = """
UPDATE meta.requests r SET outcome = u.outcome, detail = u.detail,
    requested_at = CASE WHEN u.outcome = ANY(%s) THEN requested_at
                   ELSE least(clock_timestamp(), requested_at + %s) END
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS u (request_id, outcome, detail)
WHERE r.request_id = u.request_id
"""


@frozen
class Limits:
    """How many requests a key may send; None where there is no limit."""

    per_second: int | None
    per_minute: int | None
    per_day: int | None

    @property
    def unlimited(self) -> bool:
        return self.per_second is None and self.per_minute is None and self.per_day is None


@frozen
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
        connection.execute(_LIVE, [_ALIVE_CLASS, run_id % 2**31])
        self._connection = connection
        self._key_id = hashlib.sha256(f"datapipe {key}".encode()).hexdigest()[:12]
        self._limits = limits
        self._run_id = run_id
        self._day = day or CalendarDay()
        self._leeway = leeway
        self._learned: Day | None = None
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
            now = self._locked()
            elsewhere = self._elsewhere([request], now)
            if elsewhere:
                raise elsewhere[0]
            wait = self._wait(now)
            return wait.total_seconds() if wait else self._taken([request])[0]

    def take_all(self, requests: Sequence[Request]) -> list[int | AskedElsewhere]:
        """Count requests of a key without limits, in one round trip; gives their ids.

        In the place of one that another run has asked since this one began stands the error.
        Raises QuotaSpent when the API has said today that they are used up.
        """
        with self._one_at_a_time, self._connection.transaction():
            now = self._locked()
            if not self._looked:
                self._until_tomorrow(now)
            found: dict[int, int | AskedElsewhere] = dict(self._elsewhere(requests, now))
            ours = [place for place in range(len(requests)) if place not in found]
            found |= zip(ours, self._taken([requests[place] for place in ours]), strict=True)
        return [found[place] for place in range(len(requests))]

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
            day = self._known_day()
            sent, _ = self._counted(day.begin(now))
            spent = self._spent(day, now)
        if spent:
            return 0
        per_day = self._limits.per_day
        return None if per_day is None else max(0, per_day - sent)

    def _locked(self) -> datetime:
        """The time at which this transaction came to hold the key's lock."""
        row = self._connection.execute(_LOCK, [_LOCK_CLASS, self._key_id]).fetchone()
        assert row is not None  # noqa: S101 - a query without FROM gives a row
        now: datetime = row[1]
        return now

    def _now(self) -> datetime:
        row = self._connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None  # noqa: S101 - a query without FROM gives a row
        now: datetime = row[0]
        return now

    def _taken(self, requests: Sequence[Request]) -> list[int]:
        rows = self._connection.execute(
            _TAKE, {**_lists(requests), "run_id": self._run_id, "key_id": self._key_id}
        )
        return [row[0] for row in rows]

    def _elsewhere(self, requests: Sequence[Request], now: datetime) -> dict[int, AskedElsewhere]:
        """Which of ``requests`` another run asks, by their places."""
        self._began = self._began or now
        asked = {"began": self._began, "run_id": self._run_id, "alive": _ALIVE_CLASS}
        rows = self._connection.execute(_ELSEWHERE, {**_lists(requests), **asked})
        return {
            place - 1: AskedElsewhere(
                f"Another run asks for {requests[place - 1]}.", answered=answered
            )
            for place, answered in rows
        }

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
        day = self._known_day()
        spent = self._spent(day, now)
        if spent:
            raise QuotaSpent(
                f"The day's requests are used up ({spent}). The next run goes on; nothing is lost.",
                kind="rate_limit.daily",
            )
        begin = day.begin(now)
        _, refused_at = self._counted(begin)
        if refused_at and self._is_finding_out(refused_at, now):
            return _LOOK_AGAIN
        until_sure = begin + self._leeway - now
        if until_sure > timedelta():
            sent, refused_at = self._counted(day.begin(begin - self._leeway))
            if refused_at or self._is_all(sent):
                return until_sure
        return timedelta()

    def _spent(self, day: Day, now: datetime) -> str:
        """Why the day that ``now`` is in has no requests left, and until when; if it has none.

        The API's word holds until the day might turn, be it that somebody else uses the key or that
        its day is not the one that is set: then it is asked once again.
        """
        sent, refused_at = self._counted(day.begin(now))
        end = day.end(now)
        if self._is_all(sent):
            return (
                f"{sent} of {self._limits.per_day}; the next day begins at {end:%Y-%m-%d %H:%M %Z}"
            )
        if refused_at is None:
            return ""
        until = min(end, day.may_turn(refused_at) + self._leeway)
        if until <= now:
            return ""
        return f"Alpha Vantage says so; it is asked again from {until:%Y-%m-%d %H:%M %Z} on"

    def _is_finding_out(self, refused_at: datetime, now: datetime) -> bool:
        row = self._connection.execute(
            _FINDING_OUT, {"key_id": self._key_id, "refused_at": refused_at, "now": now}
        ).fetchone()
        return bool(row and row[0])

    def _is_all(self, sent: int) -> bool:
        return self._limits.per_day is not None and sent >= self._limits.per_day

    def _known_day(self) -> Day:
        """The day as it is set, or as the last refusal and what followed it have shown."""
        if self._learned is None:
            row = self._connection.execute(
                _TURNED, {"key_id": self._key_id, "said": _ANSWERED}
            ).fetchone()
            self._learned = learned(self._day, *row) if row else self._day
        return self._learned

    def _counted(self, begin: datetime) -> tuple[int, datetime | None]:
        """How many requests were sent since ``begin``, and when the API last said it is enough."""
        row = self._connection.execute(
            _DAY,
            {
                "key_id": self._key_id,
                "begin": begin,
                "leeway": self._leeway,
                "never": _NEVER_ARRIVED,
            },
        ).fetchone()
        return (row[0], row[1]) if row else (0, None)


def _lists(requests: Sequence[Request]) -> dict[str, object]:
    return {
        "endpoints": [request.function for request in requests],
        "symbols": [request.symbol for request in requests],
        "params": [json.dumps(dict(request.params)) for request in requests],
    }
