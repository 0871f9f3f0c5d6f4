"""The quota: requests are counted in PostgreSQL, before they are sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from threading import Lock

import psycopg

from datapipe.extract.endpoints import Request
from datapipe.extract.refusals import QuotaSpent

# Requests are spaced a little wider than the limit, since they do not all travel equally fast.
_SPACING = 1.1
_LOCK_CLASS = 0x64707174  # "dpqt" in ASCII

_COUNT = """
SELECT count(*) FILTER (WHERE requested_at > clock_timestamp() - %(second)s * interval '1 s'),
       count(*) FILTER (WHERE requested_at > clock_timestamp() - %(minute)s * interval '1 s'),
       count(*) FILTER (WHERE requested_at >= date_trunc('day', clock_timestamp(), 'UTC')),
       coalesce(bool_or(outcome = 'rate_limit.daily')
           FILTER (WHERE requested_at >= date_trunc('day', clock_timestamp(), 'UTC')), false)
FROM meta.requests
WHERE key_id = %(key_id)s AND requested_at > clock_timestamp() - interval '25 hours'
"""


@dataclass(frozen=True)
class Limits:
    """How many requests a key may send; None where there is no limit."""

    per_second: int | None
    per_minute: int | None
    per_day: int | None


class Quota:
    """Counts the requests of one key over all processes that share the warehouse.

    ``connection`` is in autocommit and the quota's own: its transactions may not hold what others
    write. The methods may be called from several threads.
    """

    def __init__(
        self, connection: psycopg.Connection, key: str, limits: Limits, *, run_id: int
    ) -> None:
        self._connection = connection
        self._key_id = hashlib.sha256(f"datapipe {key}".encode()).hexdigest()[:12]
        self._limits = limits
        self._run_id = run_id
        self._one_at_a_time = Lock()

    def take(self, request: Request) -> int | float:
        """Count a request, and give its id; or the seconds (a float) to wait before trying again.

        The row is committed before the request is sent, so that a killed process cannot lose it.
        Raises QuotaSpent when the day's requests are used up, by our count or by the API's word.
        """
        with self._one_at_a_time, self._connection.transaction():
            self._connection.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_CLASS, self._key_id]
            )
            wait = self._wait_seconds()
            if wait:
                return wait
            row = self._connection.execute(
                "INSERT INTO meta.requests (run_id, key_id, requested_at, endpoint, symbol) "
                "VALUES (%s, %s, clock_timestamp(), %s, %s) RETURNING request_id",
                [self._run_id, self._key_id, request.function, request.symbol],
            ).fetchone()
        return int(row[0]) if row else 0

    def note(self, request_id: int, outcome: str, detail: str | None = None) -> None:
        """Write how a request ended; ``detail`` must hold no key."""
        with self._one_at_a_time:
            self._connection.execute(
                "UPDATE meta.requests SET outcome = %s, detail = %s WHERE request_id = %s",
                [outcome, detail, request_id],
            )

    def _wait_seconds(self) -> float:
        limits = self._limits
        row = self._connection.execute(
            _COUNT,
            {"key_id": self._key_id, "second": _SPACING, "minute": 60 * _SPACING},
        ).fetchone()
        in_second, in_minute, in_day, refused_today = row or (0, 0, 0, False)
        if refused_today or (limits.per_day is not None and in_day >= limits.per_day):
            said = "Alpha Vantage says so" if refused_today else f"{in_day} of {limits.per_day}"
            raise QuotaSpent(
                f"The day's requests are used up ({said}); the next day begins at 0:00 UTC. "
                "The next run goes on; nothing is lost.",
                kind="rate_limit.daily",
            )
        if limits.per_minute is not None and in_minute >= limits.per_minute:
            return 1.0
        if limits.per_second is not None and in_second >= limits.per_second:
            return 0.1
        return 0.0
