"""``modules``: what of Python's library templates may use."""

from __future__ import annotations

import datetime
import itertools
import re
import zoneinfo
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from datapipe.errors import ProjectError

_ITERTOOLS = (
    *("accumulate", "chain", "combinations", "combinations_with_replacement", "compress", "count"),
    *("cycle", "islice", "permutations", "product", "repeat", "starmap", "tee", "zip_longest"),
)
_DATETIME = ("date", "datetime", "time", "timedelta", "timezone", "tzinfo")


class Zone(zoneinfo.ZoneInfo):
    """A time zone as those of pytz: it can be set on a time that has none."""

    def localize(self, moment: datetime.datetime, is_dst: bool | None = False) -> datetime.datetime:
        return moment.replace(tzinfo=self, fold=0 if is_dst else moment.fold)

    def normalize(self, moment: datetime.datetime) -> datetime.datetime:
        return moment.astimezone(self)

    @property
    def zone(self) -> str:
        return self.key


def timezone(name: str) -> Zone:
    """The zone of that name; raises ProjectError if there is none."""
    try:
        return Zone(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ProjectError(f"There is no time zone {name}. Write it as in Europe/Berlin.") from None


class _Pytz:
    timezone = staticmethod(timezone)

    @property
    def utc(self) -> Zone:
        return Zone("UTC")

    UTC = utc

    @property
    def all_timezones(self) -> list[str]:
        return sorted(zoneinfo.available_timezones())

    common_timezones = all_timezones

    def FixedOffset(self, minutes: int) -> datetime.timezone:  # noqa: N802 - pytz's name
        return datetime.timezone(datetime.timedelta(minutes=minutes))


def _of(module: Any, names: Iterable[str]) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(module, name) for name in names})


MODULES = SimpleNamespace(
    datetime=_of(datetime, _DATETIME),
    itertools=_of(itertools, _ITERTOOLS),
    pytz=_Pytz(),
    re=_of(re, re.__all__),
)
