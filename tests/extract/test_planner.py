"""The planner, against an API that is played in the database, with the clock in the test's hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from datapipe.errors import UsageError
from datapipe.extract import endpoints
from datapipe.extract.endpoints import Request
from datapipe.extract.planner import Plan, plan
from datapipe.warehouse import sessions

FRIDAY = datetime(2026, 5, 15, 22, tzinfo=UTC)  # New York closed at 20:00 UTC
SATURDAY = FRIDAY + timedelta(days=1)
MONDAY = FRIDAY + timedelta(days=3)
DAILY = ("daily",)


@dataclass
class Played:
    """An API that answers as it is told, and the tables as extract and load leave them."""

    connection: psycopg.Connection
    lagging: set[str] = field(default_factory=set)
    outcomes: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[datetime, Request]] = field(default_factory=list)
    ended: date | None = None

    def answer(self, requests: Iterable[Request], now: datetime) -> None:
        closed = sessions.finished(self.connection, since=now.date() - timedelta(150), now=now)
        for request in requests:
            self.sent.append((now, request))
            outcome = self.outcomes.get(request.symbol) or self.outcomes.get(request.function)
            self.note(request, now, outcome or "ok")
            if outcome:
                continue
            self.store(request, now)
            if request.function == "TIME_SERIES_DAILY":
                known = [session.session_date for session in closed[-100:]]
                known = [day for day in known if self.ended is None or day <= self.ended]
                lag = request.symbol in self.lagging
                self.bars(request.symbol, known[:-1] if lag else known, now)

    def note(self, request: Request, now: datetime, outcome: str) -> None:
        self.connection.execute(
            "INSERT INTO meta.requests (run_id, key_id, requested_at, endpoint, symbol, outcome, "
            "detail) VALUES (1, 'key', %s, %s, %s, %s, %s)",
            [now, request.function, request.symbol, outcome, self.details.get(request.function)],
        )

    def store(self, request: Request, now: datetime, body: str = "{}", loaded: bool = True) -> None:
        self.connection.execute(
            "INSERT INTO raw.responses (symbol, function, params, fetched_at, seen_at, format, "
            "body, sha256, source, run_id, loaded_at) "
            "VALUES (%s, %s, %s, %s, %s, 'json', %s, '', 'alpha_vantage', 1, %s)",
            [
                request.symbol,
                request.function,
                json.dumps(dict(request.params)),
                now,
                now,
                body,
                now if loaded else None,
            ],
        )

    def bars(self, symbol: str, days: Sequence[date], known_from: datetime) -> None:
        self.connection.execute(
            "INSERT INTO raw.daily_prices (symbol, session_date, close, known_from, source) "
            "SELECT %s, day, 1, %s, 'alpha_vantage' FROM unnest(%s::date[]) AS d (day) "
            "ON CONFLICT (symbol, session_date) WHERE known_to IS NULL DO NOTHING",
            [symbol, known_from, list(days)],
        )


@pytest.fixture
def played(connection: psycopg.Connection) -> Played:
    return Played(connection)


def planned(
    played: Played,
    symbols: Sequence[str],
    now: datetime,
    names: Sequence[str] = DAILY,
    *,
    per_day: int | None = 25,
    left_today: int | None = None,
    options: dict[str, str] | None = None,
    refresh: bool = False,
) -> Plan:
    return plan(
        played.connection,
        endpoints.named(names),
        symbols,
        options or {},
        left_today=per_day if left_today is None else left_today,
        per_day=per_day,
        key_id="key",
        now=now,
        refresh=refresh,
    )


def run(played: Played, symbols: Sequence[str], now: datetime, *names: str) -> Plan:
    found = planned(played, symbols, now, names or DAILY)
    played.answer([wanted.request for wanted in found.now], now)
    return found


def test_what_was_never_asked_is_wanted_daily_bars_first(played: Played) -> None:
    found = planned(played, ["IBM", "KO"], FRIDAY, ["overview", "daily"], left_today=3)
    assert [(each.endpoint, each.request.symbol) for each in found.wanted] == [
        ("daily", "IBM"),
        ("daily", "KO"),
        ("overview", "IBM"),
        ("overview", "KO"),
    ]
    assert {each.reason for each in found.wanted} == {"never asked"}
    assert (len(found.now), len(found.waiting)) == (3, 1)
    assert found.complete_on == date(2026, 5, 16)


@pytest.mark.parametrize(
    "later",
    [
        timedelta(minutes=1),
        timedelta(days=1),  # Saturday
        timedelta(days=2),  # Sunday
        timedelta(days=2, hours=12),  # Monday, before New York opens
        timedelta(days=2, hours=21, minutes=59),  # Monday, before it closes
    ],
)
def test_nothing_is_asked_where_nothing_new_can_be(played: Played, later: timedelta) -> None:
    run(played, ["IBM"], FRIDAY, "daily", "overview", "listing-status", "quote")
    found = planned(
        played, ["IBM"], FRIDAY + later - timedelta(hours=2), ["daily", "overview", "quote"]
    )
    assert (found.wanted, found.held, found.current) == ((), (), 3)
    assert planned(played, [], FRIDAY + later - timedelta(hours=2), ["listing-status"]).current == 1


def test_a_holiday_costs_nothing(played: Played) -> None:
    run(played, ["IBM"], datetime(2026, 5, 22, 22, tzinfo=UTC))
    memorial_day = datetime(2026, 5, 25, 23, tzinfo=UTC)
    assert planned(played, ["IBM"], memorial_day).wanted == ()
    assert len(planned(played, ["IBM"], memorial_day + timedelta(days=1)).wanted) == 1


def test_london_is_asked_when_london_has_closed(played: Played) -> None:
    run(played, ["TSCO.LON", "IBM"], datetime(2026, 5, 14, 23, tzinfo=UTC))
    found = planned(played, ["TSCO.LON", "IBM"], datetime(2026, 5, 15, 18, tzinfo=UTC))
    assert [each.request.symbol for each in found.wanted] == ["TSCO.LON"]


def test_an_unfinished_bar_is_asked_for_again_once(played: Played) -> None:
    during = datetime(2026, 5, 15, 15, tzinfo=UTC)
    run(played, ["IBM"], during)
    played.bars("IBM", [during.date()], during)
    assert planned(played, ["IBM"], during + timedelta(hours=1)).wanted == ()
    found = run(played, ["IBM"], FRIDAY)
    assert [each.reason for each in found.wanted] == [
        "the bar of 2026-05-15 was not finished when it came"
    ]
    # The answer was the same, so that the bar is still the one of before.
    assert planned(played, ["IBM"], SATURDAY).wanted == ()


def test_an_answer_that_waits_to_be_loaded_counts(played: Played) -> None:
    request = Request("TIME_SERIES_DAILY", "IBM", {"outputsize": "compact"})
    played.note(request, FRIDAY, "ok")
    body = '{"Time Series (Daily)": {"2026-05-15": {"4. close": "1"}}}'
    played.store(request, FRIDAY, body, loaded=False)
    assert planned(played, ["IBM"], SATURDAY).wanted == ()
    assert len(planned(played, ["IBM"], MONDAY).wanted) == 1


def test_prices_that_the_user_loaded_are_not_asked_for(played: Played) -> None:
    days = [
        s.session_date
        for s in sessions.finished(played.connection, since=date(2025, 1, 2), now=FRIDAY)
    ]
    played.bars("IBM", days, FRIDAY)
    assert planned(played, ["IBM"], SATURDAY).wanted == ()
    played.connection.execute("DELETE FROM raw.daily_prices WHERE session_date = '2026-05-07'")
    (wanted,) = planned(played, ["IBM"], SATURDAY).wanted
    assert wanted.reason == "1 session is missing within reach"
    played.answer([wanted.request], SATURDAY)
    assert planned(played, ["IBM"], SATURDAY + timedelta(hours=1)).wanted == ()


def test_a_session_that_is_late_is_asked_for_after_a_while(played: Played) -> None:
    played.lagging = {"IBM"}
    now, asked = FRIDAY, []
    while now < FRIDAY + timedelta(hours=20):
        if run(played, ["IBM"], now).wanted:
            asked.append(now - FRIDAY)
        now += timedelta(minutes=10)
    hours = [delay / timedelta(hours=1) for delay in asked]
    # At once and again, then after 1, 2, 4 and 8 hours.
    assert hours == pytest.approx([0, 1 / 6, 7 / 6, 19 / 6, 43 / 6, 91 / 6])
    (held,) = planned(played, ["IBM"], now).held
    assert held.reason == "the session of 2026-05-15 is not there yet, asked 6 times"
    assert planned(played, ["IBM"], MONDAY).wanted, "another session closed"


def test_a_series_that_ended_is_asked_for_ever_more_rarely(played: Played) -> None:
    run(played, ["GONE"], FRIDAY)
    before = len(played.sent)
    played.ended = FRIDAY.date()
    for day in range(1, 120):
        run(played, ["GONE"], FRIDAY + timedelta(days=day))
    days = [(at - FRIDAY).days for at, _ in played.sent[before:]]
    assert len(days) < 16, "of 85 sessions"
    assert 29 <= days[-1] - days[-2] <= 33, days


@pytest.mark.parametrize("outcome", ["invalid_request", "empty"])
def test_a_dead_symbol_backs_off_to_thirty_days(played: Played, outcome: str) -> None:
    played.outcomes = {"TYPO": outcome}
    for day in range(70):
        run(played, ["TYPO"], FRIDAY + timedelta(days=day))
    days = [(at - FRIDAY).days for at, request in played.sent if request.symbol == "TYPO"]
    assert days == [0, 1, 3, 7, 15, 31, 61]
    (held,) = planned(played, ["TYPO"], FRIDAY + timedelta(days=80)).held
    assert "7 times" in held.reason
    played.outcomes = {}
    run(played, ["TYPO"], FRIDAY + timedelta(days=91))
    assert planned(played, ["TYPO"], FRIDAY + timedelta(days=95)).held == ()


def test_an_overview_that_is_empty_is_an_answer_for_a_while(played: Played) -> None:
    """As of a fund: to ask again the next day would be for nothing."""
    played.outcomes = {"OVERVIEW": "empty"}
    for day in range(16):
        run(played, ["SPY"], FRIDAY + timedelta(days=day), "overview")
    assert [(at - FRIDAY).days for at, _ in played.sent] == [0, 7, 14]


def test_what_the_key_does_not_include_waits_and_is_named(played: Played) -> None:
    played.outcomes = {"TIME_SERIES_INTRADAY": "premium_required"}
    run(played, ["IBM"], FRIDAY, "intraday", "daily")
    found = planned(played, ["IBM", "KO"], SATURDAY, ["intraday"])
    assert found.wanted == ()
    assert {each.reason for each in found.held} == {
        "this key's plan does not include TIME_SERIES_INTRADAY (premium_required)"
    }
    assert planned(played, ["KO"], SATURDAY, ["intraday"], refresh=True).wanted
    assert planned(played, ["KO"], FRIDAY + timedelta(days=31), ["intraday"]).wanted
    played.connection.execute("UPDATE meta.requests SET key_id = 'another'")
    assert planned(played, ["KO"], SATURDAY, ["intraday"]).wanted


def test_a_refusal_of_the_whole_history_does_not_stop_the_compact_one(played: Played) -> None:
    played.outcomes = {"TIME_SERIES_DAILY": "premium_required"}
    played.details = {
        "TIME_SERIES_DAILY": "The outputsize=full parameter value is a premium feature for ..."
    }
    full = planned(played, ["IBM"], FRIDAY, options={"outputsize": "full"})
    played.answer(full.requests, FRIDAY)
    assert planned(played, ["IBM"], FRIDAY, options={"outputsize": "full"}).wanted == ()
    assert len(planned(played, ["IBM"], FRIDAY).wanted) == 1


def test_the_whole_history_is_wanted_where_only_the_compact_one_came(played: Played) -> None:
    run(played, ["IBM"], FRIDAY)
    full = planned(played, ["IBM"], FRIDAY, options={"outputsize": "full"})
    played.answer(full.requests, FRIDAY)
    assert len(full.wanted) == 1
    assert planned(played, ["IBM"], FRIDAY, options={"outputsize": "full"}).wanted == ()
    assert planned(played, ["IBM"], FRIDAY).wanted == ()


def test_a_killed_request_is_wanted_again_and_a_broken_one_after_a_while(played: Played) -> None:
    played.outcomes = {"CUT": "sent", "HTML": "web_page"}
    for _ in range(3):
        run(played, ["CUT", "HTML"], FRIDAY)
    found = planned(played, ["CUT", "HTML"], FRIDAY + timedelta(minutes=1))
    assert [each.request.symbol for each in found.wanted] == ["CUT"]
    assert found.wanted[0].reason == "asked, and not answered yet"
    assert len(planned(played, ["HTML"], FRIDAY + timedelta(hours=1)).wanted) == 1


def test_refresh_asks_even_if_nothing_new_can_be(played: Played) -> None:
    run(played, ["IBM"], FRIDAY)
    assert len(planned(played, ["IBM"], FRIDAY, refresh=True).wanted) == 1


def test_a_month_of_intraday_bars_is_asked_for_until_it_is_over(played: Played) -> None:
    def wanted(month: str, now: datetime) -> int:
        found = planned(played, ["IBM"], now, ["intraday"], options={"month": month})
        played.answer(found.requests, now)
        return len(found.wanted)

    assert [wanted("2026-04", FRIDAY), wanted("2026-05", FRIDAY)] == [1, 1]
    assert [wanted("2026-04", MONDAY), wanted("2026-05", SATURDAY)] == [0, 0]
    june = datetime(2026, 6, 2, 1, tzinfo=UTC)
    assert [wanted("2026-05", june), wanted("2026-05", june + timedelta(days=9))] == [1, 0]
    with pytest.raises(UsageError, match="is not a month"):
        wanted("May", FRIDAY)


def test_bars_that_are_about_to_be_lost_come_first(played: Played) -> None:
    run(played, ["OLD"], FRIDAY - timedelta(days=130))
    found = planned(played, ["NEW", "OLD"], FRIDAY)
    assert [each.request.symbol for each in found.wanted] == ["OLD", "NEW"]
    assert "sessions are missing after 2026-01-05" in found.wanted[0].reason


SYMBOLS = tuple(f"S{n:02}" for n in range(60))


def test_sixty_symbols_are_complete_on_the_best_possible_day(played: Played) -> None:
    """120 answers at 25 a day take five days, however many sessions pass meanwhile."""
    promised = planned(played, SYMBOLS, FRIDAY, ["daily", "overview"]).complete_on
    answered: set[tuple[str, str]] = set()
    for day in range(5):
        assert len(answered) == 25 * day
        found = run(played, SYMBOLS, FRIDAY + timedelta(days=day), "daily", "overview")
        answered |= {_key(wanted.request) for wanted in found.now if "never" in wanted.reason}
    assert len(answered) == 120
    assert promised == date(2026, 5, 19)


def test_in_thirty_days_no_symbol_starves_and_no_request_is_wasted(played: Played) -> None:
    """60 symbols want 60 daily bars a session; 25 requests a day bring each every third day."""
    last: dict[tuple[str, str], datetime] = {}
    longest = timedelta()
    ahead = sessions.finished(
        played.connection, since=FRIDAY.date(), now=FRIDAY + timedelta(days=40)
    )
    closes = [session.closes_at for session in ahead]
    for day in range(30):
        now = FRIDAY + timedelta(days=day)
        found = run(played, SYMBOLS, now, "daily", "overview")
        assert len(found.now) == min(25, len(found.wanted))
        for wanted in found.now:
            key = _key(wanted.request)
            if key in last:
                news = any(last[key] < close <= now for close in closes)
                assert news or wanted.endpoint == "overview", "a request for nothing"
                if wanted.endpoint == "daily":
                    longest = max(longest, now - last[key])
            last[key] = now
    assert len(last) == 120
    assert longest <= timedelta(days=6)
    overviews = [at for at, request in played.sent if request.function == "OVERVIEW"]
    assert len(overviews) >= 120
    caught_up = planned(played, SYMBOLS[:20], FRIDAY + timedelta(days=30)).caught_up_on
    assert caught_up is not None


def _key(request: Request) -> tuple[str, str]:
    return request.function, request.symbol


def test_what_the_quota_never_covers_is_said(played: Played) -> None:
    found = planned(played, SYMBOLS, FRIDAY, per_day=5)
    assert found.complete_on == date(2026, 5, 26)
    assert found.caught_up_on is None


@pytest.mark.parametrize("count", [3, 25, 26, 60])
def test_the_forecast_is_what_happens(played: Played, count: int) -> None:
    symbols = SYMBOLS[:count]
    promised = planned(played, symbols, FRIDAY).caught_up_on
    for day in range(30):
        now = FRIDAY + timedelta(days=day)
        found = run(played, symbols, now)
        if not found.waiting:
            assert now.date() == promised
            return
    assert promised is None
