"""Times as PostgreSQL sends them, in whatever zone a session is, and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader


class Moment(Loader):
    """Reads a ``timestamptz`` with how far it is from UTC, which is all that is sent of its zone.

    The driver looks for the zone by the name that the server has for it, takes UTC for one that
    Python does not know, such as ``<+03>-3``, and writes a warning.
    """

    def load(self, data: Buffer) -> datetime:
        text = bytes(data).decode()
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise psycopg.DataError(f"{text} is no time between the years 1 and 9999") from None


def in_utc(moment: datetime) -> datetime:
    """``moment`` in UTC; one without a zone is taken for UTC, as dbt does."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
