"""The table ``meta.requests``: what was asked with a key, when, and how it ended.

All times are the database's, so that processes on several machines agree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg

from datapipe.extract.endpoints import Request
from datapipe.frozen import frozen

_LOCK_CLASS = 0x64707174  # "dpqt" in ASCII
_ALIVE_CLASS = 0x6470616C  # "dpal"

NOT_SENT = "not_sent"
_UNANSWERED = ["sent", "interrupted", "broken_connection"]
_NEVER_ARRIVED = [NOT_SENT, "unreachable"]
_ANSWERED = ["ok", "empty", "invalid_request", "premium_required", "not_entitled"]

_LOCK = "SELECT pg_advisory_xact_lock(%s, hashtext(%s)), clock_timestamp()"

# The process that counts holds this lock as long as it lives.
_LIVE = "SELECT pg_advisory_lock_shared(%s, %s)"

_NEWEST = """
SELECT arrived_at FROM (
    SELECT requested_at + CASE WHEN outcome = ANY(%(unanswered)s)
        THEN %(leeway)s ELSE interval '0' END AS arrived_at
    FROM meta.requests
    WHERE key_id = %(key_id)s AND requested_at > %(now)s - %(window)s - %(leeway)s
      AND outcome <> ALL(%(never)s)
) r WHERE arrived_at > %(now)s - %(window)s ORDER BY arrived_at DESC OFFSET %(newer)s LIMIT 1
"""

_COUNTED = """
SELECT count(*) FILTER (WHERE outcome <> ALL(%(never)s)),
       max(requested_at) FILTER (WHERE outcome = 'rate_limit.daily' AND requested_at >= %(begin)s)
FROM meta.requests WHERE key_id = %(key_id)s AND requested_at >= %(begin)s - %(leeway)s
"""

_FINDING_OUT = """
SELECT coalesce(bool_and(outcome = 'sent'), false) FROM meta.requests
WHERE key_id = %(key_id)s AND requested_at > %(refused_at)s
  AND requested_at > %(now)s - interval '1 minute'
"""

_TURNED = """
SELECT refused.requested_at, answered.requested_at
FROM meta.requests refused CROSS JOIN LATERAL (
    SELECT requested_at FROM meta.requests
    WHERE key_id = %(key_id)s AND requested_at > refused.requested_at
      AND outcome = ANY(%(answered)s)
    ORDER BY requested_at LIMIT 1
) answered
WHERE refused.key_id = %(key_id)s AND refused.outcome = 'rate_limit.daily'
ORDER BY refused.requested_at DESC LIMIT 1
"""

# What a killed process asked is neither answered nor on its way.
_ELSEWHERE = """
SELECT asked.place, bool_or(r.outcome <> 'sent')
FROM unnest(%(endpoints)s::text[], %(symbols)s::text[], %(params)s::jsonb[])
    WITH ORDINALITY AS asked (endpoint, symbol, params, place)
JOIN meta.requests r ON r.symbol = asked.symbol AND r.endpoint = asked.endpoint
    AND r.params = asked.params
WHERE r.requested_at >= %(since)s AND r.run_id <> %(run_id)s
  AND (r.outcome IN ('ok', 'empty', 'invalid_request') OR r.outcome = 'sent' AND EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(alive)s::bigint::oid AND objid = (r.run_id %% 2147483648)::oid
  ))
GROUP BY asked.place
"""

# In the order of the lists, so that the ids can be told apart.
_ADD = """
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
class Note:
    """How a request ended; ``detail`` holds no key."""

    request_id: int
    outcome: str
    detail: str | None = None


class RequestLedger:
    """The requests that all processes have sent with one key.

    ``connection`` is in autocommit and the ledger's own: its transactions may not hold what others
    write. A request without an answer counts as arrived ``leeway`` after it was added.
    """

    def __init__(
        self, connection: psycopg.Connection, key: str, *, run_id: int, leeway: timedelta
    ) -> None:
        # Each statement must see what was committed while it waited for the lock.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.execute(_LIVE, [_ALIVE_CLASS, run_id % 2**31])
        self.key_id = hashlib.sha256(f"datapipe {key}".encode()).hexdigest()[:12]
        self._connection = connection
        self._run_id = run_id
        self._leeway = leeway

    @contextmanager
    def locked(self) -> Iterator[datetime]:
        """Hold the key's lock for one transaction; gives the time at which it came to hold it."""
        with self._connection.transaction():
            row = self._connection.execute(_LOCK, [_LOCK_CLASS, self.key_id]).fetchone()
            assert row is not None  # noqa: S101 - a query without FROM gives a row
            yield row[1]

    def now(self) -> datetime:
        row = self._connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None  # noqa: S101 - a query without FROM gives a row
        now: datetime = row[0]
        return now

    def add(self, requests: Sequence[Request]) -> list[int]:
        """Write down requests that are about to be sent; gives their ids."""
        rows = self._connection.execute(
            _ADD, {**_lists(requests), "run_id": self._run_id, "key_id": self.key_id}
        )
        return [row[0] for row in rows]

    def note(self, notes: Sequence[Note]) -> None:
        """Write down how requests ended."""
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

    def asked_elsewhere(self, requests: Sequence[Request], since: datetime) -> dict[int, bool]:
        """The places of those ``requests`` that another run has asked, and if it has the answer.

        What has none is still on its way.
        """
        asked = {"since": since, "run_id": self._run_id, "alive": _ALIVE_CLASS}
        rows = self._connection.execute(_ELSEWHERE, {**_lists(requests), **asked})
        return {place - 1: answered for place, answered in rows}

    def arrived_at(self, now: datetime, window: timedelta, *, newer: int) -> datetime | None:
        """By when the request had arrived that ``newer`` others followed in the ``window`` to now.

        None where the window holds no more than those.
        """
        row = self._connection.execute(
            _NEWEST,
            {
                "key_id": self.key_id,
                "now": now,
                "window": window,
                "leeway": self._leeway,
                "unanswered": _UNANSWERED,
                "never": _NEVER_ARRIVED,
                "newer": newer,
            },
        ).fetchone()
        return row[0] if row else None

    def counted(self, begin: datetime) -> tuple[int, datetime | None]:
        """How many requests were sent since ``begin``, and when the API last refused for the day.

        Those that may have arrived after ``begin`` count, too.
        """
        row = self._connection.execute(
            _COUNTED,
            {
                "key_id": self.key_id,
                "begin": begin,
                "leeway": self._leeway,
                "never": _NEVER_ARRIVED,
            },
        ).fetchone()
        return (row[0], row[1]) if row else (0, None)

    def is_finding_out(self, refused_at: datetime, now: datetime) -> bool:
        """Whether a request is on its way whose answer tells if the day has turned since."""
        row = self._connection.execute(
            _FINDING_OUT, {"key_id": self.key_id, "refused_at": refused_at, "now": now}
        ).fetchone()
        return bool(row and row[0])

    def last_turn(self) -> tuple[datetime, datetime] | None:
        """When the API last refused for the day, and when it first answered after that."""
        row = self._connection.execute(
            _TURNED, {"key_id": self.key_id, "answered": _ANSWERED}
        ).fetchone()
        return (row[0], row[1]) if row else None


def _lists(requests: Sequence[Request]) -> dict[str, object]:
    return {
        "endpoints": [request.function for request in requests],
        "symbols": [request.symbol for request in requests],
        "params": [json.dumps(dict(request.params)) for request in requests],
    }
