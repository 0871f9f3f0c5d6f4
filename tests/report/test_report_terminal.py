import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from datapipe.report import Column, Report, terminal

Trade = Callable[..., None]
Market = Callable[[], Report]
SESSION = date(2026, 5, 15)


def _report(*rows: dict[str, Any], synthetic: bool = False) -> Report:
    columns = (
        Column("symbol", "text"), Column("name", "text"), Column("currency", "text"),
        Column("source", "text"), Column("session_date", "date"), Column("close", "price"),
        Column("change", "change"), Column("change_percent", "change_percent"),
        Column("volume", "count"), Column("traded_value", "count"), Column("sma_20", "price"),
        Column("sma_50", "price"), Column("sma_200", "price"), Column("low_52_week", "price"),
        Column("high_52_week", "price"), Column("closes", "sparkline"),
    )  # fmt: skip
    usual = {
        "symbol": "AAPL", "name": "Apple Inc", "currency": "USD", "source": "alpha_vantage",
        "session_date": SESSION, "close": Decimal("1234.5600"), "change": Decimal("10.25"),
        "change_percent": Decimal("0.8372"), "volume": Decimal(51234567),
        "traded_value": Decimal("63252147235.52"), "sma_20": Decimal("1201.11"),
        "sma_50": Decimal("1150.22"), "sma_200": Decimal("1099.33"),
        "low_52_week": Decimal("900.44"), "high_52_week": Decimal("1300.55"),
        "closes": tuple(Decimal(1200 + day) for day in range(30)),
    }  # fmt: skip
    table = tuple(
        tuple({**usual, **row}[column.name] for column in columns) for row in rows or ({},)
    )
    return Report("market", "Market", columns, table, synthetic, SESSION)


def _shown(report: Report, width: int | None = None, *, colour: bool = False) -> str:
    """What is printed on a terminal of ``width``, or into a pipe."""
    stream = StringIO()
    console = Console(
        file=stream,
        width=width or 80,
        force_terminal=width is not None,
        color_system="standard" if colour else None,
        _environ={},
    )
    terminal.show(report, console)
    return stream.getvalue()


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"[+-]?\d[\d,]*\.?\d*[KMBT%]?", text))


def test_a_pipe_gets_every_column_whole_and_no_escape_codes() -> None:
    long = "International Business Machines Corporation of New York, Common Stock"
    shown = _shown(_report({"name": long}))
    assert "\x1b" not in shown
    assert "…" not in shown
    assert long in shown
    assert {
        "1,234.56", "+10.25", "+0.84%", "51.2M", "63.3B", "1,201.11", "1,150.22", "1,099.33",
        "900.44", "1,300.55",
    } <= _numbers(shown)  # fmt: skip
    assert re.search(r"▁[▁-█]{28}█$", shown)
    assert "Close USD" in shown
    assert not any(line != line.rstrip() for line in shown.splitlines())


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 120, 160, 200])
def test_no_number_is_cut_at_any_width(width: int) -> None:
    report = _report({"symbol": "BRK-B"}, {"symbol": "EMPTY", "close": None, "change": None})
    whole, shown = _shown(report), _shown(report, width)
    table = shown.split("\n\n")[1]
    assert _numbers(table) - _numbers(whole) <= {"10", "15", "20"}  # how many closes are drawn
    assert "1,234.56" in table
    assert "+0.84%" in table
    if width >= 40:
        assert max(map(cell_len, shown.splitlines())) <= width


def test_what_does_not_fit_is_named() -> None:
    assert "Not shown" not in _shown(_report(), 200)
    note = _shown(_report(), 60).partition("Not shown at this width: ")[2].replace("\n", ", ")
    assert {"Name", "Change", "SMA 20"} <= set(note.split(", "))


def test_the_averages_come_before_names_and_long_sparklines() -> None:
    header = _shown(_report(), 80).splitlines()[3]
    assert "SMA 50" in header
    assert "SMA 200" in header
    assert "52 weeks" in header


def test_a_very_narrow_terminal_gets_lines_instead_of_columns() -> None:
    shown = _shown(_report(), 20)
    assert re.search(r"^  Change % +\+0\.84%$", shown, re.MULTILINE)
    assert re.search(r"^  Close USD +1,234\.56$", shown, re.MULTILINE)


def test_gains_are_green_and_losses_red_on_a_terminal_only() -> None:
    report = _report({}, {"symbol": "DOWN", "change_percent": Decimal("-2.5")})
    coloured = _shown(report, 200, colour=True)
    assert "\x1b[32m+0.84%" in coloured
    assert "\x1b[31m-2.50%" in coloured
    assert "\x1b" not in _shown(report)


def test_no_color_is_honoured() -> None:
    stream = StringIO()
    console = Console(
        file=stream, width=120, force_terminal=True, _environ={"NO_COLOR": "1", "TERM": "xterm"}
    )
    terminal.show(_report(), console)
    assert not re.search(r"\x1b\[[0-9;]*3\d", stream.getvalue())


def test_the_market_is_summed_up_above_the_table() -> None:
    report = _report(
        {},
        {"symbol": "DOWN", "change_percent": Decimal("-2.5"), "currency": "EUR"},
        {"symbol": "NEW", "session_date": None, "close": None, "currency": None},
    )
    title, breadth, movers, *_ = _shown(report).splitlines()
    assert title == "Market through Fri 2026-05-15"
    assert breadth.split(" · ") == [
        "3 symbols",
        "1 up, 1 down, 0 unchanged",
        "traded 63.3B USD + 63.3B EUR",
        "1 with no prices yet",
    ]
    assert movers == "best AAPL +0.84% · worst DOWN -2.50%"


def test_currencies_stand_in_the_rows_where_they_differ() -> None:
    report = _report({}, {"symbol": "TSCO.LON", "currency": "GBX", "close": Decimal("0.0345")})
    shown = _shown(report)
    assert "1,234.56   USD" in shown  # the decimal points stand in one line
    assert "0.0345 GBX" in shown


def test_a_symbol_that_ended_earlier_shows_its_session() -> None:
    assert "Session" not in _shown(_report())
    shown = _shown(_report({}, {"symbol": "GONE", "session_date": date(2026, 3, 2)}))
    assert "Session" in shown
    assert "2026-03-02" in shown
    assert "1 with no price on that day" in shown


@pytest.mark.parametrize("width", [None, 20, 80])
def test_synthetic_prices_are_named_so_on_every_terminal(width: int | None) -> None:
    shown = _shown(_report({"source": "sample"}, synthetic=True), width)
    assert shown.startswith("Market, SYNTHETIC sample data")
    assert "SYNTHETIC: made by a generator." in shown
    assert "SYNTHETIC" not in _shown(_report(), width)


def test_a_missing_value_is_a_dash(market: Market, trade: Trade) -> None:
    trade("AAPL", "10")
    trade("NEW", name=None)
    *_, first, second = _shown(market()).splitlines()
    assert " ".join(first.split()) == (
        "AAPL A Company 10.00 – – 1.50M 15.0M – – – 10.00 ─────●───── 10.00 ▄"
    )
    assert set(second.split()) == {"NEW", "–"}


def test_a_name_cannot_command_the_terminal_or_rich() -> None:
    shown = _shown(_report({"name": "\x1b[31mEvil\x07 [bold]markup[/bold] :smile:\n"}))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]markup[/bold] :smile:" in shown
    assert len(shown.splitlines()) == len(_shown(_report()).splitlines())


def test_wide_characters_keep_the_columns_in_line() -> None:
    report = _report({"name": "トヨタ自動車"}, {"name": "Toyota"})
    *_, wide, narrow = _shown(report).splitlines()
    assert cell_len(wide) == cell_len(narrow)


def test_a_stream_that_is_not_unicode_gets_what_it_can_carry() -> None:
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding="ascii")
    terminal.show(_report({"name": "Société"}), Console(file=stream, _environ={}))
    stream.flush()
    shown = raw.getvalue().decode("ascii")
    assert "Soci?t?" in shown
    assert "1,234.56" in shown


def test_a_report_of_any_columns_is_shown_by_their_kinds() -> None:
    columns = (
        Column("sector", "text"), Column("companies", "count"), Column("share", "percent"),
        Column("score", "number"), Column("trend", "sparkline"), Column("since", "date"),
    )  # fmt: skip
    rows = (
        ("Energy", 1234, Decimal("12.5"), Decimal("1.5"), (1, None, 3), SESSION),
        ("Health", 12, Decimal(3), float("nan"), None, None),
    )
    report = Report("sectors", "Sectors", columns, rows, False, None)
    title, _, header, _, first, second = _shown(report).splitlines()
    assert title == "Sectors"
    assert header.split() == ["Sector", "Companies", "Share", "Score", "Trend", "Since"]
    assert first.split() == ["Energy", "1.23K", "12.50%", "1.5", "▁", "█", "2026-05-15"]
    assert second.split() == ["Health", "12", "3.00%", "–", "–", "–"]


def test_a_report_without_rows_says_so() -> None:
    report = Report("market", "Market", (Column("symbol", "text"),), (), False, None)
    assert _shown(report) == "Market\n\nNo rows.\n"
    assert _shown(report, 40) == "Market\n\nNo rows.\n"
