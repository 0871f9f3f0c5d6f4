from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from datapipe import load
from datapipe.errors import LoadError, PartlyDoneError
from datapipe.load import files
from datapipe.load.tables import DAILY_PRICES, INTRADAY_PRICES

GOOD = (
    "symbol,date,open,high,low,close,volume\nibm,2026-05-14,1,3,1,2,10\nIBM,2026-05-15,1,3,1,2.5,\n"
)


def write(folder: Path, text: str, name: str = "prices.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_the_headers_names_decide(tmp_path: Path) -> None:
    text = "Volume;CLOSE;Session Date;ticker;note\n10;2.5;2026-05-15;brk.b;x\n"
    read = files.read(write(tmp_path, text))
    assert read.table is DAILY_PRICES
    assert read.rows == [("BRK-B", "2026-05-15", None, None, None, "2.5", "10")]


def test_without_a_symbol_column_the_files_name_is_the_symbol(tmp_path: Path) -> None:
    read = files.read(write(tmp_path, "date,close\n20260515,2\n", "brk.b.csv"))
    assert [row[:2] for row in read.rows] == [("BRK-B", "2026-05-15")]


def test_times_of_day_make_intraday_prices(tmp_path: Path) -> None:
    text = "symbol,timestamp,close\nIBM,2026-05-15 09:35:00,2\nIBM,2026-05-15T09:30:00-04:00,1\n"
    read = files.read(write(tmp_path, text))
    assert read.table is INTRADAY_PRICES
    assert [row[:3] for row in read.rows] == [
        ("IBM", "5min", "2026-05-15T13:35:00+00:00"),
        ("IBM", "5min", "2026-05-15T13:30:00+00:00"),
    ]


def test_midnight_is_how_some_tools_write_a_date(tmp_path: Path) -> None:
    read = files.read(write(tmp_path, "symbol,date,close\nIBM,2026-05-15 00:00:00,2\n"))
    assert read.table is DAILY_PRICES
    assert read.rows[0][1] == "2026-05-15"


BAD_ROWS = [
    ("IBM,2026-05-15,1,3,1,abc,10", "close: 'abc' is not a number"),
    ("IBM,2026-05-15,1,3,1,,10", "close is missing"),
    ("IBM,2026-05-15,1,3,1,-2,10", "close: -2 is below zero"),
    ("IBM,2026-05-15,1,1,3,2,10", "high 1 is below low 3"),
    ("IBM,15.05.2026,1,3,1,2,10", "'15.05.2026' is not a date"),
    ("IBM,2026-02-30,1,3,1,2,10", "is not a date"),
    ("IBM,2999-01-01,1,3,1,2,10", "in the future"),
    ("IBM,2026-05-15,1,3", "4 fields, and the header has 7"),
    ("I BM,2026-05-15,1,3,1,2,10", "not a ticker symbol"),
    ("IBM,2026-05-14,1,3,1,9,10", "same IBM bar as line 2"),
    ("IBM,2026-05-15,1,3,1,NaN,10", "close is missing"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_put_aside_with_its_line_and_the_good_ones_are_read(
    row: str, reason: str, tmp_path: Path
) -> None:
    good = "symbol,date,open,high,low,close,volume\nIBM,2026-05-14,1,3,1,2,10\n"
    path = write(tmp_path, f"{good}{row}\nIBM,2026-05-13,1,3,1,2,10\n")
    read = files.read(path)
    assert [each[1] for each in read.rows] == ["2026-05-14", "2026-05-13"]
    assert [(bad.line, bad.content) for bad in read.rejected] == [(3, row)]
    assert reason in str(read.rejected[0])
    assert str(path) + ":3: " in str(read.rejected[0])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"symbol,open\nIBM,1\n", "no column for time .* and close"),
        (b"symbol,date,close\nIBM\xe9,2026-05-15,1\n", "is not UTF-8"),
        ("symbol,date,close\n".encode("utf-16"), "iconv -f UTF-16"),
        (b'symbol,date,close\n"IBM,' + b"2026-05-15,1\n" * 20_000, ":[0-9]+: .* not be closed"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_an_error(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "prices.csv").write_bytes(content)
    with pytest.raises(LoadError, match=reason):
        files.read(tmp_path / "prices.csv")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="No such file"):
        files.read(tmp_path / "nowhere.csv")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("\n", "\r\n"), encoding="utf-8-sig")
    read = files.read(path)
    assert len(read.rows) == 2
    assert read.rejected == []


def test_the_good_rows_are_loaded_and_the_bad_ones_kept_with_the_reason(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    path = write(tmp_path, GOOD + "IBM,2026-05-13,x\0,3,1,2,10\n")
    loaded = load.run(connection, [path], run_id=7)
    assert isinstance(loaded.error(), PartlyDoneError)
    rows = connection.execute("SELECT close, source FROM raw.daily_prices ORDER BY session_date")
    assert rows.fetchall() == [(Decimal(2), "csv"), (Decimal("2.5"), "csv")]
    kept = connection.execute("SELECT run_id, file, line, reason FROM raw.rejected_rows").fetchall()
    assert kept == [(7, str(path), 4, r"open: 'x\x00' is not a number")]


def test_loading_the_same_file_again_writes_nothing(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    path = write(tmp_path, GOOD)
    assert load.run(connection, [path], run_id=1).versions == 2
    assert load.run(connection, [path], run_id=2).versions == 0
