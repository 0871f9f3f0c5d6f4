"""Gaps: the sessions that should be in ``raw.daily_prices`` and are not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Literal

import psycopg

from datapipe.frozen import frozen
from datapipe.warehouse import sessions

# A compact answer of the API holds so many of the last sessions.
COMPACT_SESSIONS = 100

Cure = Literal["request", "absent", "paid"]

_CURES = {
    "request": "the next request mends it",
    "absent": "Alpha Vantage was asked since and has no bar for it: datapipe load prices.csv",
    "paid": "older than a free answer reaches: --outputsize full with a premium key, "
    "or datapipe load prices.csv",
}


@frozen
class Gap:
    """Consecutive sessions of a symbol that are missing.

    ``mendable`` of them the next free request may bring. ``cure`` is what mends the gap: the next
    ``request``; nothing that can be asked for, since the bars were ``absent`` from an answer that
    would hold them; or, in part at least, a ``paid`` key.
    """

    symbol: str
    first: date
    last: date
    sessions: int
    mendable: int
    cure: Cure

    def __str__(self) -> str:
        days = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        count = f"{self.sessions} session{'' if self.sessions == 1 else 's'}"
        return f"{self.symbol}: {days} ({count}): {self.advice}"

    @property
    def advice(self) -> str:
        """The cure, in words."""
        if self.cure == "paid" and self.mendable:
            return f"the next request mends the last {self.mendable}; the rest is {_CURES['paid']}"
        return _CURES[self.cure]


def gaps(
    connection: psycopg.Connection,
    symbols: Sequence[str] | None = None,
    *,
    now: datetime | None = None,
) -> tuple[Gap, ...]:
    """What is missing of each symbol's daily bars, by symbol and date.

    Expected are the sessions of its exchange from the first bar in the warehouse to the last
    session that has closed by ``now``. Without ``symbols``, of all that have daily bars. Fills
    ``meta.sessions`` where it falls short.
    """
    now = now or datetime.now(UTC)
    if symbols is None:
        symbols = [row[0] for row in connection.execute(_SYMBOLS)]
    exchanges = [sessions.exchange_of(symbol) for symbol in symbols]
    sessions.fill(connection, exchanges, now=now)
    with connection.transaction():
        # PostgreSQL knows nothing of how many sessions a WITH query holds, and would compare every
        # one of twenty years with every other.
        connection.execute("SET LOCAL enable_nestloop = off")
        rows = connection.execute(
            _GAPS,
            {
                # No symbol holds a blank, and a list's items take long to write.
                "symbols": " ".join(symbols),
                "exchanges": " ".join(exchanges),
                "now": now,
                "reach": COMPACT_SESSIONS,
            },
        ).fetchall()
    return tuple(Gap(*row) for row in rows)


# One step a symbol through the index, however many bars each has.
_SYMBOLS = """
WITH RECURSIVE each AS (
    (SELECT symbol FROM raw.daily_prices WHERE known_to IS NULL ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT symbol FROM raw.daily_prices
            WHERE known_to IS NULL AND symbol > each.symbol ORDER BY symbol LIMIT 1)
    FROM each WHERE each.symbol IS NOT NULL
)
SELECT symbol FROM each WHERE symbol IS NOT NULL
"""

# The symbols' bars are counted first, since most have no gap but after the last one. A gap is a run
# of expected sessions whose number less its rank among the missing ones stays the same.
_GAPS = """
WITH closed AS MATERIALIZED (
    SELECT exchange, session_date, closes_at,
        row_number() OVER (PARTITION BY exchange ORDER BY session_date) AS number,
        row_number() OVER (PARTITION BY exchange ORDER BY session_date DESC) <= %(reach)s
            AS in_reach
    FROM meta.sessions
    WHERE exchange = ANY(string_to_array(%(exchanges)s, ' ')) AND closes_at <= %(now)s
), asked AS (
    SELECT * FROM unnest(string_to_array(%(symbols)s, ' '), string_to_array(%(exchanges)s, ' '))
        AS asked (symbol, exchange)
), held AS MATERIALIZED (
    SELECT bar.symbol, asked.exchange, count(*) AS bars, min(closed.number) AS first_number,
        max(closed.number) AS last_number
    FROM asked
    JOIN raw.daily_prices bar ON bar.symbol = asked.symbol AND bar.known_to IS NULL
    JOIN closed ON closed.exchange = asked.exchange AND closed.session_date = bar.session_date
    GROUP BY bar.symbol, asked.exchange
), latest AS (
    SELECT exchange, max(number) AS number FROM closed GROUP BY exchange
), absent AS (
    SELECT held.symbol, closed.*
    FROM held JOIN latest USING (exchange)
    CROSS JOIN LATERAL generate_series(held.last_number + 1, latest.number) AS expected (number)
    JOIN closed ON closed.exchange = held.exchange AND closed.number = expected.number
    UNION ALL
    SELECT held.symbol, closed.*
    FROM held
    CROSS JOIN LATERAL generate_series(held.first_number, held.last_number) AS expected (number)
    JOIN closed ON closed.exchange = held.exchange AND closed.number = expected.number
    LEFT JOIN raw.daily_prices bar ON bar.symbol = held.symbol
        AND bar.session_date = closed.session_date AND bar.known_to IS NULL
    WHERE held.bars < held.last_number - held.first_number + 1 AND bar.symbol IS NULL
), missing AS (
    SELECT *, number - row_number() OVER (PARTITION BY symbol ORDER BY number) AS island
    FROM absent
), answered AS (
    SELECT symbol, max(seen_at) AS seen_at,
        max(seen_at) FILTER (WHERE params ->> 'outputsize' = 'full') AS full_seen_at
    FROM raw.responses
    WHERE symbol IN (SELECT symbol FROM absent) AND function = 'TIME_SERIES_DAILY'
    GROUP BY symbol
)
SELECT missing.symbol, min(session_date), max(session_date), count(*),
    CASE
        WHEN greatest(max(seen_at), max(full_seen_at)) >= max(closes_at) THEN 0
        ELSE count(*) FILTER (WHERE in_reach)
    END,
    CASE
        WHEN max(full_seen_at) >= max(closes_at) THEN 'absent'
        WHEN NOT bool_and(in_reach) THEN 'paid'
        WHEN max(seen_at) >= max(closes_at) THEN 'absent'
        ELSE 'request'
    END
FROM missing LEFT JOIN answered USING (symbol)
GROUP BY missing.symbol, island
ORDER BY missing.symbol, min(session_date)
"""
