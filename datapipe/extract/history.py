"""What the warehouse knows of every request that might be sent, in one query for all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime

import psycopg

from datapipe.extract.endpoints import Endpoint, Request
from datapipe.frozen import frozen
from datapipe.warehouse import sessions

DAILY = "TIME_SERIES_DAILY"
_CALENDARS = {
    "FX_DAILY": sessions.CURRENCIES,
    "DIGITAL_CURRENCY_DAILY": sessions.CRYPTO,
}
# Outcomes that say nothing about the request itself, or are counted apart.
_NO_FAULT = [
    "ok", "empty", "invalid_request", "sent", "not_sent", "interrupted", "unreachable",
    "broken_connection", "premium_required", "not_entitled", "sample_data", "demo_key",
    "invalid_key",
]  # fmt: skip


@frozen
class Candidate:
    """A request that might be sent."""

    endpoint: Endpoint
    request: Request

    @property
    def exchange(self) -> str:
        calendar = _CALENDARS.get(self.request.function)
        return calendar or sessions.exchange_of(self.request.symbol)

    @property
    def has_bars(self) -> bool:
        """Whether the answer's rows can be compared with the trading sessions."""
        return self.request.function == DAILY


@frozen
class History:
    """How a request fared so far, and what is stored of what it brings."""

    # The last finished session, and when it closed.
    session_date: date | None
    closed_at: datetime | None
    # When the last good answer was seen, and whether one with all of the history was, if asked for.
    seen_at: datetime | None
    full_seen: bool
    # The last answer has the bar of the session, and waits to be loaded.
    arrived: bool
    # The newest stored bar up to the session, and since when it is known.
    bar_date: date | None
    bar_known_from: datetime | None
    # When the first session after that bar closed, and how many there are, up to 100.
    missing_since: datetime | None
    missing: int
    asked_at: datetime | None
    # Good answers since the first missing session, and since the last session.
    lacking: int
    lacking_since_close: int
    # Other answers since the last good one.
    refused: int
    empty: int
    broken: int


@frozen
class Barred:
    """A function that this key's plan does not include; ``full`` if only its whole history."""

    function: str
    full: bool
    kind: str
    refused_at: datetime


def histories(
    connection: psycopg.Connection, candidates: Sequence[Candidate], *, now: datetime
) -> list[History]:
    """The history of each of ``candidates``, in their order."""
    # There are few kinds of requests, and to write thousands of lists' items takes long. No symbol
    # holds a blank.
    of_kind = [(each.request.function, *each.request.params.items()) for each in candidates]
    kinds = dict(zip(of_kind, candidates, strict=True))
    numbers = {kind: str(number) for number, kind in enumerate(kinds)}
    params = [dict(each.request.params) for each in kinds.values()]
    rows = connection.execute(
        _HISTORIES,
        {
            "functions": [each.request.function for each in kinds.values()],
            "params": [
                json.dumps({name: value for name, value in each.items() if name != "outputsize"})
                for each in params
            ],
            "full": [each.get("outputsize") == "full" for each in params],
            "has_bars": [each.has_bars for each in kinds.values()],
            "kinds": " ".join(map(numbers.__getitem__, of_kind)),
            "symbols": " ".join(each.request.symbol for each in candidates),
            "exchanges": " ".join(each.exchange for each in candidates),
            "no_fault": _NO_FAULT,
            "now": now,
        },
    )
    return [History(*row) for row in rows]


def barred(
    connection: psycopg.Connection, key_id: str, *, since: datetime, now: datetime
) -> list[Barred]:
    """What this key was refused because of its plan since a time, and was not given later."""
    rows = connection.execute(_BARRED, {"key_id": key_id, "since": since, "now": now})
    return [Barred(*row) for row in rows]


def closes_after(
    connection: psycopg.Connection, exchanges: Sequence[str], *, now: datetime
) -> dict[str, list[datetime]]:
    """When the sessions to come will close, by exchange."""
    closes: dict[str, list[datetime]] = {exchange: [] for exchange in exchanges}
    for exchange, closes_at in connection.execute(
        "SELECT exchange, closes_at FROM meta.sessions "
        "WHERE exchange = ANY(%s) AND closes_at > %s ORDER BY closes_at",
        [list(exchanges), now],
    ):
        closes[exchange].append(closes_at)
    return closes


# A few steps through an index for each candidate: the time does not follow how long the history is.
_HISTORIES = r"""
WITH latest AS MATERIALIZED (
    SELECT asked.exchange, session.session_date, session.closes_at
    FROM (SELECT DISTINCT exchange FROM string_to_table(%(exchanges)s, ' ') AS exchange) asked
    CROSS JOIN LATERAL (
        SELECT session_date, closes_at FROM meta.sessions
        WHERE exchange = asked.exchange AND closes_at <= %(now)s
        ORDER BY session_date DESC LIMIT 1
    ) session
)
SELECT latest.session_date, latest.closes_at, answer.seen_at,
    candidate.is_full AND EXISTS (
        SELECT FROM raw.responses
        WHERE symbol = candidate.symbol AND function = candidate.function
          AND params ->> 'outputsize' = 'full'
    ),
    coalesce(answer.arrived, false),
    bar.session_date, bar.known_from, missing.since, coalesce(missing.sessions, 0),
    asked.at, asked.lacking, asked.lacking_since_close, asked.refused, asked.empty, asked.broken
FROM (
    SELECT each.*, kind.*
    FROM unnest(
        string_to_array(%(kinds)s, ' ')::int[], string_to_array(%(symbols)s, ' '),
        string_to_array(%(exchanges)s, ' ')
    ) WITH ORDINALITY AS each (kind, symbol, exchange, place)
    JOIN unnest(
        %(functions)s::text[], %(params)s::jsonb[], %(full)s::boolean[], %(has_bars)s::boolean[]
    ) WITH ORDINALITY AS kind (function, params, is_full, has_bars, number)
        ON kind.number = each.kind + 1
) candidate
LEFT JOIN latest USING (exchange)
LEFT JOIN LATERAL (
    SELECT seen_at, CASE WHEN candidate.has_bars AND loaded_at IS NULL
        -- The newest rows come first.
        THEN left(body, 4000) ~ format('"%%1$s"\s*:\s*\{|\n%%1$s,', latest.session_date)
    END AS arrived
    FROM raw.responses
    WHERE symbol = candidate.symbol AND function = candidate.function
      AND params - 'outputsize' = candidate.params
    ORDER BY fetched_at DESC LIMIT 1
) answer ON true
LEFT JOIN LATERAL (
    SELECT session_date, known_from FROM raw.daily_prices
    WHERE candidate.has_bars AND symbol = candidate.symbol AND known_to IS NULL
      AND session_date <= latest.session_date
    ORDER BY session_date DESC LIMIT 1
) bar ON true
LEFT JOIN LATERAL (
    SELECT min(closes_at) AS since, count(*) AS sessions FROM (
        SELECT closes_at FROM meta.sessions
        WHERE exchange = candidate.exchange AND session_date > bar.session_date
          AND session_date <= latest.session_date
        ORDER BY session_date LIMIT 100
    ) after_bar
) missing ON bar.session_date < latest.session_date
CROSS JOIN LATERAL (
    SELECT coalesce(max(requested_at), answer.seen_at) AS at,
        count(*) FILTER (WHERE outcome = 'ok'
            AND requested_at >= coalesce(missing.since, latest.closes_at)) AS lacking,
        count(*) FILTER (WHERE outcome = 'ok' AND requested_at >= latest.closes_at)
            AS lacking_since_close,
        count(*) FILTER (WHERE outcome = 'invalid_request'
            AND requested_at > coalesce(answer.seen_at, '-infinity')) AS refused,
        count(*) FILTER (WHERE outcome = 'empty'
            AND requested_at > coalesce(answer.seen_at, '-infinity')) AS empty,
        count(*) FILTER (WHERE outcome <> ALL(%(no_fault)s) AND NOT outcome ^@ 'rate_limit.'
            AND requested_at > coalesce(answer.seen_at, '-infinity')) AS broken
    FROM (
        SELECT outcome, requested_at FROM meta.requests
        WHERE symbol = candidate.symbol AND endpoint = candidate.function
          AND params - 'outputsize' = candidate.params
          AND requested_at <= %(now)s AND requested_at >= least(
              coalesce(answer.seen_at, '-infinity'), coalesce(missing.since, latest.closes_at)
          )
        ORDER BY requested_at DESC LIMIT 24
    ) last
) asked
ORDER BY candidate.place
"""

_BARRED = """
SELECT refused.endpoint, refused.about_full, max(refused.outcome), max(refused.requested_at)
FROM (
    SELECT endpoint, outcome, requested_at,
        coalesce(detail ILIKE '%%outputsize=full%%', false) AS about_full
    FROM meta.requests
    WHERE key_id = %(key_id)s AND requested_at BETWEEN %(since)s AND %(now)s
      AND outcome IN ('premium_required', 'not_entitled', 'sample_data')
) refused
WHERE refused.about_full OR NOT EXISTS (
    SELECT FROM meta.requests ok
    WHERE ok.key_id = %(key_id)s AND ok.endpoint = refused.endpoint AND ok.outcome = 'ok'
      AND ok.requested_at BETWEEN refused.requested_at AND %(now)s
)
GROUP BY refused.endpoint, refused.about_full
"""
