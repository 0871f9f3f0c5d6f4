import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import psycopg
import pytest

from datapipe.report import Column, Report, export

Trade = Callable[..., None]
Market = Callable[[], Report]
ODD_SYMBOLS = ("E", "FALSE", "INF", "NA", "NAN", "NULL", "TRUE", "1E5")


def _of(*rows: tuple[Any, ...], columns: tuple[Column, ...], synthetic: bool = False) -> Report:
    return Report("odd", "Odd", columns, rows, synthetic, None)


def _csv(report: Report) -> str:
    stream = StringIO()
    export.csv(report, stream)
    return stream.getvalue()


def _json(report: Report) -> str:
    stream = StringIO()
    export.json(report, stream)
    return stream.getvalue()


@pytest.fixture
def odd_market(market: Market, trade: Trade) -> Report:
    for symbol in ODD_SYMBOLS:
        trade(symbol, "100.10", "0.000000123400", name='Quote " and, comma\nand line')
    trade("NONE", name=None, currency=None)
    return market()


def test_csv_comes_back_digit_for_digit(odd_market: Report) -> None:
    header, *rows = csv.reader(StringIO(_csv(odd_market), newline=""))
    shown = [column.name for column in odd_market.columns if column.kind != "sparkline"]
    assert header == shown
    assert len(rows) == len(odd_market.rows) == len(ODD_SYMBOLS) + 1
    for got, want in zip(rows, odd_market.rows, strict=True):
        for text, value in zip(got, want, strict=False):
            assert (
                text == ""
                if value is None
                else type(value) is not Decimal or (Decimal(text).as_tuple() == value.as_tuple())
            )
    assert [row[0] for row in rows] == list(odd_market.values("symbol"))
    assert rows[0][1] == 'Quote " and, comma\nand line'
    assert rows[0][header.index("session_date")] == "2026-05-15"
    assert rows[0][header.index("close")] == "0.000000123400"


def test_postgresql_reads_the_csv_back(odd_market: Report, connection: psycopg.Connection) -> None:
    header, *_ = _csv(odd_market).partition("\n")
    connection.execute(f"CREATE TEMP TABLE back ({header.replace(',', ' text, ')} text)")
    with connection.cursor().copy("COPY back FROM STDIN (FORMAT csv, HEADER)") as copy:
        copy.write(_csv(odd_market))
    rows = connection.execute("SELECT symbol, name, close::numeric FROM back").fetchall()
    assert rows == list(
        zip(*(odd_market.values(name) for name in ("symbol", "name", "close")), strict=True)
    )


def test_json_comes_back_digit_for_digit(odd_market: Report) -> None:
    text = _json(odd_market)
    assert text.endswith("]}\n")
    found = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    assert found["report"] == "market"
    assert found["synthetic"] is False
    assert found["as_of"] == "2026-05-15"
    names = [column.name for column in odd_market.columns]
    for got, want in zip(found["rows"], odd_market.rows, strict=True):
        assert list(got) == names
        for name, value in zip(names, want, strict=True):
            expected = value.isoformat() if isinstance(value, date) else value
            assert got[name] == (list(expected) if isinstance(expected, tuple) else expected)
    assert '"close": 0.000000123400' in text
    assert found["rows"][-2]["closes"] == [Decimal("100.10"), Decimal("0.000000123400")]


def test_synthetic_prices_are_marked_in_every_row(market: Market, trade: Trade) -> None:
    trade("AAPL", "1", "2", source="sample")
    found = market()
    (row,) = csv.DictReader(StringIO(_csv(found)))
    assert row["source"] == "sample"
    whole = json.loads(_json(found))
    assert whole["synthetic"] is True
    assert whole["rows"][0]["source"] == "sample"


def test_null_and_an_empty_text_are_told_apart() -> None:
    report = _of((None, "", " x "), columns=tuple(Column(name, "text") for name in "abc"))
    assert _csv(report) == 'a,b,c\n,""," x "\n'
    assert '{"a": null, "b": "", "c": " x "}' in _json(report)


def test_values_of_other_types_have_their_usual_text() -> None:
    at = datetime(2026, 5, 15, 20, 0, tzinfo=UTC)
    columns = tuple(Column(name, "text") for name in "abcde")
    report = _of((at, True, {"x": "é"}, Decimal("NaN"), Decimal("1E+3")), columns=columns)
    assert _csv(report).splitlines()[1] == (
        '2026-05-15T20:00:00+00:00,true,"{""x"": ""\\u00e9""}",NaN,1000'
    )
    assert json.loads(_json(report))["rows"] == [
        {"a": "2026-05-15T20:00:00+00:00", "b": True, "c": {"x": "é"}, "d": None, "e": 1000}
    ]


def test_a_report_without_rows_is_still_whole() -> None:
    report = _of(columns=(Column("a", "text"),))
    assert _csv(report) == "a\n"
    assert json.loads(_json(report)) == {
        "report": "odd", "synthetic": False, "as_of": None, "rows": []
    }  # fmt: skip


def test_names_that_a_spreadsheet_would_run_stay_as_they_are_and_are_found() -> None:
    columns = (Column("name", "text"), Column("change", "change"))
    evil = "=HYPERLINK(A1)"
    report = _of((evil, Decimal(-1)), ("Plain", Decimal(1)), (evil, None), columns=columns)
    assert _csv(report).splitlines()[1] == "=HYPERLINK(A1),-1"
    assert export.formulas(report) == (evil,)
