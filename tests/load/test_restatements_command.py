import csv
import io
import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from datapipe.cli.restatements import restatements
from datapipe.errors import UsageError
from datapipe.load.copy_text import Incoming
from datapipe.load.merge import merge
from datapipe.load.tables import DAILY_PRICES

MONDAY = datetime(2026, 5, 18, 22, 0, tzinfo=UTC)


@pytest.fixture
def restated(
    connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days, close in enumerate(("2", "2.5000")):
        row = ("NA", "2026-05-15", "1", "3", "1", close, None)
        known_from = MONDAY + timedelta(days=days)
        with connection.transaction():
            merge(connection, DAILY_PRICES, [Incoming([row], known_from, "test")])
    monkeypatch.setenv("DATAPIPE_DATABASE_URL", database_url)


def said(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(restatements)
    result = CliRunner().invoke(app, ["--source", "alpha_vantage", *arguments])
    if result.exception:
        raise result.exception
    assert result.stderr == ""
    return result.stdout


def test_a_table_names_what_was_and_what_is(restated: None) -> None:
    header, row = said().splitlines()
    assert header.split() == [
        "table", "symbol", "date", "part", "column", "old", "value", "new", "value", "since",
    ]  # fmt: skip
    assert row.split() == [
        "daily_prices", "NA", "2026-05-15", "close", "2", "2.5000", "2026-05-19T22:00:00+00:00",
    ]  # fmt: skip


def test_csv_and_json_say_the_same(restated: None) -> None:
    (from_csv,) = csv.DictReader(io.StringIO(said("--format", "csv")))
    (from_json,) = json.loads(said("--format", "json"))
    assert from_csv == from_json


def test_nothing_restated_is_an_empty_list(restated: None) -> None:
    assert json.loads(said("--format", "json", "--symbols", "IBM")) == []
    assert len(said("--since", "2026-06-01").splitlines()) == 1


def test_a_day_that_is_none_is_told(restated: None) -> None:
    with pytest.raises(UsageError, match="'yesterday' is not a date"):
        said("--since", "yesterday")
