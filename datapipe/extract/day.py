"""When the API's day turns: as it is set, or as refusals have shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from datapipe.frozen import frozen

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
# A request that was refused and one that was answered may have been on their way at once.
_APART = timedelta(minutes=1)


class Day(Protocol):
    """One of the days by which the API counts requests."""

    def begin(self, now: datetime) -> datetime:
        """When the day of ``now`` began."""

    def end(self, now: datetime) -> datetime:
        """When the next day begins."""

    def may_turn(self, after: datetime) -> datetime:
        """The earliest moment after ``after`` at which it might turn, whatever the setting says."""


@frozen
class CalendarDay:
    """A day that turns at midnight in a time zone."""

    timezone: str = "UTC"

    def begin(self, now: datetime) -> datetime:
        local = now.astimezone(ZoneInfo(self.timezone))
        return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)

    def end(self, now: datetime) -> datetime:
        begin = self.begin(now)
        return (begin.replace(tzinfo=None) + _DAY).replace(tzinfo=begin.tzinfo)

    def may_turn(self, after: datetime) -> datetime:
        return _next_hour(after)


@frozen
class FixedDay:
    """A day of a fixed ``length`` that turned at ``turned_at``, and does again and again."""

    turned_at: datetime
    length: timedelta = _DAY

    def begin(self, now: datetime) -> datetime:
        return now - (now - self.turned_at) % self.length

    def end(self, now: datetime) -> datetime:
        return self.begin(now) + self.length

    def may_turn(self, after: datetime) -> datetime:
        step = self.length / 24
        return after + step - (after - self.turned_at) % step


def learned(day: Day, refused_at: datetime, answered_at: datetime) -> Day:
    """The day, given that one was spent at ``refused_at`` and none at ``answered_at``.

    It is ``day`` if that has turned in between. Otherwise the API's day turns at a full hour
    between the two; the last such hour is taken, which cannot be too early.
    """
    if not _APART < answered_at - refused_at < _DAY or day.begin(answered_at) > refused_at:
        return day
    hour = answered_at.replace(minute=0, second=0, microsecond=0)
    return FixedDay(hour) if hour > refused_at else day


def _next_hour(after: datetime) -> datetime:
    return after.replace(minute=0, second=0, microsecond=0) + _HOUR
