"""Trading sessions, kept as rows in ``meta.sessions``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime

import psycopg

NEW_YORK = "XNYS"
_FIRST = date(1999, 1, 1)  # the API's series begin in November 1999


@dataclass(frozen=True)
class Session:
    """One trading day of an exchange; ``opens_at`` and ``closes_at`` are UTC."""

    session_date: date
    opens_at: datetime
    closes_at: datetime


def finished(
    connection: psycopg.Connection,
    *,
    since: date,
    now: datetime | None = None,
    exchange: str = NEW_YORK,
) -> list[Session]:
    """The sessions since a date that have closed by ``now``, oldest first.

    Fills ``meta.sessions`` from the exchange's calendar where it does not reach to ``now``.
    """
    now = now or datetime.now(UTC)
    row = connection.execute(
        "SELECT max(session_date) FROM meta.sessions WHERE exchange = %s", [exchange]
    ).fetchone()
    if row is None or row[0] is None or row[0] < now.date():
        _fill(connection, exchange)
    rows = connection.execute(
        "SELECT session_date, opens_at, closes_at FROM meta.sessions "
        "WHERE exchange = %s AND session_date >= %s AND closes_at <= %s ORDER BY session_date",
        [exchange, since, now],
    )
    return [Session(*row) for row in rows]


def _fill(connection: psycopg.Connection, exchange: str) -> None:
    with warnings.catch_warnings():
        # What it uses of pandas is not ours to mend.
        warnings.simplefilter("ignore")
        import exchange_calendars  # half a second, once a year

        # Its default end is a year ahead.
        calendar = exchange_calendars.get_calendar(exchange, start=_FIRST.isoformat())
        opens, closes = list(calendar.opens), list(calendar.closes)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO meta.sessions VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (exchange, day.date(), opening.to_pydatetime(), closing.to_pydatetime())
                for day, opening, closing in zip(calendar.sessions, opens, closes, strict=True)
            ],
        )
