"""The archive of answers, ``raw.responses``."""

from __future__ import annotations

import json
from typing import Literal

import psycopg

from datapipe.extract.answers import Answer

_STORE = """
WITH latest AS (
    SELECT response_id, sha256 FROM raw.responses
    WHERE symbol = %(symbol)s AND function = %(function)s AND params = %(params)s
    ORDER BY fetched_at DESC, response_id DESC LIMIT 1
), seen_again AS (
    UPDATE raw.responses r SET seen_at = %(fetched_at)s FROM latest
    WHERE r.symbol = %(symbol)s AND r.response_id = latest.response_id
      AND latest.sha256 = %(sha256)s
    RETURNING r.response_id
)
INSERT INTO raw.responses
    (symbol, function, params, fetched_at, seen_at, format, body, sha256, source, run_id)
SELECT %(symbol)s, %(function)s, %(params)s, %(fetched_at)s, %(fetched_at)s, %(format)s, %(body)s,
    %(sha256)s, %(source)s, %(run_id)s
WHERE NOT EXISTS (SELECT FROM seen_again)
RETURNING response_id
"""


def store(
    connection: psycopg.Connection, answer: Answer, *, source: str, run_id: int
) -> Literal["stored", "unchanged"]:
    """Keep ``answer`` word for word, unless the last answer to the same request was the same.

    Commits when ``connection`` is in autocommit; safe to repeat.
    """
    stored = connection.execute(
        _STORE,
        {
            "symbol": answer.request.symbol,
            "function": answer.request.function,
            "params": json.dumps(dict(answer.request.params), sort_keys=True),
            "fetched_at": answer.fetched_at,
            "format": answer.format,
            "body": answer.body,
            "sha256": answer.sha256,
            "source": source,
            "run_id": run_id,
        },
    ).fetchone()
    return "unchanged" if stored is None else "stored"


def known_symbols(connection: psycopg.Connection) -> tuple[str, ...]:
    """The symbols whose daily prices were ever answered, in alphabetical order."""
    rows = connection.execute(
        "SELECT DISTINCT symbol FROM raw.responses WHERE function = 'TIME_SERIES_DAILY' "
        "ORDER BY symbol"
    )
    return tuple(row[0] for row in rows)
