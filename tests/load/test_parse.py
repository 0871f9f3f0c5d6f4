import json
from typing import Any

import pytest

from datapipe.errors import LoadError
from datapipe.load.parse import Document, Parsed
from datapipe.load.parse import parse as parse_all
from datapipe.load.parse.values import day, number
from datapipe.load.tables import COMPANY_OVERVIEW, DAILY_PRICES, INTRADAY_PRICES


def document(function: str, body: Any, params: dict[str, str] | None = None) -> Document:
    if isinstance(body, str):
        return Document(function, "IBM", params or {}, "csv", body)
    return Document(function, "IBM", params or {}, "json", json.dumps(body))


def parse(document: Document) -> Parsed:
    (parsed,) = parse_all(document)
    return parsed


def bar(close: str = "2.0") -> dict[str, str]:
    return {
        "1. open": "1.0",
        "2. high": "3.0",
        "3. low": "0.5",
        "4. close": close,
        "5. volume": "10",
    }


def intraday(*stamps: str, interval: str = "5min") -> dict[str, Any]:
    return {
        "Meta Data": {"1. Information": "Intraday", "4. Interval": interval},
        f"Time Series ({interval})": {stamp: bar() for stamp in stamps},
    }


def test_a_daily_series_becomes_rows_with_the_numbers_as_they_came() -> None:
    body = {"Meta Data": {}, "Time Series (Daily)": {"2026-05-15": bar("219.3000")}}
    parsed = parse(document("TIME_SERIES_DAILY", body))
    assert parsed.table is DAILY_PRICES
    assert parsed.rows == [("IBM", "2026-05-15", "1.0", "3.0", "0.5", "219.3000", "10")]


def test_csv_and_json_give_the_same_rows() -> None:
    body = {"Time Series (Daily)": {"2026-05-15": bar(), "2026-05-14": bar("7")}}
    csv = (
        "timestamp,open,high,low,close,volume\r\n"
        "2026-05-15,1.0,3.0,0.5,2.0,10\r\n2026-05-14,1.0,3.0,0.5,7,10\r\n"
    )
    from_json = parse(document("TIME_SERIES_DAILY", body))
    assert parse(document("TIME_SERIES_DAILY", csv)) == from_json


def test_of_a_doubled_day_the_newest_row_is_kept() -> None:
    csv = "timestamp,close\n2026-05-15,2\n2026-05-15,1\n"
    rows = parse(document("TIME_SERIES_DAILY", csv)).rows
    assert [row[5] for row in rows] == ["2"]


def test_intraday_times_are_new_yorks_on_both_sides_of_the_clock_change() -> None:
    body = intraday("2026-03-06 09:30:00", "2026-03-09 09:30:00")
    parsed = parse(document("TIME_SERIES_INTRADAY", body))
    assert parsed.table is INTRADAY_PRICES
    assert {row[2] for row in parsed.rows} == {
        "2026-03-06T14:30:00+00:00",
        "2026-03-09T13:30:00+00:00",
    }


@pytest.mark.parametrize(
    ("stamps", "label"),
    [
        (["2026-05-15 19:55:00"], "start"),
        (["2023-07-03 09:30:00"], "start"),
        (["2021-05-13 20:00:00"], "end"),
        (["2021-05-13 15:55:00"], "end"),
        (["2024-05-13 20:00:00"], "end"),
    ],
)
def test_the_label_of_intraday_bars_is_told_by_their_era(stamps: list[str], label: str) -> None:
    rows = parse(document("TIME_SERIES_INTRADAY", intraday(*stamps))).rows
    assert {row[-1] for row in rows} == {label}


def test_the_interval_is_the_one_asked_for_or_said_or_the_least_distance() -> None:
    body = intraday("2026-05-15 09:30:00", interval="15min")
    csv = "timestamp,close\n2026-05-15 10:30:00,1\n2026-05-15 10:00:00,1\n2026-05-15 09:00:00,1\n"
    asked = parse(document("TIME_SERIES_INTRADAY", csv, {"interval": "60min"}))
    said = parse(document("TIME_SERIES_INTRADAY", body))
    neither = parse(document("TIME_SERIES_INTRADAY", csv))
    assert [parsed.rows[0][1] for parsed in (asked, said, neither)] == ["60min", "15min", "30min"]


def test_an_overview_maps_what_it_knows_and_the_markers_are_null() -> None:
    body = {
        "Symbol": "IBM",
        "Name": "A, B \u00e9",
        "DividendDate": "None",
        "EBITDA": "None",
        "PERatio": "-",
        "Beta": "0.581",
        "LatestQuarter": "2026-03-31",
        "ANewKey": "x",
    }
    parsed = parse(document("OVERVIEW", body))
    assert parsed.table is COMPANY_OVERVIEW
    row = dict(zip(COMPANY_OVERVIEW.columns, parsed.rows[0], strict=True))
    assert row["name"] == "A, B \u00e9"
    assert row["beta"] == "0.581"
    assert row["latest_quarter"] == "2026-03-31"
    assert {row[name] for name in ("dividend_date", "ebitda", "pe_ratio", "sector")} == {None}


@pytest.mark.parametrize("marker", ["None", "-", "n/a", ".", "null", "", " ", None, "NaN"])
def test_every_marker_of_a_missing_value_is_null(marker: str | None) -> None:
    assert number(marker) is None
    assert day(marker) is None


@pytest.mark.parametrize("text", ["1.5", "-2", "100.09100000000001", "7.00000700001", "1e6", ".5"])
def test_a_number_keeps_its_digits(text: str) -> None:
    assert number(text) == text


@pytest.mark.parametrize("text", ["1,5", "abc", "Infinity", "1.5M", "0x10", "1_000", "١"])
def test_what_postgresql_would_read_otherwise_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        number(text)


@pytest.mark.parametrize(
    "broken",
    [
        {"Time Series (Daily)": {"2026-05-15": {"1. open": "1"}}},
        {"Time Series (Daily)": {"2026-13-45": bar()}},
        {"Time Series (Daily)": {"2026-05-15": bar("None")}},
        {"Time Series (Daily)": {"2026-05-15": bar("x")}},
        {"Time Series (Daily)": {"2026-05-15": "text"}},
    ],
)
def test_an_answer_that_cannot_be_read_is_named(broken: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match="TIME_SERIES_DAILY IBM"):
        parse(document("TIME_SERIES_DAILY", broken))
