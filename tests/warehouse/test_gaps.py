"""Gaps are exactly the sessions that are missing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import calendars
import psycopg
import pytest

from datapipe.warehouse import sessions
from datapipe.warehouse.gaps import Gap, gaps

NOW = datetime(2026, 5, 15, 21, tzinfo=UTC)
SINCE = date(2006, 5, 15)


@pytest.fixture(autouse=True)
def _whole_calendars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_calendar", calendars.whole)


def trading_days(connection: psycopg.Connection, exchange: str = "XNYS") -> list[date]:
    found = sessions.finished(connection, since=SINCE, now=NOW, exchange=exchange)
    return [session.session_date for session in found]


def store(connection: psycopg.Connection, symbol: str, days: Iterable[date]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY raw.daily_prices (symbol, session_date, close, known_from, source) FROM STDIN"
        ) as copy,
    ):
        for day in days:
            copy.write_row((symbol, day, 1, NOW, "test"))


def answer(
    connection: psycopg.Connection, symbol: str, seen_at: datetime, outputsize: str = "compact"
) -> None:
    connection.execute(
        "INSERT INTO raw.responses (symbol, function, params, fetched_at, seen_at, format, body, "
        "sha256, source, run_id, loaded_at) VALUES (%(symbol)s, 'TIME_SERIES_DAILY', "
        "jsonb_build_object('outputsize', %(outputsize)s::text), %(at)s, %(at)s, 'json', '{}', "
        "'', 'alpha_vantage', 1, %(at)s)",
        {"symbol": symbol, "at": seen_at, "outputsize": outputsize},
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_of_twenty_years_with_500_holes_exactly_the_holes_are_found(
    connection: psycopg.Connection, seed: int
) -> None:
    days = trading_days(connection)
    assert len(days) == 5033
    holes = set(random.Random(seed).sample(days[1:], 500))
    store(connection, "HOLES", [day for day in days if day not in holes])
    store(connection, "WHOLE", days)
    found = gaps(connection, now=NOW)
    told = [day for gap in found for day in days if gap.first <= day <= gap.last]
    assert {gap.symbol for gap in found} == {"HOLES"}
    assert sorted(told) == sorted(holes)
    assert sum(gap.sessions for gap in found) == 500


def test_clean_years_raise_no_alarm_on_any_exchange(connection: psycopg.Connection) -> None:
    for symbol in ("IBM", "TSCO.LON", "RELIANCE.BSE"):
        store(connection, symbol, trading_days(connection, sessions.exchange_of(symbol)))
    assert gaps(connection, now=NOW) == ()


def test_a_bar_on_a_holiday_hides_no_hole(connection: psycopg.Connection) -> None:
    days = trading_days(connection)[-20:]
    store(connection, "IBM", [*days[:5], *days[6:], days[0] - timedelta(1), date(2026, 5, 10)])
    assert [(gap.first, gap.sessions) for gap in gaps(connection, now=NOW)] == [(days[5], 1)]


def test_nothing_is_expected_before_the_first_bar_or_before_the_close(
    connection: psycopg.Connection,
) -> None:
    days = trading_days(connection)
    store(connection, "NEW", days[-5:-1])
    before_the_close = datetime.combine(days[-1], datetime.min.time(), UTC) + timedelta(hours=19)
    assert gaps(connection, now=before_the_close) == ()
    assert gaps(connection, ["NEW", "UNKNOWN"], now=NOW) == (
        Gap("NEW", days[-1], days[-1], 1, 1, "request"),
    )


def test_a_gap_tells_its_cure(connection: psycopg.Connection) -> None:
    days = trading_days(connection)
    missing = {*days[-300:-290], *days[-105:-98], *days[-50:-48], days[-1]}
    store(connection, "IBM", [day for day in days[-400:] if day not in missing])
    answer(connection, "IBM", datetime.combine(days[-40], datetime.max.time(), UTC))
    found = gaps(connection, now=NOW)
    assert [(gap.sessions, gap.mendable, gap.cure) for gap in found] == [
        (10, 0, "paid"),
        (7, 0, "paid"),
        (2, 0, "absent"),
        (1, 1, "request"),
    ]
    assert str(found[0]) == (
        f"IBM: {days[-300]} to {days[-291]} (10 sessions): older than a free answer reaches: "
        "--outputsize full with a premium key, or datapipe load prices.csv"
    )
    answer(connection, "IBM", NOW, "full")
    assert {gap.cure for gap in gaps(connection, now=NOW)} == {"absent"}


def test_a_pause_longer_than_the_compact_window_is_mended_in_part(
    connection: psycopg.Connection,
) -> None:
    days = trading_days(connection)
    store(connection, "IBM", days[-200:-150])
    (gap,) = gaps(connection, now=NOW)
    assert (gap.sessions, gap.mendable, gap.cure) == (150, 100, "paid")
    assert "the next request mends the last 100; the rest is older" in str(gap)


def test_a_bar_that_was_withdrawn_is_missing(connection: psycopg.Connection) -> None:
    days = trading_days(connection)[-10:]
    store(connection, "IBM", days)
    connection.execute(
        "UPDATE raw.daily_prices SET known_to = %s WHERE session_date = %s", [NOW, days[4]]
    )
    assert [gap.first for gap in gaps(connection, now=NOW)] == [days[4]]
