"""Every recorded answer walks through extract and load, and comes out as its manifest says."""

import csv
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from datapipe.errors import Refusal
from datapipe.extract import Extracted
from datapipe.load import Loaded
from datapipe.load.parse import FUNCTIONS
from datapipe.pipeline import Pipeline
from datapipe.settings import Settings

Manifest = dict[str, dict[str, str]]


@pytest.fixture
def manifest(samples: Path) -> Manifest:
    with (samples / "manifest.tsv").open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["file"]: row for row in rows}


@pytest.fixture
def walked(samples: Path, settings: Settings) -> tuple[Extracted, Loaded]:
    pipeline = Pipeline(settings)
    return pipeline.extract(source=str(samples)), pipeline.load()


def test_every_answer_is_of_the_class_that_the_manifest_says(
    manifest: Manifest, walked: tuple[Extracted, Loaded], connection: psycopg.Connection
) -> None:
    extracted, _ = walked
    classes = {str(request): "empty" for request in extracted.empty}
    for failure in extracted.failures:
        assert isinstance(failure.error, Refusal)
        classes[str(failure.request)] = failure.error.kind
    for (file,) in connection.execute("SELECT params->>'file' FROM raw.responses"):
        classes[file] = "ok"
    assert classes == {file: row["expected"] for file, row in manifest.items()}


def test_good_answers_are_kept_word_for_word(
    samples: Path, walked: tuple[Extracted, Loaded], connection: psycopg.Connection
) -> None:
    kept = connection.execute("SELECT params->>'file', body FROM raw.responses").fetchall()
    assert kept
    for file, body in kept:
        assert body.encode() == (samples / file).read_bytes(), file


def test_the_rows_are_those_that_the_manifest_counts(
    manifest: Manifest, walked: tuple[Extracted, Loaded], connection: psycopg.Connection
) -> None:
    _, loaded = walked
    assert loaded.error() is None
    counted = connection.execute(
        """
        SELECT r.params->>'file', count(*), min(at), max(at),
               (array_agg(close ORDER BY at DESC))[1]
        FROM raw.responses r JOIN (
            SELECT response_id, session_date::text AS at, close FROM raw.daily_prices
            UNION ALL
            SELECT response_id, to_char(bar_at AT TIME ZONE 'America/New_York',
                                        'YYYY-MM-DD HH24:MI:SS'), close
            FROM raw.intraday_prices
        ) p USING (response_id) GROUP BY 1
        """
    ).fetchall()
    series = {
        file: row
        for file, row in manifest.items()
        if row["expected"] == "ok"
        and row["function"] in FUNCTIONS
        and row["function"].startswith("TIME_SERIES")
    }
    assert len(series) == 11
    assert {file: tuple(rest) for file, *rest in counted} == {
        file: (int(row["rows"]), row["first"], row["last"], Decimal(row["last_close"]))
        for file, row in series.items()
    }


def test_every_company_is_there_once(
    manifest: Manifest, walked: tuple[Extracted, Loaded], connection: psycopg.Connection
) -> None:
    companies = connection.execute("SELECT symbol, latest_quarter::text FROM raw.company_overview")
    assert dict(companies.fetchall()) == {
        row["symbol"]: row["last"]
        for row in manifest.values()
        if row["function"] == "OVERVIEW" and row["expected"] == "ok"
    }


def test_the_walk_a_second_time_changes_nothing(
    walked: tuple[Extracted, Loaded], samples: Path, settings: Settings
) -> None:
    pipeline = Pipeline(settings)
    again = pipeline.extract(source=str(samples))
    assert (again.stored, again.unchanged) == (0, walked[0].stored)
    assert pipeline.load().versions == 0
