"""Every recorded answer walks through extract and load, and comes out as its manifest says."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from datapipe.asking import Ask
from datapipe.errors import Refusal
from datapipe.load.parse import FUNCTIONS
from datapipe.load.tables import TABLES
from datapipe.pipeline import Pipeline
from datapipe.settings import Settings

Manifest = dict[str, dict[str, str]]


@pytest.fixture
def manifest(samples: Path) -> Manifest:
    with (samples / "manifest.tsv").open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["file"]: row for row in rows}


def test_the_walk_ends_as_the_manifest_says_and_a_second_one_changes_nothing(
    manifest: Manifest, samples: Path, settings: Settings, connection: psycopg.Connection
) -> None:
    pipeline = Pipeline(settings)
    extracted = pipeline.extract(Ask(source=str(samples)))
    pipeline.load()

    classes = {str(request): "empty" for request in extracted.empty}
    for failure in extracted.failures:
        assert isinstance(failure.error, Refusal)
        classes[str(failure.request)] = failure.error.kind
    kept = connection.execute("SELECT params->>'file', body FROM raw.responses").fetchall()
    for file, body in kept:
        assert body.encode() == (samples / file).read_bytes(), "kept word for word"
        classes[file] = "ok"
    assert classes == {file: row["expected"] for file, row in manifest.items()}

    companies = connection.execute("SELECT symbol, latest_quarter::text FROM raw.company_overview")
    assert dict(companies.fetchall()) == {
        row["symbol"]: row["last"]
        for row in manifest.values()
        if row["function"] == "OVERVIEW" and row["expected"] == "ok"
    }

    again = pipeline.extract(Ask(source=str(samples)))
    assert (again.stored, again.unchanged) == (0, extracted.stored)
    assert pipeline.load().versions == 0


# Counted by what a row is dated by, and by what else tells rows of one answer apart.
_DATED_BY = {
    "company_overview": "latest_quarter",
    "dividends": "ex_dividend_date",
    "earnings": "fiscal_date_ending",
    "earnings_calendar": "report_date",
    "income_statements": "fiscal_date_ending",
    "balance_sheets": "fiscal_date_ending",
    "cash_flows": "fiscal_date_ending",
    "shares_outstanding": "quarter_end_date",
    "splits": "effective_date",
}


@pytest.fixture
def counted(
    samples: Path, settings: Settings, connection: psycopg.Connection
) -> dict[str, list[dict[str, Any]]]:
    """For each file, what lies of it in each table: how much, from when to when, the last close.

    Each answer is given a symbol of its own, since the same rows are in several.
    """
    pipeline = Pipeline(settings)
    pipeline.extract(Ask(source=str(samples)))
    connection.execute("UPDATE raw.responses SET symbol = params->>'file'")
    loaded = pipeline.load()
    assert loaded.error() is None
    found: dict[str, list[dict[str, Any]]] = {}
    for table in TABLES:
        at = _DATED_BY.get(table.name, table.date_column) or "NULL::date"
        if at == "bar_at":
            at = "to_char(bar_at AT TIME ZONE 'America/New_York', 'YYYY-MM-DD HH24:MI:SS')"
        if at == "refreshed_at":
            at = "to_char(refreshed_at, 'YYYY-MM-DD HH24:MI:SS')"
        if at == "updated_at":
            at = (
                "to_char(updated_at AT TIME ZONE 'US/Eastern', "
                "'YYYY-MM-DD HH24:MI:SS \"US/Eastern\"')"
            )
        last = next(
            (name for name in ("close", "exchange_rate", "price") if name in table.values),
            "NULL::numeric",
        )
        part = next((name for name in ("period", "ranking") if name in table.key), "''")
        rows = connection.execute(
            f"SELECT r.params->>'file', {part}, count(*), min({at}::text), "
            f"max({at}::text), (array_agg({last} ORDER BY {at} DESC))[1] "
            f"FROM raw.{table.name} JOIN raw.responses r USING (response_id) "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        )
        for file, part, count, first, newest, close in rows:
            found.setdefault(file, []).append(
                {
                    "table": table.name,
                    "part": part,
                    "rows": count,
                    "first": first,
                    "last": newest,
                    "close": close,
                }
            )
    return found


def test_the_rows_are_those_that_the_manifest_counts(
    manifest: Manifest, counted: dict[str, list[dict[str, Any]]]
) -> None:
    expected = {
        file: row
        for file, row in manifest.items()
        if row["expected"] == "ok" and row["function"] in FUNCTIONS
    }
    assert len(expected) == 51
    assert counted.keys() == expected.keys()
    for file, row in expected.items():
        parts = counted[file]
        if row["function"] == "TOP_GAINERS_LOSERS":
            assert "+".join(str(part["rows"]) for part in parts) == row["rows"], file
        elif "a+" in row["rows"]:
            by_part = {part["part"]: part["rows"] for part in parts}
            annual = by_part["annual"] + by_part.get("part_year", 0)
            assert f"{annual}a+{by_part['quarterly']}q" == row["rows"], file
        elif "holdings" in row["rows"]:
            by_table = {part["table"]: part["rows"] for part in parts}
            said = f"{by_table['etf_holdings']} holdings + {by_table['etf_sectors']} sectors"
            assert said == row["rows"], file
        else:
            assert {part["rows"] for part in parts} == {int(row["rows"])}, file
        if row["first"]:
            first = [part["first"] for part in parts if part["part"] != "quarterly"]
            assert min(first) == row["first"], file
        if row["last"]:
            assert max(part["last"] for part in parts) == row["last"], file
        if row["last_close"]:
            closes = {part["close"] for part in parts if part["close"] is not None}
            assert closes == {Decimal(row["last_close"])}, file
