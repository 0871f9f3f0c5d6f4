from datetime import timedelta

import psycopg
import pytest

from datapipe.extract.endpoints import Request
from datapipe.extract.quota import Limits, Quota
from datapipe.extract.refusals import QuotaSpent

IBM = Request("TIME_SERIES_DAILY", "IBM")
NO_LIMITS = Limits(None, None, None)


def quota(connection: psycopg.Connection, limits: Limits, key: str = "K") -> Quota:
    return Quota(connection, key, limits, run_id=1)


def age(connection: psycopg.Connection, by: timedelta) -> None:
    connection.execute("UPDATE meta.requests SET requested_at = requested_at - %s", [by])


def test_without_limits_every_request_may_go(connection: psycopg.Connection) -> None:
    free = quota(connection, NO_LIMITS)
    assert len({free.take(IBM) for _ in range(50)}) == 50


def test_the_second_request_within_a_second_waits(connection: psycopg.Connection) -> None:
    one_a_second = quota(connection, Limits(1, None, None))
    assert isinstance(one_a_second.take(IBM), int)
    assert isinstance(one_a_second.take(IBM), float)
    age(connection, timedelta(seconds=1.2))
    assert isinstance(one_a_second.take(IBM), int)


def test_the_minute_is_counted_as_well(connection: psycopg.Connection) -> None:
    two_a_minute = quota(connection, Limits(None, 2, None))
    assert isinstance(two_a_minute.take(IBM), int)
    age(connection, timedelta(seconds=30))
    assert isinstance(two_a_minute.take(IBM), int)
    assert isinstance(two_a_minute.take(IBM), float)


def test_another_process_counts_what_this_one_sent(connection: psycopg.Connection) -> None:
    limits = Limits(None, None, 2)
    quota(connection, limits).take(IBM)
    quota(connection, limits).take(IBM)
    with pytest.raises(QuotaSpent, match="2 of 2"):
        quota(connection, limits).take(IBM)


def test_a_new_day_brings_new_requests(connection: psycopg.Connection) -> None:
    one_a_day = quota(connection, Limits(None, None, 1))
    one_a_day.take(IBM)
    age(connection, timedelta(days=1))
    assert isinstance(one_a_day.take(IBM), int)


def test_the_apis_word_that_the_day_is_spent_is_believed(connection: psycopg.Connection) -> None:
    generous = quota(connection, Limits(None, None, 1000))
    taken = generous.take(IBM)
    assert isinstance(taken, int)
    generous.note(taken, "rate_limit.daily", "25 requests per day")
    with pytest.raises(QuotaSpent, match="Alpha Vantage says so"):
        generous.take(IBM)


def test_another_key_has_its_own_count(connection: psycopg.Connection) -> None:
    limits = Limits(None, None, 1)
    quota(connection, limits, "A").take(IBM)
    assert isinstance(quota(connection, limits, "B").take(IBM), int)


def test_the_key_itself_is_not_written_down(connection: psycopg.Connection) -> None:
    quota(connection, NO_LIMITS, "S3CRET").take(IBM)
    row = connection.execute("SELECT r::text FROM meta.requests r").fetchone()
    assert row is not None
    assert "S3CRET" not in row[0]
