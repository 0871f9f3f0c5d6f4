"""The archive of answers, ``raw.responses``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import psycopg

from datapipe.extract.answers import Answer
from datapipe.extract.contents import NEWEST, newest

Outcome = Literal["stored", "unchanged", "stale"]

# An answer whose newest bar is older than that of the last one is an old answer that came late:
# what was the unfinished day then would be taken for its restatement now. After a week it is
# believed all the same, for then a wrong bar was taken back.
_STORE = """
WITH latest AS (
    SELECT response_id, sha256, CASE
        WHEN %(newest)s::text IS NULL OR fetched_at < %(fetched_at)s - interval '7 days' THEN false
        ELSE coalesce(%(newest)s < array_to_string(
            regexp_match(left(body, 1000), %(pattern)s), ''), false)
    END AS is_newer
    FROM raw.responses
    WHERE symbol = %(symbol)s AND function = %(function)s AND params = %(params)s
    ORDER BY fetched_at DESC, response_id DESC LIMIT 1
), seen_again AS (
    UPDATE raw.responses r SET seen_at = %(fetched_at)s FROM latest
    WHERE r.symbol = %(symbol)s AND r.response_id = latest.response_id
      AND latest.sha256 = %(sha256)s
    RETURNING r.response_id
), stored AS (
    INSERT INTO raw.responses
        (symbol, function, params, fetched_at, seen_at, format, body, sha256, source, run_id)
    SELECT %(symbol)s, %(function)s, %(params)s, %(fetched_at)s, %(fetched_at)s, %(format)s,
        %(body)s, %(sha256)s, %(source)s, %(run_id)s
    WHERE NOT EXISTS (SELECT FROM latest WHERE sha256 = %(sha256)s OR is_newer)
    RETURNING response_id
)
SELECT CASE WHEN EXISTS (SELECT FROM stored) THEN 'stored'
            WHEN EXISTS (SELECT FROM seen_again) THEN 'unchanged' ELSE 'stale' END
"""


def store_all(
    connection: psycopg.Connection, answers: Sequence[Answer], *, source: str, run_id: int
) -> list[Outcome]:
    """Keep each answer word for word, unless the last answer to the same request was the same.

    One that is older than the last answer is ``stale``, and not kept. Commits when ``connection``
    is in autocommit; safe to repeat.
    """
    outcomes: list[Outcome] = []
    with connection.cursor() as cursor:
        cursor.executemany(
            _STORE, [_row(answer, source, run_id) for answer in answers], returning=True
        )
        for _ in answers:
            outcomes += [row[0] for row in cursor.fetchall()]
            cursor.nextset()
    return outcomes


def _row(answer: Answer, source: str, run_id: int) -> dict[str, object]:
    request = answer.request
    return {
        "symbol": request.symbol,
        "function": request.function,
        "params": json.dumps(dict(request.params), sort_keys=True),
        "fetched_at": answer.fetched_at,
        "format": answer.format,
        "body": answer.body,
        "sha256": answer.sha256,
        "source": source,
        "run_id": run_id,
        "newest": newest(request, answer.body),
        "pattern": NEWEST,
    }
