import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from datapipe.extract.day import CalendarDay, FixedDay, learned
from datapipe.extract.endpoints import Request
from datapipe.extract.quota import Limits, Quota
from datapipe.extract.refusals import AskedElsewhere, QuotaSpent
from datapipe.extract.request_ledger import NOT_SENT, Note
from datapipe.warehouse import Warehouse

IBM = Request("TIME_SERIES_DAILY", "IBM")
NO_LIMITS = Limits(None, None, None)


def quota(connection: psycopg.Connection, limits: Limits, key: str = "K") -> Quota:
    return Quota(connection, key, limits, run_id=1)


def age(connection: psycopg.Connection, by: timedelta) -> None:
    connection.execute("UPDATE meta.requests SET requested_at = requested_at - %s", [by])


def test_without_limits_every_request_may_go(connection: psycopg.Connection) -> None:
    free = quota(connection, NO_LIMITS)
    assert len({free.take(IBM) for _ in range(50)}) == 50
    assert len(set(map(str, free.take_all([IBM] * 50)))) == 50


def test_the_second_request_within_a_second_waits(connection: psycopg.Connection) -> None:
    one_a_second = quota(connection, Limits(1, None, None))
    first = one_a_second.take(IBM)
    assert isinstance(first, int)
    one_a_second.note_all([Note(first, "ok")])
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
    generous.note_all([Note(taken, "rate_limit.daily", "25 requests per day")])
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


def test_a_slot_is_free_again_when_its_time_has_gone_since_the_answer(
    connection: psycopg.Connection,
) -> None:
    one_a_second = quota(connection, Limits(1, None, None))
    slow = one_a_second.take(IBM)
    assert isinstance(slow, int)
    age(connection, timedelta(seconds=3))
    one_a_second.note_all([Note(slow, "ok")])  # it may have arrived just now
    wait = one_a_second.take(IBM)
    assert isinstance(wait, float)
    assert 0.5 < wait < 1.1


def test_a_killed_requests_slot_is_kept_until_it_must_have_arrived(
    connection: psycopg.Connection,
) -> None:
    one_a_second = quota(connection, Limits(1, None, None))
    one_a_second.take(IBM)
    age(connection, timedelta(seconds=5))
    assert isinstance(one_a_second.take(IBM), float)
    age(connection, timedelta(seconds=1.1))
    assert isinstance(one_a_second.take(IBM), int)


def test_the_wait_is_exact(connection: psycopg.Connection) -> None:
    two_a_minute = quota(connection, Limits(None, 2, None))
    for _ in range(2):
        taken = two_a_minute.take(IBM)
        assert isinstance(taken, int)
        two_a_minute.note_all([Note(taken, "ok")])
        age(connection, timedelta(seconds=20))
    wait = two_a_minute.take(IBM)
    assert isinstance(wait, float)
    age(connection, timedelta(seconds=wait - 0.5))
    assert isinstance(two_a_minute.take(IBM), float)
    age(connection, timedelta(seconds=0.5))
    assert isinstance(two_a_minute.take(IBM), int)


def test_a_request_that_was_never_sent_costs_nothing(connection: psycopg.Connection) -> None:
    one_a_day = quota(connection, Limits(1, None, 1))
    taken = one_a_day.take(IBM)
    assert isinstance(taken, int)
    one_a_day.note_all([Note(taken, NOT_SENT)])
    assert one_a_day.left_today() == 1
    assert isinstance(one_a_day.take(IBM), int)


def test_what_is_left_today_is_told(connection: psycopg.Connection) -> None:
    assert quota(connection, NO_LIMITS).left_today() is None
    three = quota(connection, Limits(None, None, 3))
    taken = three.take(IBM)
    assert isinstance(taken, int)
    assert three.left_today() == 2
    three.note_all([Note(taken, "rate_limit.daily")])
    assert three.left_today() == 0


def test_a_key_without_limits_believes_the_api_as_well(connection: psycopg.Connection) -> None:
    first = quota(connection, NO_LIMITS)
    (taken,) = first.take_all([IBM])
    first.note_all([Note(taken, "rate_limit.daily")])
    with pytest.raises(QuotaSpent, match="Alpha Vantage says so"):
        quota(connection, NO_LIMITS).take_all([IBM])


class Turning:
    """A day that turned a while ago, by the clock of the database."""

    def __init__(self, ago: timedelta) -> None:
        self._turn = datetime.now(UTC) - ago

    def begin(self, now: datetime) -> datetime:
        return self._turn if now >= self._turn else self._turn - timedelta(days=1)

    def end(self, now: datetime) -> datetime:
        return self.begin(now) + timedelta(days=1)

    def may_turn(self, after: datetime) -> datetime:
        return self.end(after)


def test_after_the_turn_of_a_spent_day_the_next_waits_until_it_is_sure(
    connection: psycopg.Connection,
) -> None:
    day = Turning(ago=timedelta(seconds=1))
    one_a_day = Quota(connection, "K", Limits(None, None, 1), run_id=1, day=day)
    one_a_day.take(IBM)
    age(connection, timedelta(hours=1))
    wait = one_a_day.take(IBM)
    assert isinstance(wait, float)
    assert 1 < wait <= 4


def test_a_day_may_turn_in_any_time_zone() -> None:
    day = CalendarDay("America/New_York")
    at = datetime(2026, 3, 8, 12, tzinfo=UTC)  # the day on which summer time begins
    assert day.begin(at) == datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert day.end(at) == datetime(2026, 3, 9, 4, tzinfo=UTC)
    assert CalendarDay().begin(at) == datetime(2026, 3, 8, tzinfo=UTC)


def test_two_that_take_at_once_do_not_both_get_the_last_one(warehouse: Warehouse) -> None:
    ready = threading.Barrier(4, timeout=20)
    taken: list[int | float | None] = []

    def take() -> None:
        with warehouse.connect(autocommit=True) as connection:
            last = quota(connection, Limits(None, None, 1))
            ready.wait()
            try:
                taken.append(last.take(IBM))
            except QuotaSpent:
                taken.append(None)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 4
    assert len([each for each in taken if each is not None]) == 1


def test_what_another_run_asks_at_the_same_time_is_not_asked_twice(
    connection: psycopg.Connection,
) -> None:
    other = Request("TIME_SERIES_DAILY", "MSFT")
    first = quota(connection, Limits(None, None, 25))
    second = Quota(connection, "K", Limits(None, None, 25), run_id=2)
    assert isinstance(second.take(other), int)
    taken = first.take(IBM)
    assert isinstance(taken, int)
    with pytest.raises(AskedElsewhere) as caught:
        second.take(IBM)
    assert not caught.value.answered
    first.note_all([Note(taken, "ok")])
    with pytest.raises(AskedElsewhere) as caught:
        second.take(IBM)
    assert caught.value.answered
    later = Quota(connection, "K", Limits(None, None, 25), run_id=3)
    assert isinstance(later.take(IBM), int), "a later run asks anew"


def test_without_limits_no_question_is_asked_twice_either(connection: psycopg.Connection) -> None:
    other = Request("TIME_SERIES_DAILY", "MSFT")
    second = Quota(connection, "K", NO_LIMITS, run_id=2)
    (mine,) = second.take_all([other])
    (taken,) = quota(connection, NO_LIMITS).take_all([IBM])
    first, fresh = second.take_all([IBM, Request("OVERVIEW", "IBM")])
    assert isinstance(first, AskedElsewhere)
    assert len({mine, taken, fresh}) == 3


def test_another_month_or_interval_is_another_question(connection: psycopg.Connection) -> None:
    def month(name: str, interval: str = "5min") -> Request:
        return Request("TIME_SERIES_INTRADAY", "IBM", {"month": name, "interval": interval})

    second = Quota(connection, "K", Limits(None, None, 25), run_id=2)
    second.left_today()
    quota(connection, Limits(None, None, 25)).take(month("2026-04"))
    assert isinstance(second.take(month("2026-03")), int)
    assert isinstance(second.take(month("2026-04", "1min")), int)
    with pytest.raises(AskedElsewhere):
        second.take(month("2026-04"))


def test_what_a_killed_run_asked_is_asked_again(
    connection: psycopg.Connection, warehouse: Warehouse
) -> None:
    second = Quota(connection, "K", Limits(None, None, 25), run_id=2)
    second.left_today()
    with warehouse.connect(autocommit=True) as lost:
        quota(lost, Limits(None, None, 25)).take(IBM)
        with pytest.raises(AskedElsewhere):
            second.take(IBM)
    connection.execute(_WAIT_UNTIL_GONE)
    assert isinstance(second.take(IBM), int)


_WAIT_UNTIL_GONE = """
DO $$ BEGIN
    WHILE (SELECT count(*) FROM pg_stat_activity
           WHERE datname = current_database() AND backend_type = 'client backend') > 1
    LOOP PERFORM pg_stat_clear_snapshot(); END LOOP;
END $$
"""


def at(hour: int, minute: int = 0, day: int = 5) -> datetime:
    return datetime(2026, 5, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("refused", "answered", "begins"),
    [
        (at(0, 10), at(5, 1), at(5)),  # it turns at midnight in New York, and UTC was set
        (at(10, 20), at(1, day=6), at(0)),  # the turn that is set explains it
        (at(10, 20), at(10, 30), at(0)),  # nobody's day turns then
        (at(0, 10), at(3, day=7), at(0)),  # too long ago to tell
    ],
)
def test_the_hour_at_which_the_day_turns_is_learned_from_a_refusal(
    refused: datetime, answered: datetime, begins: datetime
) -> None:
    day = learned(CalendarDay(), refused, answered)
    assert day.begin(at(12)) == begins
    assert day.end(at(12)) == begins + timedelta(days=1)


def test_a_day_that_the_api_calls_spent_is_tried_again_when_it_may_have_turned(
    connection: psycopg.Connection,
) -> None:
    now = datetime.now(UTC)
    # Turned a while ago, and does not turn at full hours: a day of these is 24 minutes long.
    day = FixedDay(now - timedelta(seconds=70), timedelta(minutes=24))
    five = Quota(connection, "K", Limits(None, None, 5), run_id=1, day=day)
    taken = five.take(IBM)
    assert isinstance(taken, int)
    five.note_all([Note(taken, "rate_limit.daily", "25 requests per day")])
    with pytest.raises(QuotaSpent, match="it is asked again from"):
        five.take(IBM)
    assert five.left_today() == 0
    age(connection, timedelta(seconds=66))
    assert five.left_today() == 4
    first = five.take(IBM)
    assert isinstance(first, int)
    assert five.take(IBM) == 0.5, "the first one tells whether it has turned"
    five.note_all([Note(first, "ok")])
    assert isinstance(five.take(IBM), int)
    assert day.may_turn(now) - now <= timedelta(minutes=1)
    assert CalendarDay().may_turn(at(10, 20)) == at(11)
