import asyncio
import json
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from api_on_loopback import daily, refusal

from datapipe import extract
from datapipe.errors import PartlyDoneError, UsageError
from datapipe.extract import archive, export
from datapipe.extract.answers import prove
from datapipe.extract.endpoints import SAMPLE, Request, named
from datapipe.extract.recordings import Recordings
from datapipe.extract.sample import FIRST_SESSION, Sample
from datapipe.warehouse import sessions

NOW = datetime(2024, 4, 1, 20, 0, tzinfo=UTC)


def sample(connection: psycopg.Connection, now: datetime = NOW) -> Sample:
    return Sample(sessions.finished(connection, since=FIRST_SESSION, now=now), now)


def document(source: Sample, function: str, symbol: str = "IBM") -> dict[str, dict[str, str]]:
    answer = asyncio.run(source.fetch(Request(function, symbol)))
    loaded: dict[str, dict[str, str]] = json.loads(answer.body)
    return loaded


def test_sample_days_are_new_york_sessions(connection: psycopg.Connection) -> None:
    days = document(sample(connection), "TIME_SERIES_DAILY")["Time Series (Daily)"]
    assert max(days) == "2024-04-01"
    assert min(days) == "2024-01-02"
    assert "2024-01-15" not in days, "Martin Luther King Jr. Day"
    assert "2024-03-29" not in days, "Good Friday"
    assert len(days) == 62


def test_a_session_that_has_not_closed_is_not_there(connection: psycopg.Connection) -> None:
    before_the_close = NOW.replace(hour=19, minute=59)
    days = document(sample(connection, before_the_close), "TIME_SERIES_DAILY")
    assert max(days["Time Series (Daily)"]) == "2024-03-28"


def test_a_later_day_adds_rows_and_changes_none(connection: psycopg.Connection) -> None:
    earlier = document(sample(connection), "TIME_SERIES_DAILY")["Time Series (Daily)"]
    later = document(sample(connection, NOW.replace(month=6)), "TIME_SERIES_DAILY")
    assert earlier.items() < later["Time Series (Daily)"].items()


def test_intraday_bars_add_up_to_the_day(connection: psycopg.Connection) -> None:
    source = sample(connection)
    day = document(source, "TIME_SERIES_DAILY")["Time Series (Daily)"]["2024-04-01"]
    series = document(source, "TIME_SERIES_INTRADAY")["Time Series (5min)"]
    bars = [bar for at, bar in sorted(series.items()) if at.startswith("2024-04-01")]
    assert len(bars) == 78
    assert min(series) == "2024-03-28 09:30:00"
    assert bars[0]["1. open"] == day["1. open"]  # type: ignore[index]
    assert bars[-1]["4. close"] == day["4. close"]  # type: ignore[index]
    assert max(float(bar["2. high"]) for bar in bars) == float(day["2. high"])  # type: ignore[index]
    assert min(float(bar["3. low"]) for bar in bars) == float(day["3. low"])  # type: ignore[index]
    assert sum(int(bar["5. volume"]) for bar in bars) == int(day["5. volume"])  # type: ignore[index]


@pytest.mark.parametrize("endpoint", SAMPLE, ids=lambda endpoint: endpoint.name)
def test_every_sample_answer_says_that_it_is_synthetic(
    endpoint: object, connection: psycopg.Connection
) -> None:
    source = sample(connection)
    for request in source.requests(["IBM"], [endpoint]):  # type: ignore[list-item]
        assert "SYNTHETIC" in asyncio.run(source.fetch(request)).body


def test_what_the_sample_cannot_make_is_refused_with_what_it_can(
    connection: psycopg.Connection,
) -> None:
    with pytest.raises(UsageError, match="Ask it for: daily, intraday, overview"):
        document(sample(connection), "TIME_SERIES_WEEKLY")


def test_a_folder_is_read_by_its_files_names(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    (tmp_path / "TIME_SERIES_DAILY__brk.b__any-thing.json").write_text(daily())
    (tmp_path / "TIME_SERIES_DAILY__TSCO.LON.json").write_text(daily())
    (tmp_path / "GLOBAL_QUOTE__IBM__x__y.csv").write_text("symbol,price\nIBM,1\n")
    (tmp_path / "README.md").write_text("not one of them")
    (tmp_path / "manifest.csv").write_text("a,b\n")
    requests = Recordings(tmp_path).requests((), ())
    assert [(request.function, request.symbol) for request in requests] == [
        ("GLOBAL_QUOTE", "IBM"),
        ("TIME_SERIES_DAILY", "TSCO.LON"),
        ("TIME_SERIES_DAILY", "BRK-B"),
    ]
    extracted = extract.run(connection, Recordings(tmp_path), requests, run_id=1)
    assert extracted.stored == 3
    assert extracted.error() is None


def test_reading_a_folder_again_stores_nothing(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    for name, close in (("a", "1.0"), ("b", "2.0")):
        (tmp_path / f"TIME_SERIES_DAILY__IBM__{name}.json").write_text(daily(close=close))
    source = Recordings(tmp_path)
    first, second = (
        extract.run(connection, source, source.requests((), ()), run_id=1) for _ in range(2)
    )
    assert (first.stored, first.unchanged) == (2, 0)
    assert (second.stored, second.unchanged) == (0, 2)


def test_a_recorded_refusal_does_not_end_the_run(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    (tmp_path / "TIME_SERIES_DAILY__A.json").write_text(refusal("25 requests per day"))
    (tmp_path / "TIME_SERIES_DAILY__B.json").write_text(daily())
    source = Recordings(tmp_path)
    extracted = extract.run(connection, source, source.requests((), ()), run_id=1)
    assert (extracted.stored, len(extracted.failures)) == (1, 1)
    assert isinstance(extracted.error(), PartlyDoneError)


def test_a_folder_can_be_narrowed_by_symbols_and_endpoints(tmp_path: Path) -> None:
    for function in ("OVERVIEW", "TIME_SERIES_DAILY"):
        for symbol in ("A", "B"):
            (tmp_path / f"{function}__{symbol}.json").write_text("{}")
    requests = Recordings(tmp_path).requests(["A"], named(["overview"]))
    assert [str(request) for request in requests] == ["OVERVIEW__A.json"]


def test_a_folder_that_is_not_there_names_what_source_takes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="alpha_vantage, sample, or a folder"):
        Recordings(tmp_path / "nowhere")


def test_an_unknown_endpoint_is_answered_with_the_near_name() -> None:
    with pytest.raises(UsageError, match="Did you mean daily"):
        named(["dayly"])


def test_sessions_are_read_from_the_warehouse_once_they_are_there(
    connection: psycopg.Connection,
) -> None:
    first = sessions.finished(connection, since=date(2024, 1, 1), now=NOW)
    connection.execute("DELETE FROM meta.sessions WHERE session_date = '2024-02-01'")
    again = sessions.finished(connection, since=date(2024, 1, 1), now=NOW)
    assert {each.session_date for each in first} - {each.session_date for each in again} == {
        date(2024, 2, 1)
    }


def test_what_was_exported_reads_back_as_it_was(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    asked = [
        Request("TIME_SERIES_INTRADAY", "ACWV:BAT", {"interval": "60min"}),
        Request("TIME_SERIES_DAILY", "A&B=C^D", {"outputsize": "compact"}),
        Request("LISTING_STATUS", "-", {"state": "active"}),
        Request("OVERVIEW", "IBM"),
    ]
    bodies = ["timestamp,open\r\n2026-05-15 10:00:00,1\r\n"] * 2 + ["exchange,x\r\n1,2\r\n"]
    bodies += ['\ufeff{"Symbol": "IBM", "Name": "\u00e9"}']
    answers = [prove(each, body.encode(), NOW) for each, body in zip(asked, bodies, strict=True)]
    archive.store_all(connection, answers, source="alpha_vantage", run_id=1)
    assert export.run(connection, tmp_path / "out") == export.Exported(written=4, kept=0)
    assert export.run(connection, tmp_path / "out") == export.Exported(written=0, kept=4)

    source = Recordings(tmp_path / "out")
    read = [asyncio.run(source.fetch(request)) for request in source.requests((), ())]
    known = {
        (
            answer.request.function,
            answer.request.symbol,
            tuple(item for item in answer.request.params.items() if item[0] != "file"),
            answer.body,
            answer.format,
            answer.fetched_at,
        )
        for answer in read
    }
    assert known == {
        (
            answer.request.function,
            answer.request.symbol,
            tuple(answer.request.params.items()),
            answer.body,
            answer.format,
            NOW,
        )
        for answer in answers
    }


def test_export_may_be_of_some_symbols_only(tmp_path: Path, connection: psycopg.Connection) -> None:
    for symbol in ("A", "B"):
        answer = prove(Request("OVERVIEW", symbol), b'{"Symbol": "%s"}' % symbol.encode(), NOW)
        archive.store_all(connection, [answer], source="alpha_vantage", run_id=1)
    assert export.run(connection, tmp_path, symbols=["B"]).written == 1
    assert [path.name.split("__")[1] for path in tmp_path.iterdir()] == ["B"]


def test_what_was_exported_and_read_is_exported_under_the_same_name(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    answer = prove(Request("OVERVIEW", "IBM"), b'{"Symbol": "IBM"}', NOW)
    archive.store_all(connection, [answer], source="alpha_vantage", run_id=1)
    export.run(connection, tmp_path)
    connection.execute("DELETE FROM raw.responses")
    source = Recordings(tmp_path)
    extract.run(connection, source, source.requests((), ()), run_id=1)
    assert export.run(connection, tmp_path) == export.Exported(written=0, kept=1)
