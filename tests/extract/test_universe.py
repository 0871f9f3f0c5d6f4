"""Which symbols are meant."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from datapipe.errors import UsageError
from datapipe.extract import endpoints
from datapipe.extract.universe import read, resolve


def answer(connection: psycopg.Connection, symbol: str, function: str) -> None:
    connection.execute(
        "INSERT INTO raw.responses (symbol, function, params, fetched_at, seen_at, format, body, "
        "sha256, source, run_id) VALUES (%s, %s, '{}', now(), now(), 'json', '{}', '', 'test', 1)",
        [symbol, function],
    )


@pytest.fixture
def listed(connection: psycopg.Connection) -> psycopg.Connection:
    """A warehouse with a listing of a few companies; BBBY has delisted."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO raw.listings (symbol, ipo_date, status, name, delisting_date, "
            "known_from, source) VALUES (%s, '2000-01-01', %s, %s, %s, now(), 'test')",
            [
                ("AAPL", "Active", "Apple Inc", None),
                ("MSFT", "Active", "Microsoft Corporation", None),
                ("NA", "Active", "Nano Labs Ltd", None),
                ("BRK-B", "Active", "Berkshire Hathaway Inc", None),
                ("BBBY", "Delisted", "Bed Bath & Beyond Inc", "2023-05-03"),
            ],
        )
    return connection


def test_names_come_before_the_setting_and_the_setting_before_the_warehouse(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    answer(connection, "KO", "TIME_SERIES_DAILY")
    file = tmp_path / "mine.txt"
    file.write_text("IBM\n")
    asked = resolve(connection, named=["brk.b"], file=file, configured=["MSFT"])
    assert asked.symbols == ("BRK-B", "IBM")
    assert resolve(connection, file=file, configured=["MSFT"]).symbols == ("IBM",)
    assert resolve(connection, configured=["MSFT", "msft"]).symbols == ("MSFT",)
    assert resolve(connection).symbols == ("KO",)


def test_the_warehouse_knows_what_has_prices_or_answers(connection: psycopg.Connection) -> None:
    for symbol, function in [
        ("IBM", "OVERVIEW"),
        ("IBM", "TIME_SERIES_DAILY"),
        ("TRUE", "TIME_SERIES_WEEKLY"),
        ("-", "LISTING_STATUS"),
        ("tesco", "SYMBOL_SEARCH"),
        ("EUR-USD", "FX_DAILY"),
    ]:
        answer(connection, symbol, function)
    connection.execute(
        "INSERT INTO raw.daily_prices (symbol, session_date, close, known_from, source) "
        "VALUES ('NAN', '2026-05-15', 1, now(), 'csv'), ('NAN', '2026-05-14', 1, now(), 'csv')"
    )
    assert resolve(connection).symbols == ("IBM", "NAN", "TRUE")
    assert resolve(connection, endpoints=endpoints.named(["fx-daily"])).symbols == ("EUR-USD",)


def test_without_any_symbol_the_cure_is_named(connection: psycopg.Connection) -> None:
    with pytest.raises(UsageError, match="--symbols AAPL,MSFT or --symbols-file FILE"):
        resolve(connection)
    market = endpoints.named(["listing-status"])
    assert resolve(connection, endpoints=market).symbols == ()


def test_a_file_takes_lines_commas_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "symbols.txt"
    file.write_text("\ufeff# mine\r\nNA, nan\r\n\r\nTRUE INF # odd ones\r\nE,na\n", "utf-8")
    assert read(file) == ("NA", "NAN", "TRUE", "INF", "E")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"IBM\nA*B\n", r"symbols.txt:2: 'A\*B' is not a ticker symbol"),
        (b"# nothing\n", "names no symbols"),
        (b"\xff\xfe", "is not UTF-8"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "symbols.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read(file)


def test_a_typo_is_answered_with_near_matches(listed: psycopg.Connection) -> None:
    found = resolve(listed, named=["APPL", "MSFT", "NA", "BRK.B", "APPLE", "XQZJW", "BBBY"])
    assert found.symbols[0] == "APPL", "what seems odd is not refused"
    assert found.warnings == (
        "APPL is not in the stored listing. Did you mean AAPL?",
        "APPLE is not in the stored listing. Did you mean AAPL?",
        "XQZJW is not in the stored listing.",
        "BBBY was delisted on 2023-05-03.",
    )


def test_what_the_listing_cannot_know_is_not_doubted(listed: psycopg.Connection) -> None:
    answer(listed, "ODDLY", "TIME_SERIES_DAILY")
    assert resolve(listed, named=["TSCO.LON", "EUR-USD", "ODDLY"]).warnings == ()


def test_without_a_listing_nothing_is_doubted(connection: psycopg.Connection) -> None:
    assert resolve(connection, named=["APPL"]).warnings == ()
