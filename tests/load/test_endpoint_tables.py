"""What is particular to an endpoint, from the stored answer to the table."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from datapipe import load
from datapipe.load.merge import Merged

NOVEMBER = datetime(2025, 11, 7, 22, 0, tzinfo=UTC)


def store(
    connection: psycopg.Connection,
    function: str,
    body: Any,
    *,
    symbol: str = "IBM",
    days: int = 0,
    params: dict[str, str] | None = None,
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    at = NOVEMBER + timedelta(days=days)
    connection.execute(
        "INSERT INTO raw.responses (symbol, function, params, fetched_at, seen_at, format, body, "
        "sha256, source, run_id) VALUES (%s, %s, %s, %s, %s, %s, %s, '', 'test', 1)",
        [
            symbol,
            function,
            json.dumps(params or {}),
            at,
            at,
            "csv" if isinstance(body, str) else "json",
            text,
        ],
    )


def current(connection: psycopg.Connection, table: str, columns: str) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"SELECT {columns} FROM raw.{table} WHERE known_to IS NULL ORDER BY {columns}"
    ).fetchall()


def loaded(connection: psycopg.Connection) -> dict[str, Merged]:
    result = load.run(connection, run_id=1)
    assert result.unreadable == ()
    return result.tables


MONTHS = "timestamp,open,high,low,close,volume\r\n"


def month(*rows: str) -> str:
    return MONTHS + "".join(f"{row}\r\n" for row in rows)


def test_the_row_of_an_unfinished_month_is_retired_when_the_finished_one_comes(
    connection: psycopg.Connection,
) -> None:
    store(connection, "TIME_SERIES_MONTHLY", month("2025-11-07,1,1,1,1,1", "2025-10-31,2,2,2,2,2"))
    newer = month("2025-12-05,4,4,4,4,4", "2025-11-28,3,3,3,3,3", "2025-10-31,2,2,2,2,2")
    store(connection, "TIME_SERIES_MONTHLY", newer, days=30)
    assert loaded(connection) == {"monthly_prices": Merged(new=4, retired=1)}
    assert current(connection, "monthly_prices", "session_date::text, close") == [
        ("2025-10-31", 2),
        ("2025-11-28", 3),
        ("2025-12-05", 4),
    ]
    row = connection.execute(
        "SELECT known_to FROM raw.monthly_prices WHERE session_date = '2025-11-07'"
    ).fetchone()
    assert row == (NOVEMBER + timedelta(days=30),)


def test_a_week_is_retired_like_a_month_in_both_of_its_tables(
    connection: psycopg.Connection,
) -> None:
    header = "timestamp,open,high,low,close,adjusted close,volume,dividend amount\n"
    function = "TIME_SERIES_WEEKLY_ADJUSTED"
    store(connection, function, header + "2025-11-05,1,1,1,1,0.9,1,0\n2025-10-31,1,1,1,1,1,1,0\n")
    store(connection, function, header + "2025-11-07,1,1,1,1,0.9,1,0\n", days=1)
    assert loaded(connection) == {
        "weekly_prices": Merged(new=3, retired=1),
        "weekly_adjusted_prices": Merged(new=3, retired=1),
    }


def test_an_older_month_that_is_loaded_late_does_not_come_back(
    connection: psycopg.Connection,
) -> None:
    store(connection, "TIME_SERIES_MONTHLY", month("2025-11-28,3,3,3,3,3"), days=30)
    loaded(connection)
    store(connection, "TIME_SERIES_MONTHLY", month("2025-11-07,1,1,1,1,1", "2025-10-31,2,2,2,2,2"))
    loaded(connection)
    assert current(connection, "monthly_prices", "session_date::text") == [
        ("2025-10-31",),
        ("2025-11-28",),
    ]


def test_daily_and_daily_adjusted_tell_of_the_same_prices(connection: psycopg.Connection) -> None:
    store(connection, "TIME_SERIES_DAILY", month("2025-11-07,1,1,1,1.5,1"))
    adjusted = (
        "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient\n"
        "2025-11-07,1,1,1,1.50,1.2,1,0.25,1.0\n2025-11-06,1,1,1,1,1,1,0,7.00000700001\n"
    )
    store(connection, "TIME_SERIES_DAILY_ADJUSTED", adjusted, days=1)
    assert loaded(connection) == {
        "daily_prices": Merged(new=2),
        "daily_adjusted_prices": Merged(new=2),
    }
    assert current(connection, "daily_adjusted_prices", "adjusted_close, split_coefficient") == [
        (1, Decimal("7.00000700001")),
        (Decimal("1.2"), 1),
    ]


def test_float_artefacts_of_the_adjusted_function_restate_nothing(
    connection: psycopg.Connection,
) -> None:
    store(connection, "TIME_SERIES_DAILY", month("2026-03-30,237,240,236.1310,239,1"))
    adjusted = (
        "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient\n"
        "2026-03-30,237,240,236.13099999999997,239,238.12345678901234,1,0,1.0\n"
    )
    store(connection, "TIME_SERIES_DAILY_ADJUSTED", adjusted, days=1)
    assert loaded(connection) == {
        "daily_prices": Merged(new=1),
        "daily_adjusted_prices": Merged(new=1),
    }
    assert current(connection, "daily_adjusted_prices", "adjusted_close") == [
        (Decimal("238.12345678901234"),)
    ]


def test_a_fiscal_year_that_has_not_ended_is_marked_and_goes_when_it_has(
    connection: psycopg.Connection,
) -> None:
    def years(*rows: tuple[str, str]) -> dict[str, Any]:
        annual = [{"fiscalDateEnding": end, "reportedEPS": eps} for end, eps in rows]
        quarter = {"fiscalDateEnding": rows[0][0], "reportedEPS": "1", "estimatedEPS": "None"}
        return {"symbol": "IBM", "annualEarnings": annual, "quarterlyEarnings": [quarter]}

    store(connection, "EARNINGS", years(("2025-09-30", "6"), ("2024-12-31", "10.33")))
    loaded(connection)
    columns = "period, fiscal_date_ending::text, reported_eps"
    assert current(connection, "earnings", columns) == [
        ("annual", "2024-12-31", Decimal("10.33")),
        ("part_year", "2025-09-30", 6),
        ("quarterly", "2025-09-30", 1),
    ]
    store(connection, "EARNINGS", years(("2025-12-31", "11"), ("2024-12-31", "10.33")), days=90)
    assert loaded(connection) == {"earnings": Merged(new=2, retired=1)}
    assert [row[:2] for row in current(connection, "earnings", columns)] == [
        ("annual", "2024-12-31"),
        ("annual", "2025-12-31"),
        ("quarterly", "2025-09-30"),
        ("quarterly", "2025-12-31"),
    ]


def test_a_statement_keeps_fields_that_have_no_column(connection: psycopg.Connection) -> None:
    report = {
        "fiscalDateEnding": "2019-12-31",
        "reportedCurrency": "None",
        "totalRevenue": "77147000000",
        "costofGoodsAndServicesSold": "5",
        "taxProvision": "731000000",
        "minorityInterest": "None",
    }
    body = {"symbol": "IBM", "annualReports": [report], "quarterlyReports": []}
    store(connection, "INCOME_STATEMENT", body)
    loaded(connection)
    columns = (
        "period, reported_currency, total_revenue, cost_of_goods_and_services_sold, "
        "other_fields, net_income"
    )
    assert current(connection, "income_statements", columns) == [
        ("annual", None, 77147000000, 5, {"taxProvision": "731000000"}, None)
    ]


def test_what_no_text_of_postgresql_holds_is_left_out_of_it(connection: psycopg.Connection) -> None:
    body = {"Symbol": "IBM", "Name": "I\0B\ud83dM \U0001f600", "Sector\0": "T"}
    store(connection, "OVERVIEW", body)
    loaded(connection)
    assert current(connection, "company_overview", "name, sector") == [("IBM \U0001f600", "T")]


LISTING = "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"


def listing(*rows: str) -> str:
    return LISTING + "".join(f"{row}\r\n" for row in rows)


def test_a_ticker_that_is_used_again_stays_two_companies(connection: psycopg.Connection) -> None:
    old = listing(
        "NA,Old Co,NYSE,Stock,1990-01-02,null,Active", "E,ENI,NYSE,Stock,1995-11-28,null,Active"
    )
    store(connection, "LISTING_STATUS", old, symbol="-")
    gone = listing("NA,Old Co,NYSE,Stock,1990-01-02,2025-11-10,Delisted")
    store(connection, "LISTING_STATUS", gone, symbol="-", days=4)
    new = listing(
        "NA,New Co,NASDAQ,Stock,2025-11-20,null,Active", "E,ENI,NYSE,Stock,1995-11-28,null,Active"
    )
    store(connection, "LISTING_STATUS", new, symbol="-", days=20)
    assert loaded(connection) == {"listings": Merged(new=4, retired=1)}
    columns = "symbol, name, ipo_date, status, delisting_date"
    assert current(connection, "listings", columns) == [
        ("E", "ENI", date(1995, 11, 28), "Active", None),
        ("NA", "New Co", date(2025, 11, 20), "Active", None),
        ("NA", "Old Co", date(1990, 1, 2), "Delisted", date(2025, 11, 10)),
    ]


@pytest.mark.parametrize("symbol", ["NA", "NAN", "TRUE", "INF", "E", "USD", "-P-HIZ", "ACWV:BAT"])
def test_a_ticker_in_a_listing_is_never_taken_for_something_else(
    symbol: str, connection: psycopg.Connection
) -> None:
    store(connection, "LISTING_STATUS", listing(f"{symbol},,NYSE,ETF,null,null,Active"), symbol="-")
    loaded(connection)
    assert current(connection, "listings", "symbol, name, ipo_date::text") == [
        (symbol, None, "0001-01-01")
    ]


def test_the_calendar_of_one_symbol_and_of_all_are_one(connection: psycopg.Connection) -> None:
    header = "symbol,name,reportDate,fiscalDateEnding,estimate,currency\r\n"
    store(
        connection, "EARNINGS_CALENDAR", header + "IBM,I,2026-01-27,2025-12-31,,USD\r\n", symbol="-"
    )
    newer = header.replace("currency", "currency,timeOfTheDay")
    newer += "IBM,I,2026-01-28,2025-12-31,4.33,USD,post-market\r\n"
    store(connection, "EARNINGS_CALENDAR", newer, days=1)
    assert loaded(connection) == {"earnings_calendar": Merged(new=1, restated=1)}
    columns = "report_date::text, estimate, time_of_the_day"
    assert current(connection, "earnings_calendar", columns) == [
        ("2026-01-28", Decimal("4.33"), "post-market")
    ]


def test_holdings_without_a_symbol_are_told_apart_and_sold_ones_go(
    connection: psycopg.Connection,
) -> None:
    def fund(*holdings: str) -> dict[str, Any]:
        return {
            "net_assets": "1",
            "portfolio_turnover": "n/a",
            "inception_date": "1999-03-10",
            "leveraged": "NO",
            "sectors": [{"sector": "ENERGY", "weight": "1"}],
            "holdings": [
                {"symbol": each, "description": "X", "weight": "0.1"} for each in holdings
            ],
        }

    store(connection, "ETF_PROFILE", fund("NAN", "n/a", "n/a"), symbol="QQQ")
    store(connection, "ETF_PROFILE", fund("NAN", "n/a"), symbol="QQQ", days=1)
    assert loaded(connection)["etf_holdings"] == Merged(new=3, retired=1)
    assert current(connection, "etf_holdings", "position, holding_symbol") == [
        (1, "NAN"),
        (2, None),
    ]
    assert current(connection, "etf_profiles", "portfolio_turnover, leveraged") == [(None, "NO")]


@pytest.mark.parametrize(
    "body",
    [
        {"Global Quote - DATA DELAYED BY 15 MINUTES": {
            "01. symbol": "IBM", "05. price": "219.3", "07. latest trading day": "2026-05-15",
            "10. change percent": "0.4259%"}},
        "symbol,price,latestDay,changePercent\r\nIBM,219.3000,2026-05-15,0.4259%\r\n",
    ],
    ids=["json", "csv"],
)  # fmt: skip
def test_a_quote_is_the_same_in_both_forms(body: Any, connection: psycopg.Connection) -> None:
    store(connection, "GLOBAL_QUOTE", body)
    loaded(connection)
    assert current(connection, "global_quotes", "session_date::text, price, change_percent") == [
        ("2026-05-15", Decimal("219.3"), Decimal("0.4259"))
    ]


def test_two_dividends_of_one_day_are_both_kept(connection: psycopg.Connection) -> None:
    header = "ex_dividend_date,declaration_date,record_date,payment_date,amount\r\n"
    rows = "2025-11-10,None,None,2025-12-10,1.68\r\n2025-11-10,None,None,2025-12-20,5\r\n"
    store(connection, "DIVIDENDS", header + rows)
    loaded(connection)
    assert current(connection, "dividends", "position, amount, record_date") == [
        (1, Decimal("1.68"), None),
        (2, 5, None),
    ]


def test_a_coin_of_old_has_the_price_of_its_own_market(connection: psycopg.Connection) -> None:
    bar = {
        "1a. open (CNY)": "1", "1b. open (USD)": "9", "2a. high (CNY)": "3", "2b. high (USD)": "9",
        "3a. low (CNY)": "1", "3b. low (USD)": "9", "4a. close (CNY)": "2", "4b. close (USD)": "9",
        "5. volume": "0.12345678", "6. market cap (USD)": "0.1",
    }  # fmt: skip
    body = {"Time Series (Digital Currency Daily)": {"2023-07-04": bar}}
    store(connection, "DIGITAL_CURRENCY_DAILY", body, symbol="BTC-CNY")
    loaded(connection)
    assert current(connection, "crypto_daily_prices", "open, high, low, close, volume") == [
        (1, 3, 1, 2, Decimal("0.12345678"))
    ]


@pytest.mark.parametrize(
    ("zone", "hour"), [("US/Eastern", 13), ("UTC", 9), ("GMT+8", 1), ("Europe/London", 8)]
)
def test_intraday_times_are_of_the_zone_that_the_answer_names(
    zone: str, hour: int, connection: psycopg.Connection
) -> None:
    body = {
        "Meta Data": {"4. Interval": "5min", "6. Time Zone": zone},
        "Time Series (5min)": {"2026-05-15 09:30:00": {"4. close": "1"}},
    }
    store(connection, "TIME_SERIES_INTRADAY", body)
    loaded(connection)
    at = "extract(hour FROM bar_at AT TIME ZONE 'UTC')"
    assert current(connection, "intraday_prices", at) == [(hour,)]


def test_adjusted_intraday_bars_lie_apart(connection: psycopg.Connection) -> None:
    body = "timestamp,close\n2026-05-15 09:30:00,1\n"
    store(connection, "TIME_SERIES_INTRADAY", body, params={"adjusted": "true"})
    store(connection, "TIME_SERIES_INTRADAY", body, params={"adjusted": "false"}, days=1)
    assert loaded(connection) == {
        "intraday_adjusted_prices": Merged(new=1),
        "intraday_prices": Merged(new=1),
    }
