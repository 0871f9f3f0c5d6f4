"""The quota: requests are counted in PostgreSQL, before they are sent.

A strict API counts a request when it arrives, and nobody knows when that was: not before it was
sent, and not after its answer came. So a slot of a second or a minute is free again only when that
time has gone since the *answer*, and the spacing holds at the API however unevenly requests travel.
A request without an answer, whose process was killed, say, is taken to have arrived ``leeway``
after it was counted; a process that could not send it by then gives its slot up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

import psycopg

from datapipe.extract.day import CalendarDay, Day, learned
from datapipe.extract.endpoints import Request
from datapipe.extract.refusals import AskedElsewhere, QuotaSpent
from datapipe.extract.request_ledger import Note, RequestLedger
from datapipe.frozen import frozen

_LEEWAY = timedelta(seconds=5)  # for a request to arrive, and for clocks to differ
_WINDOWS = ((timedelta(seconds=1), "per_second"), (timedelta(minutes=1), "per_minute"))
_WIDER = 1.02  # than the limit says, since no two clocks run alike
_LOOK_AGAIN = timedelta(seconds=0.5)


@frozen
class Limits:
    """How many requests a key may send; None where there is no limit."""

    per_second: int | None
    per_minute: int | None
    per_day: int | None

    @property
    def unlimited(self) -> bool:
        return self.per_second is None and self.per_minute is None and self.per_day is None


class Quota:
    """Counts the requests of one key over all processes that share the warehouse.

    ``connection`` is in autocommit and the quota's own. The methods may be called from several
    threads. ``leeway`` is how long a request may take to arrive, and by how much the API's clock
    may differ at the turn of the day.
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
        self._ledger = RequestLedger(connection, key, run_id=run_id, leeway=leeway)
        self._limits = limits
        self._day = day or CalendarDay()
        self._leeway = leeway
        self._learned: Day | None = None
        self._looked = False
        self._began: datetime | None = None
        self._one_at_a_time = Lock()

    @property
    def key_id(self) -> str:
        """The fingerprint by which the ledger knows the key."""
        return self._ledger.key_id

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
        with self._one_at_a_time, self._ledger.locked() as now:
            elsewhere = self._elsewhere([request], now)
            if elsewhere:
                raise elsewhere[0]
            wait = self._wait(now)
            return wait.total_seconds() if wait else self._ledger.add([request])[0]

    def take_all(self, requests: Sequence[Request]) -> list[int | AskedElsewhere]:
        """Count requests of a key without limits, in one round trip; gives their ids.

        In the place of one that another run has asked since this one began stands the error.
        Raises QuotaSpent when the API has said today that they are used up.
        """
        with self._one_at_a_time, self._ledger.locked() as now:
            if not self._looked:
                self._until_tomorrow(now)
            found: dict[int, int | AskedElsewhere] = dict(self._elsewhere(requests, now))
            ours = [place for place in range(len(requests)) if place not in found]
            ids = self._ledger.add([requests[place] for place in ours])
            found |= zip(ours, ids, strict=True)
        return [found[place] for place in range(len(requests))]

    def note_all(self, notes: Sequence[Note]) -> list[None]:
        """Write how requests ended, in one round trip."""
        with self._one_at_a_time:
            self._ledger.note(notes)
        return [None] * len(notes)

    def left_today(self) -> int | None:
        """How many requests today's quota still has; None where the day has no limit."""
        with self._one_at_a_time:
            now = self._ledger.now()
            self._began = self._began or now  # what others ask from now on is not planned here
            day = self._known_day()
            sent, _ = self._ledger.counted(day.begin(now))
            spent = self._spent(day, now)
        if spent:
            return 0
        per_day = self._limits.per_day
        return None if per_day is None else max(0, per_day - sent)

    def _elsewhere(self, requests: Sequence[Request], now: datetime) -> dict[int, AskedElsewhere]:
        """The errors for those of ``requests`` that another run asks, by their places."""
        self._began = self._began or now
        return {
            place: AskedElsewhere(f"Another run asks for {requests[place]}.", answered=answered)
            for place, answered in self._ledger.asked_elsewhere(requests, self._began).items()
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
        """How long until ``window`` holds fewer requests than ``limit``."""
        oldest = None if limit is None else self._ledger.arrived_at(now, window, newer=limit - 1)
        if oldest is None:
            return timedelta()
        # One that is still on its way may be answered now, and is not free before its time then.
        return min(oldest, now) + window - now + timedelta(milliseconds=1)

    def _until_tomorrow(self, now: datetime) -> timedelta:
        """How long to wait for the day to turn; nothing while it has requests left.

        Around the turn a request must fit into both days, since the API's clock may differ. Raises
        QuotaSpent when the day has no requests left.
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
        _, refused_at = self._ledger.counted(begin)
        if refused_at and self._ledger.is_finding_out(refused_at, now):
            return _LOOK_AGAIN
        until_sure = begin + self._leeway - now
        if until_sure > timedelta():
            sent, refused_at = self._ledger.counted(day.begin(begin - self._leeway))
            if refused_at or self._is_all(sent):
                return until_sure
        return timedelta()

    def _spent(self, day: Day, now: datetime) -> str:
        """Why the day that ``now`` is in has no requests left, and until when; if it has none.

        The API's word holds until the day might turn, be it that somebody else uses the key or that
        its day is not the one that is set: then it is asked once again.
        """
        sent, refused_at = self._ledger.counted(day.begin(now))
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

    def _is_all(self, sent: int) -> bool:
        return self._limits.per_day is not None and sent >= self._limits.per_day

    def _known_day(self) -> Day:
        """The day as it is set, or as the last refusal and what followed it have shown."""
        if self._learned is None:
            turn = self._ledger.last_turn()
            self._learned = learned(self._day, *turn) if turn else self._day
        return self._learned
