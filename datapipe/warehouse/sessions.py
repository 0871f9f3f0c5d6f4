"""Trading sessions, kept as rows in ``meta.sessions``.

The rows come from the exchanges' calendars and are the user's to change: one that was inserted,
deleted or corrected by hand stays so. ``meta.calendar_sessions`` holds what the calendars said, so
that the two can be told apart when a calendar is read again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import metadata

import psycopg

from datapipe.frozen import frozen

NEW_YORK = "XNYS"
CURRENCIES = "24/5"
CRYPTO = "24/7"

# The API's suffixes for listings outside the United States.
_EXCHANGES = {
    "LON": "XLON",
    "TRT": "XTSE",
    "TRV": "XTSX",
    "DEX": "XETR",
    "FRK": "XFRA",
    "PAR": "XPAR",
    "AMS": "XAMS",
    "BSE": "XBOM",
    "SHH": "XSHG",
    "SHZ": "XSHG",  # Shenzhen keeps Shanghai's days and hours
    "SAO": "BVMF",
}
_FIRST = date(1999, 1, 1)  # the API's series begin in November 1999
_AHEAD = timedelta(days=366)
_LEAST_AHEAD = timedelta(days=31)


@frozen
class Session:
    """One trading day of an exchange; ``opens_at`` and ``closes_at`` are UTC."""

    session_date: date
    opens_at: datetime
    closes_at: datetime


def exchange_of(symbol: str) -> str:
    """The exchange whose sessions ``symbol`` has, by its suffix; New York without a known one."""
    return _EXCHANGES.get(symbol.rpartition(".")[2], NEW_YORK) if "." in symbol else NEW_YORK


def finished(
    connection: psycopg.Connection,
    *,
    since: date,
    now: datetime | None = None,
    exchange: str = NEW_YORK,
) -> list[Session]:
    """The sessions since a date that have closed by ``now``, oldest first.

    Fills ``meta.sessions`` from the exchange's calendar where it does not reach beyond ``now``.
    """
    now = now or datetime.now(UTC)
    fill(connection, [exchange], now=now)
    rows = connection.execute(
        "SELECT session_date, opens_at, closes_at FROM meta.sessions "
        "WHERE exchange = %s AND session_date >= %s AND closes_at <= %s ORDER BY session_date",
        [exchange, since, now],
    )
    return [Session(*row) for row in rows]


def fill(connection: psycopg.Connection, exchanges: Iterable[str], *, now: datetime) -> None:
    """Bring ``meta.sessions`` up to what the calendars say, a year beyond ``now``.

    Reads a calendar only when the one read before falls short or was another version's. What the
    user changed by hand stays. Each exchange is a transaction; safe to repeat, and to do twice at
    once.
    """
    version = metadata.version("exchange-calendars")
    up_to_date = connection.execute(
        "SELECT exchange FROM meta.calendars WHERE calendar_version = %s AND reaches_to >= %s",
        [version, now.date() + _LEAST_AHEAD],
    )
    for exchange in sorted(set(exchanges) - {row[0] for row in up_to_date}):
        sessions = _calendar(exchange, (now + _AHEAD).date())
        with connection.transaction():
            # This row is the lock, too.
            connection.execute(
                "INSERT INTO meta.calendars VALUES (%(exchange)s, %(version)s, %(to)s, %(now)s) "
                "ON CONFLICT (exchange) DO UPDATE SET calendar_version = %(version)s, "
                "reaches_to = %(to)s, read_at = %(now)s",
                {
                    "exchange": exchange,
                    "version": version,
                    "to": (now + _AHEAD).date(),
                    "now": now,
                },
            )
            _follow(connection, exchange, sessions)


def _follow(connection: psycopg.Connection, exchange: str, sessions: list[Session]) -> None:
    """Let the rows that are still as the calendar had them be as it has them now."""
    connection.execute("CREATE TEMPORARY TABLE said (LIKE meta.sessions) ON COMMIT DROP")
    with connection.cursor() as cursor, cursor.copy("COPY said FROM STDIN") as copy:
        for session in sessions:
            copy.write_row((exchange, session.session_date, session.opens_at, session.closes_at))
    for statement in _FOLLOW:
        connection.execute(statement, {"exchange": exchange})
    connection.execute("DROP TABLE said")


_FOLLOW = (
    """
    DELETE FROM meta.sessions held USING meta.calendar_sessions before
    WHERE held.exchange = %(exchange)s AND before.exchange = %(exchange)s
      AND (held.session_date, held.opens_at, held.closes_at)
        = (before.session_date, before.opens_at, before.closes_at)
      AND NOT EXISTS (SELECT FROM said WHERE said.session_date = held.session_date)
    """,
    """
    UPDATE meta.sessions held SET opens_at = said.opens_at, closes_at = said.closes_at
    FROM meta.calendar_sessions before, said
    WHERE held.exchange = %(exchange)s AND before.exchange = %(exchange)s
      AND (held.session_date, held.opens_at, held.closes_at)
        = (before.session_date, before.opens_at, before.closes_at)
      AND said.session_date = held.session_date
      AND (said.opens_at, said.closes_at) <> (held.opens_at, held.closes_at)
    """,
    # A session that the calendar had before and that is not there now was deleted by hand.
    """
    INSERT INTO meta.sessions (exchange, session_date, opens_at, closes_at)
    SELECT said.exchange, said.session_date, said.opens_at, said.closes_at FROM said
    WHERE NOT EXISTS (
        SELECT FROM meta.calendar_sessions before
        WHERE before.exchange = %(exchange)s AND before.session_date = said.session_date
    )
    ON CONFLICT DO NOTHING
    """,
    "DELETE FROM meta.calendar_sessions WHERE exchange = %(exchange)s",
    """
    INSERT INTO meta.calendar_sessions (exchange, session_date, opens_at, closes_at)
    SELECT exchange, session_date, opens_at, closes_at FROM said
    """,
)


@cache
def _calendar(exchange: str, last: date) -> list[Session]:
    """The sessions of an exchange up to ``last``; where its calendar ends before, weekdays."""
    with warnings.catch_warnings():
        # What it uses of pandas is not ours to mend.
        warnings.simplefilter("ignore")
        import exchange_calendars  # half a second, once a year

        # Its class knows the bounds, and a month of it is soon made.
        kind = type(exchange_calendars.get_calendar(exchange, start="2020-01-02", end="2020-02-01"))
        earliest, latest = kind.bound_min(), kind.bound_max()
        start = _FIRST if earliest is None else max(_FIRST, earliest.date())
        end = last if latest is None else min(last, latest.date())
        calendar = exchange_calendars.get_calendar(
            exchange, start=start.isoformat(), end=end.isoformat()
        )
        opens, closes = list(calendar.opens), list(calendar.closes)
    sessions = [
        Session(day.date(), opening.to_pydatetime(), closing.to_pydatetime())
        for day, opening, closing in zip(calendar.sessions, opens, closes, strict=True)
    ]
    return sessions + _weekdays(sessions[-1], end, last)


def _weekdays(known: Session, after: date, last: date) -> list[Session]:
    """The weekdays ``after`` a date up to ``last``, with the hours of a ``known`` session."""
    first, end = ((day - known.session_date).days for day in (after, last))
    return [
        Session(known.session_date + ahead, known.opens_at + ahead, known.closes_at + ahead)
        for ahead in map(timedelta, range(first + 1, end + 1))
        if (known.session_date + ahead).weekday() < 5
    ]
