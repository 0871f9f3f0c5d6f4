"""Small invented answers of many functions: each of the right class, with the right rows."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from datapipe.errors import LoadError, SourceError
from datapipe.extract.answers import prove
from datapipe.extract.endpoints import Request
from datapipe.load.parse import FUNCTIONS, Document, parse

NOW = datetime(2026, 5, 18, tzinfo=UTC)
BAR = {"1. open": "1", "2. high": "3", "3. low": "0.5", "4. close": "2", "5. volume": "10"}
RATE = {name: BAR[name] for name in list(BAR)[:4]}
ADJUSTED = {
    "1. open": "1", "2. high": "3", "3. low": "0.5", "4. close": "2", "5. adjusted close": "1.9",
    "6. volume": "10", "7. dividend amount": "0",
}  # fmt: skip
DAILY_ADJUSTED = {**ADJUSTED, "8. split coefficient": "1.0"}
COIN = {"1. open": "1", "2. high": "3", "3. low": "0.5", "4. close": "2", "5. volume": "1.25"}
OLD_COIN = {
    "1a. open (EUR)": "1", "1b. open (USD)": "1.1", "2a. high (EUR)": "3", "2b. high (USD)": "3.1",
    "3a. low (EUR)": "0.5", "3b. low (USD)": "0.6", "4a. close (EUR)": "2",
    "4b. close (USD)": "2.2", "5. volume": "1.25", "6. market cap (USD)": "1.25",
}  # fmt: skip
HEADER = "timestamp,open,high,low,close,volume\r\n"
LISTING = "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"
STATEMENT = {"fiscalDateEnding": "2026-03-31", "reportedCurrency": "None", "netIncome": "-5"}


def series(key: str, bar: dict[str, Any], *days: str, **meta: str) -> dict[str, Any]:
    days = days or ("2026-05-15",)
    return {"Meta Data": {"2. Symbol": "IBM", **meta}, key: dict.fromkeys(days, bar)}


def asked(function: str, symbol: str = "IBM", **params: str) -> Request:
    return Request(function, symbol, params)


def outcome(request: Request, body: Any) -> Any:
    """The class of a refusal or a fault, "empty", "kept" without a table, or rows by table."""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else None
    content = json.dumps(body).encode() if content is None else content
    try:
        answer = prove(request, content, NOW)
    except SourceError as error:
        return error.kind  # type: ignore[attr-defined]
    if answer.empty:
        return "empty"
    if request.function not in FUNCTIONS:
        return "kept"
    document = Document(
        request.function, request.symbol, request.params, answer.format, answer.body
    )
    return {each.table.name: each.rows for each in parse(document) if each.rows}


PRICED = {"daily_prices": [("IBM", "2026-05-15", "1", "3", "0.5", "2", "10")]}
D, EUR, BTC = asked("TIME_SERIES_DAILY"), "EUR-USD", "BTC-EUR"

GOOD = {
    "daily": (D, series("Time Series (Daily)", BAR), PRICED),
    "byte-order mark": (D, "\ufeff" + json.dumps(series("Time Series (Daily)", BAR)), PRICED),
    "CRLF, BOM, blank lines": (D, f"\ufeff{HEADER}2026-05-15,1,3,0.5,2,10\r\n\r\n\r\n", PRICED),
    "LF, no end of line": (D, HEADER.replace("\r", "") + "2026-05-15,1,3,0.5,2,10", PRICED),
    "upper-case header": (D, HEADER.upper() + "2026-05-15,1,3,0.5,2,10\r\n", PRICED),
    "a marker for a number": (
        D, HEADER + "2026-05-15,None,-,.,2,n/a\r\n",
        {"daily_prices": [("IBM", "2026-05-15", None, None, None, "2", None)]},
    ),
    "numbers of JSON": (
        D, ('{"Time Series (Daily)": {"2026-05-15": {"1. open": 1, "2. high": 3, "3. low": 0.5, '
        '"4. close": 123456789012345678901234.5, "5. volume": 1e3}}}'),
        {"daily_prices": [
            ("IBM", "2026-05-15", "1", "3", "0.5", "123456789012345678901234.5", "1e3")]},
    ),
    "thousands and a negative volume": (
        D, HEADER + '2026-05-15,"1,000.5","1,001",999,"1,000",-5\r\n',
        {"daily_prices": [("IBM", "2026-05-15", "1000.5", "1001", "999", "1000", "-5")]},
    ),
    "DAILY delayed": (
        D, series("Time Series (Daily) - DATA DELAYED BY 15 MINUTES", BAR), PRICED),
    "DAILY_ADJUSTED": (
        asked("TIME_SERIES_DAILY_ADJUSTED"), series("Time Series (Daily)", DAILY_ADJUSTED),
        {**PRICED, "daily_adjusted_prices": [("IBM", "2026-05-15", "1.9", "0", "1.0")]},
    ),
    "WEEKLY": (
        asked("TIME_SERIES_WEEKLY"), series("Weekly Time Series", BAR),
        {"weekly_prices": PRICED["daily_prices"]},
    ),
    "MONTHLY_ADJUSTED": (
        asked("TIME_SERIES_MONTHLY_ADJUSTED"), series("Monthly Adjusted Time Series", ADJUSTED),
        {"monthly_prices": PRICED["daily_prices"],
         "monthly_adjusted_prices": [("IBM", "2026-05-15", "1.9", "0")]},
    ),
    "WEEKLY_ADJUSTED as CSV": (
        asked("TIME_SERIES_WEEKLY_ADJUSTED"),
        ("timestamp,open,high,low,close,adjusted close,volume,dividend amount\r\n"
        "2026-05-15,1,3,0.5,2,1.9,10,0\r\n"),
        {"weekly_prices": PRICED["daily_prices"],
         "weekly_adjusted_prices": [("IBM", "2026-05-15", "1.9", "0")]},
    ),
    "INTRADAY": (
        asked("TIME_SERIES_INTRADAY", interval="5min"),
        series("Time Series (5min)", BAR, "2026-05-15 19:55:00", **{"6. Time Zone": "US/Eastern"}),
        {"intraday_prices": [("IBM", "5min", "2026-05-15T23:55:00+00:00",
                              "1", "3", "0.5", "2", "10", "start")]},
    ),
    "FX_INTRADAY": (
        asked("FX_INTRADAY", EUR, interval="5min"),
        {"Meta Data": {"1. Information": "FX Intraday (5min) Time Series", "7. Time Zone": "UTC"},
         "Time Series FX (5min)": {"2026-05-15 21:55:00": RATE}},
        {"fx_intraday_prices": [(EUR, "5min", "2026-05-15T21:55:00+00:00", "1", "3", "0.5", "2")]},
    ),
    "FX_WEEKLY": (
        asked("FX_WEEKLY", EUR), {"Time Series FX (Weekly)": {"2026-05-15": RATE}},
        {"fx_weekly_prices": [(EUR, "2026-05-15", "1", "3", "0.5", "2")]},
    ),
    "FX_MONTHLY as CSV": (
        asked("FX_MONTHLY", EUR), "timestamp,open,high,low,close\r\n2026-05-15,1,3,0.5,2\r\n",
        {"fx_monthly_prices": [(EUR, "2026-05-15", "1", "3", "0.5", "2")]},
    ),
    "CRYPTO_INTRADAY": (
        asked("CRYPTO_INTRADAY", BTC, interval="60min"),
        {"Meta Data": {"9. Time Zone": "UTC"},
         "Time Series Crypto (60min)": {"2026-05-15 23:00:00": COIN}},
        {"crypto_intraday_prices": [
            (BTC, "60min", "2026-05-15T23:00:00+00:00", "1", "3", "0.5", "2", "1.25")]},
    ),
    "DIGITAL_CURRENCY_WEEKLY, as until 2023": (
        asked("DIGITAL_CURRENCY_WEEKLY", BTC),
        {"Time Series (Digital Currency Weekly)": {"2022-05-15": OLD_COIN}},
        {"crypto_weekly_prices": [(BTC, "2022-05-15", "1", "3", "0.5", "2", "1.25")]},
    ),
    "DIGITAL_CURRENCY_MONTHLY": (
        asked("DIGITAL_CURRENCY_MONTHLY", BTC),
        {"Time Series (Digital Currency Monthly)": {"2026-05-15": COIN}},
        {"crypto_monthly_prices": [(BTC, "2026-05-15", "1", "3", "0.5", "2", "1.25")]},
    ),
    "CURRENCY_EXCHANGE_RATE": (
        asked("CURRENCY_EXCHANGE_RATE", BTC),
        {"Realtime Currency Exchange Rate": {
            "1. From_Currency Code": "BTC", "2. From_Currency Name": "Bitcoin",
            "3. To_Currency Code": "EUR", "5. Exchange Rate": "9.5",
            "6. Last Refreshed": "2026-05-17 17:12:44", "7. Time Zone": "UTC",
            "8. Bid Price": "-", "9. Ask Price": "-"}},
        {"exchange_rates": [(BTC, "2026-05-17T17:12:44+00:00", "9.5", None, None)]},
    ),
    "GLOBAL_QUOTE delayed": (
        asked("GLOBAL_QUOTE"),
        {"Global Quote - DATA DELAYED BY 15 MINUTES": {
            "01. symbol": "IBM", "05. price": "2", "07. latest trading day": "2026-05-15",
            "10. change percent": "-0.5%"}},
        {"global_quotes": [
            ("IBM", "2026-05-15", None, None, None, "2", None, None, None, "-0.5")]},
    ),
    "IPO_CALENDAR": (
        asked("IPO_CALENDAR", "-"),
        ("symbol,name,ipoDate,priceRangeLow,priceRangeHigh,currency,exchange\r\n"
        "NAN,An Inc.,2026-05-27,0,0,USD,NYSE\r\nTRUE,B,2026-05-27,4,6,USD,NASDAQ\r\n"),
        {"ipo_calendar": [
            ("NAN", "2026-05-27", "An Inc.", None, None, "USD", "NYSE"),
            ("TRUE", "2026-05-27", "B", "4", "6", "USD", "NASDAQ")]},
    ),
    "TOP_GAINERS_LOSERS": (
        asked("TOP_GAINERS_LOSERS", "-"),
        {"metadata": "Top", "last_updated": "2026-05-15 16:16:00 US/Eastern", "top_losers": [
            {"ticker": "NA", "price": "1", "change_amount": "-2", "change_percentage": "-66.7%",
             "volume": "5"}], "top_gainers": [], "most_actively_traded": []},
        {"top_movers": [("NA", "2026-05-15T20:16:00+00:00", "top_losers", "1", "1", "-2", "-66.7",
                         "5")]},
    ),
    "TREASURY_YIELD": (
        asked("TREASURY_YIELD", "-", maturity="3month"),
        {"name": "3-month yield", "interval": "weekly", "unit": "percent",
         "data": [{"date": "2026-05-15", "value": "."}, {"date": "2026-05-08", "value": "4.1"}]},
        {"economic_values": [
            ("-", "TREASURY_YIELD 3month", "weekly", "2026-05-15", None),
            ("-", "TREASURY_YIELD 3month", "weekly", "2026-05-08", "4.1")]},
    ),
    "WTI as CSV": (
        asked("WTI", "-"), "timestamp,value\r\n2026-05-15,60.1\r\n2026-05-14,.\r\n",
        {"economic_values": [
            ("-", "WTI", "daily", "2026-05-15", "60.1"),
            ("-", "WTI", "daily", "2026-05-14", None)]},
    ),
    "a reused ticker": (
        asked("LISTING_STATUS", "-"),
        LISTING + "NA,Old,NYSE,Stock,1999-01-04,2010-02-01,Delisted\r\n"
        "NA,New,NYSE,Stock,2020-01-02,null,Delisted\r\n,,NYSE,Stock,2020-01-02,null,Active\r\n",
        {"listings": [
            ("NA", "1999-01-04", "Delisted", "Old", "NYSE", "Stock", "2010-02-01"),
            ("NA", "2020-01-02", "Delisted", "New", "NYSE", "Stock", None)]},
    ),
    "a date of zeros": (
        asked("DIVIDENDS"),
        {"symbol": "IBM", "data": [{"ex_dividend_date": "2026-05-08", "amount": "1.68",
            "declaration_date": "0000-00-00", "record_date": "None", "payment_date": "NaN"}]},
        {"dividends": [("IBM", "2026-05-08", "1", None, None, None, "1.68")]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_gives_its_rows(name: str) -> None:
    request, body, expected = GOOD[name]
    assert outcome(request, body) == expected


# Functions without a table, and answers that are not as they should be.
OTHERS: list[tuple[str, Request, Any]] = [
    ("kept", asked("SMA", interval="daily"), {
        "Meta Data": {"1: Symbol": "IBM", "5: Time Period": 60},
        "Technical Analysis: SMA": {"2026-05-15": {"SMA": "1.5"}}}),
    ("kept", asked("RSI"), "time,RSI\r\n2026-05-15,51.2\r\n"),
    ("kept", asked("NEWS_SENTIMENT", "-"), {"items": "1", "feed": [{"title": "Information"}]}),
    ("kept", asked("HISTORICAL_OPTIONS"), {
        "endpoint": "Historical Options", "message": "success",
        "data": [{"contractID": "IBM260515C1", "symbol": "IBM"}]}),
    ("kept", asked("INSIDER_TRANSACTIONS"), {"data": [{"ticker": "IBM", "shares": ""}]}),
    ("kept", asked("EARNINGS_CALL_TRANSCRIPT"), {
        "symbol": "IBM", "quarter": "2026Q1", "transcript": [{"speaker": "A"}]}),
    ("kept", asked("SECTOR", "-"), {
        "Meta Data": {"Information": "US Sector Performance"},
        "Rank A: Real-Time Performance": {"Energy": "1.5%"}}),
    ("kept", asked("REALTIME_BULK_QUOTES", "-"), {
        "endpoint": "Realtime Bulk Quotes", "message": "", "data": [{"symbol": "IBM"}]}),
    # Nothing to tell
    ("empty", asked("OVERVIEW"), {}),
    ("empty", asked("OVERVIEW"), " {}\r\n"),
    ("empty", asked("GLOBAL_QUOTE"), {"Global Quote": {}}),
    ("empty", asked("SYMBOL_SEARCH"), {"bestMatches": []}),
    ("empty", asked("EARNINGS"), {"symbol": "X", "annualEarnings": [], "quarterlyEarnings": []}),
    ("empty", asked("SPLITS"), {"symbol": "IBM", "data": []}),
    ("empty", asked("EARNINGS_CALL_TRANSCRIPT"), {"symbol": "IBM", "transcript": []}),
    ("empty", asked("NEWS_SENTIMENT", "-"), {"items": "0", "feed": []}),
    ("empty", asked("TREASURY_YIELD", "-"), {"name": "x", "interval": "monthly", "data": []}),
    ("empty", asked("SMA"), {"Meta Data": {"1: Symbol": "IBM"}, "Technical Analysis: SMA": {}}),
    ("empty", asked("IPO_CALENDAR", "-"),
     "symbol,name,ipoDate,priceRangeLow,priceRangeHigh,currency,exchange\r\n"),
    ("empty", D, HEADER),
    ("empty", asked("TOP_GAINERS_LOSERS", "-"), {
        "metadata": "Top", "top_gainers": [], "top_losers": [], "most_actively_traded": []}),
    # Refused, in words of many years
    ("rate_limit.daily", asked("RSI"), {"Information": "We have detected your API key as K and "
        "our standard API rate limit is 500 requests per day. Premium: no daily limit."}),
    ("rate_limit.daily", D, {"Note": "Our standard API rate limit is 25 requests per day."}),
    ("rate_limit.daily", D, "Our standard API rate limit is 25 requests per day."),
    ("rate_limit.burst", D, {"Information": "Please consider spreading out your free API requests "
        "more sparingly (1 request per second). ... (25 requests per day), premium endpoints"}),
    ("rate_limit.burst", D, {"Information": "Burst pattern detected. ... no more than 20 "
        "requests per second."}),
    ("rate_limit.minute", D, {"Information": "Minute-level rate limit exceed. Premium plan."}),
    ("rate_limit.unspecified", D, {"Note": "Our standard API call frequency is 5 calls per minute "
        "and 500 calls per day."}),
    ("rate_limit.unspecified", D, {"Information": "Please consider optimizing your API call "
        "frequency."}),
    ("premium_required", asked("MACD"), {"Information": "This is a premium endpoint."}),
    ("premium_required", D, {"Information": "The outputsize=full parameter value is a premium "
        "feature for the TIME_SERIES_DAILY endpoint."}),
    ("not_entitled", asked("INDEX_DATA"), {"Note": "You are not yet entitled to index data "
        "access. Plans have 150, 300, 600, or 1200 requests per minute"}),
    ("sample_data", asked("REALTIME_OPTIONS"), {
        "message": "This is a premium endpoint. ***THE SAMPLE DATA SCHEMA BELOW IS ARTIFICIAL",
        "data": [{"symbol": "XXYYZZ", "date": "2099-99-99"}]}),
    ("sample_data", asked("REALTIME_BULK_QUOTES", "-"),
     "symbol,timestamp,close\r\nXXYYZZ,2099-99-99,1\r\n"),
    ("sample_data", asked("REALTIME_BULK_QUOTES", "-"), {
        "endpoint": "Realtime Bulk Quotes", "data": [{"symbol": "XXYYZZ", "close": "1"}]}),
    ("demo_key", D, {"Information": "The **demo** API key is for demo purposes only. Claim your "
        "free API key ..."}),
    ("invalid_key", D, {"Error Message": "the parameter apikey is invalid or missing."}),
    ("invalid_request", D, {"Error Message": "Invalid API call. Please retry or visit ..."}),
    ("invalid_request", asked("X"), {"Error Message": "This API function (X) does not exist."}),
    ("invalid_request", asked("NEWS_SENTIMENT", "-"), {"Information": "Invalid inputs. See"}),
    ("unknown_notice", D, {"Information": "The moon is full."}),
    ("unknown_notice", asked("RSI"), {"Note": "We will be closed on Monday."}),
    ("unknown_notice", asked("IPO_CALENDAR", "-"),
     "symbol,name,ipoDate,priceRangeLow,priceRangeHigh,currency,exchange\r\nI,n,f,o,r,m,a\r\n"),
    ("unknown_notice", asked("LISTING_STATUS", "-"), LISTING + "N,o,t,e,,,\r\n"),
    ("unknown_notice", asked("EARNINGS_CALENDAR", "-"),
     "symbol,name,reportDate,fiscalDateEnding,estimate,currency\r\nE,r,r,o,r,M\r\n"),
    # A notice beside or after the rows
    ("rate_limit.daily", D, {**series("Time Series (Daily)", BAR),
        "Information": "25 requests per day"}),
    ("rate_limit.daily", D, HEADER + "2026-05-15,1,3,0.5,2,10\r\n"
        '{"Information": "Our standard API rate limit is 25 requests per day."}'),
    ("rate_limit.daily", D, json.dumps(series("Time Series (Daily)", BAR))
        + '{"Information": "Our standard API rate limit is 25 requests per day."}'),
    # No answer at all
    ("no_content", D, ""),
    ("no_content", D, "\ufeff\r\n "),
    ("web_page", D, "<!DOCTYPE html><html><title>Application Error</title></html>"),
    ("web_page", asked("RSI"), "\r\n<html><body>503 Service Unavailable</body></html>"),
    ("truncated", D, json.dumps(series("Time Series (Daily)", BAR))[:-9]),
    ("truncated", D, HEADER + "2026-05-15,1,3,0."),
    ("truncated", asked("RSI"), '{"Meta Data": {"1: Sym'),
    ("not_readable", D, b"\xff\xfe{\x00}\x00"),
    ("not_readable", D, '{"Time Series (Daily)": {}, "Time Series (Daily)": {"a": 1}}'),
    ("not_readable", D, '{"Time Series (Daily)": {"2026-05-15": {"4. close": NaN}}}'),
    ("no_data", D, "null"),
    ("no_data", D, "[]"),
    ("no_data", D, {"detail": "Could not satisfy the request Accept header."}),
    ("no_data", asked("RSI"), {"detail": "Could not satisfy the request Accept header."}),
    ("no_data", asked("RSI"), {"message": "Internal server error"}),
    ("no_data", D, "Service temporarily unavailable"),
    ("no_data", asked("OVERVIEW"), {"Name": "IBM"}),
    ("no_data", asked("IPO_CALENDAR", "-"), "a,b\r\n1,2\r\n"),
    ("no_data", asked("TREASURY_YIELD", "-"), {"name": "x", "rows": [{"date": "2026-05-15"}]}),
    ("no_data", asked("CURRENCY_EXCHANGE_RATE", EUR), {"rows": [1]}),
    ("no_data", asked("TOP_GAINERS_LOSERS", "-"), {"rows": [1]}),
    # An answer to another question
    ("wrong_answer", asked("OVERVIEW"), {"Symbol": "MSFT", "Name": "Microsoft"}),
    ("wrong_answer", D, series("Time Series (5min)", BAR, "2026-05-15 10:00:00")),
    ("wrong_answer", D, series("Time Series (Daily)", DAILY_ADJUSTED)),
    ("wrong_answer", asked("TIME_SERIES_DAILY_ADJUSTED"), HEADER + "2026-05-15,1,3,0.5,2,10\r\n"),
    ("wrong_answer", asked("TIME_SERIES_INTRADAY", interval="5min"),
     series("Time Series (15min)", BAR, "2026-05-15 10:00:00")),
    ("wrong_answer", asked("CURRENCY_EXCHANGE_RATE", EUR), {"Realtime Currency Exchange Rate": {
        "1. From_Currency Code": "GBP", "3. To_Currency Code": "USD", "5. Exchange Rate": "1"}}),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "request_", "body"), OTHERS)
def test_every_other_answer_is_of_its_class(expected: str, request_: Request, body: Any) -> None:
    assert outcome(request_, body) == expected


@pytest.mark.parametrize(
    ("function", "body"),
    [
        ("TIME_SERIES_DAILY", HEADER + "2026-05-15,1,3,0.5,ten,10\r\n"),
        ("TIME_SERIES_DAILY", HEADER + "someday,1,3,0.5,2,10\r\n"),
        ("TIME_SERIES_DAILY", HEADER + "2026-05-15,1,3,0.5,None,10\r\n"),
        ("SPLITS", json.dumps({"symbol": "IBM", "data": [{"split_factor": "2"}]})),
        ("INCOME_STATEMENT", json.dumps({"symbol": "IBM", "annualReports": [{"netIncome": "1"}]})),
    ],
)
def test_what_cannot_be_read_is_kept_and_named_and_no_row_comes_of_it(
    function: str, body: str
) -> None:
    with pytest.raises(LoadError, match=f"{function} IBM"):
        outcome(asked(function), body)
