"""Sessions follow the calendars, and the user's own rows stay."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import calendars
import psycopg
import pytest

from datapipe.warehouse import sessions
from datapipe.warehouse.sessions import Session

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _whole_calendars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_calendar", calendars.whole)


def dates(
    connection: psycopg.Connection, since: date, exchange: str = "XNYS", now: datetime = NOW
) -> list[date]:
    found = sessions.finished(connection, since=since, now=now, exchange=exchange)
    return [session.session_date for session in found]


def test_days_without_trading_are_no_sessions(connection: psycopg.Connection) -> None:
    """The attacks of 2001, the storm of 2012, three days of mourning, Good Friday, a Sunday."""
    found = {day.isoformat() for day in dates(connection, date(2001, 1, 1))}
    assert found.isdisjoint(
        ["2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14", "2012-10-29", "2012-10-30"]
    )
    assert found.isdisjoint(["2004-06-11", "2018-12-05", "2025-01-09", "2026-04-03", "2026-05-10"])
    assert found > {"2001-09-10", "2001-09-17", "2012-10-31", "2025-01-10", "2026-04-02"}


def test_a_session_is_finished_when_it_has_closed(connection: psycopg.Connection) -> None:
    before = datetime(2026, 5, 14, 19, 59, tzinfo=UTC)
    assert dates(connection, date(2026, 5, 13), now=before) == [date(2026, 5, 13)]
    after = before + timedelta(minutes=1)
    assert dates(connection, date(2026, 5, 13), now=after) == [date(2026, 5, 13), date(2026, 5, 14)]


def test_a_half_day_closes_early(connection: psycopg.Connection) -> None:
    found = sessions.finished(
        connection, since=date(2025, 11, 28), now=datetime(2025, 11, 29, tzinfo=UTC)
    )
    assert found == [
        Session(
            date(2025, 11, 28),
            datetime(2025, 11, 28, 14, 30, tzinfo=UTC),
            datetime(2025, 11, 28, 18, 0, tzinfo=UTC),
        )
    ]


@pytest.mark.parametrize(
    ("symbol", "exchange"),
    [
        ("IBM", "XNYS"),
        ("BRK-B", "XNYS"),
        ("TSCO.LON", "XLON"),
        ("SHOP.TRT", "XTSE"),
        ("MBG.DEX", "XETR"),
        ("RELIANCE.BSE", "XBOM"),
        ("600104.SHH", "XSHG"),
        ("000002.SHZ", "XSHG"),
        ("PETR4.SAO", "BVMF"),
        ("ODD.SUFFIX", "XNYS"),
    ],
)
def test_the_suffix_of_a_symbol_tells_its_exchange(symbol: str, exchange: str) -> None:
    assert sessions.exchange_of(symbol) == exchange


def test_exchanges_have_their_own_holidays(connection: psycopg.Connection) -> None:
    """On 4 May 2026 London rested and New York traded; on 25 May 2026 both rested."""
    now = datetime(2026, 5, 30, tzinfo=UTC)
    london = dates(connection, date(2026, 5, 1), "XLON", now)
    new_york = dates(connection, date(2026, 5, 1), now=now)
    assert date(2026, 5, 4) in new_york
    assert date(2026, 5, 4) not in london
    assert date(2026, 5, 25) not in {*london, *new_york}


def test_what_the_user_changed_by_hand_stays(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    dates(connection, date(2026, 5, 1))
    connection.execute("DELETE FROM meta.sessions WHERE session_date = '2026-05-12'")
    connection.execute(
        "INSERT INTO meta.sessions VALUES "
        "('XNYS', '2026-05-09', '2026-05-09 14:00+00', '2026-05-09 16:00+00')"
    )
    connection.execute(
        "UPDATE meta.sessions SET closes_at = '2026-05-13 16:00+00' "
        "WHERE session_date = '2026-05-13'"
    )
    monkeypatch.setattr("importlib.metadata.version", lambda name: "another")
    found = sessions.finished(connection, since=date(2026, 5, 8), now=NOW)
    assert connection.execute("SELECT calendar_version FROM meta.calendars").fetchall() == [
        ("another",)
    ]
    assert [session.session_date.day for session in found] == [8, 9, 11, 13, 14]
    assert found[3].closes_at == datetime(2026, 5, 13, 16, tzinfo=UTC)


def test_a_calendar_that_changed_its_mind_is_followed(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on 9 January 2025, which became a day of mourning after the calendars were out."""
    read = sessions._calendar

    def as_it_was(exchange: str, last: date) -> list[Session]:
        mourning = date(2025, 1, 9)
        hours = (datetime(2025, 1, 9, hour, tzinfo=UTC) for hour in (14, 21))
        return sorted(
            [*read(exchange, last), Session(mourning, *hours)],
            key=lambda session: session.session_date,
        )

    monkeypatch.setattr(sessions, "_calendar", as_it_was)
    assert date(2025, 1, 9) in dates(connection, date(2025, 1, 6))
    monkeypatch.setattr(sessions, "_calendar", read)
    assert date(2025, 1, 9) in dates(connection, date(2025, 1, 6)), "the version is the same"
    monkeypatch.setattr("importlib.metadata.version", lambda name: "another")
    assert date(2025, 1, 9) not in dates(connection, date(2025, 1, 6))


def test_a_calendar_is_read_once_a_year(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    dates(connection, date(2026, 5, 1))
    monkeypatch.setattr(sessions, "_calendar", None)
    assert dates(connection, date(2026, 5, 1), now=NOW + timedelta(days=330))[-1].year == 2027


def test_beyond_the_end_of_a_calendar_every_weekday_is_expected(
    connection: psycopg.Connection,
) -> None:
    """Mumbai's holidays are known for no more than a year or two."""
    far = datetime(2041, 7, 15, 12, tzinfo=UTC)
    found = sessions.finished(connection, since=date(2041, 7, 8), now=far, exchange="XBOM")
    assert [session.session_date.isoweekday() for session in found] == [1, 2, 3, 4, 5, 1]


def test_currencies_rest_on_weekends_and_coins_never(connection: psycopg.Connection) -> None:
    monday = datetime(2026, 5, 11, 12, tzinfo=UTC)
    since = date(2026, 5, 8)
    assert dates(connection, since, sessions.CURRENCIES, monday) == [since]
    assert [day.day for day in dates(connection, since, sessions.CRYPTO, monday)] == [8, 9, 10]
