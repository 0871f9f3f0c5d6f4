"""Exit statuses and what is said on which channel, through main() itself."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from api_on_loopback import KEY, Api, daily, refusal

from datapipe import cli, errors
from datapipe.pipeline import Pipeline
from datapipe.warehouse import migrate

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def datapipe(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """Runs the command on this test's database; its status, stdout and stderr."""
    monkeypatch.setenv("DATAPIPE_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["datapipe", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, said.out, said.err

    return run


def test_the_sample_walks_the_whole_way_and_a_second_time_finds_nothing_new(datapipe: Cli) -> None:
    status, out, err = datapipe("run-all", "--source", "sample")
    assert status == 0, err
    assert "Synthetic" in out
    assert "Extract: 24 answers stored" in err
    assert "Load: 24 documents read" in err
    assert "Transform: 7 models published" in err
    status, out, err = datapipe("run-all", "--source", "sample")
    assert status == 0, err
    assert "24 unchanged" in err
    assert "nothing new" in err
    status, out, err = datapipe("report")
    assert status == 0, err
    assert "SYNTHETIC" in out
    assert "AAPL" in out


def test_the_steps_find_the_sample_without_being_told(datapipe: Cli) -> None:
    assert datapipe("extract", "--source", "sample", "--symbols", "ko")[0] == 0
    assert "raw.daily_prices" in datapipe("load")[2]
    assert "7 models published" in datapipe("transform")[2]
    assert "KO" in datapipe("report", "--format", "csv")[1]


def test_a_project_of_its_own_is_not_published_beside_the_sample(
    datapipe: Cli, tmp_path: Path, database_url: str
) -> None:
    tmp_path.joinpath("dbt_project.yml").write_text("name: shop\n")
    tmp_path.joinpath("models").mkdir()
    tmp_path.joinpath("models/own.sql").write_text("select 1 as id")
    assert datapipe("extract", "--source", "sample", "--symbols", "ko")[0] == 0
    assert datapipe("transform", "--project-dir", str(tmp_path))[0] == 0
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT id FROM public.own").fetchall() == [(1,)]
    # The shipped project and its reports still find the sample.
    assert "raw.daily_prices" in datapipe("load")[2]
    assert datapipe("transform", "--quiet")[0] == 0
    assert "KO" in datapipe("report", "--format", "csv")[1]


def test_a_quiet_sample_says_nothing_and_never_lies_beside_real_prices(
    datapipe: Cli, tmp_path: Path
) -> None:
    tmp_path.joinpath("IBM.csv").write_text("date,close\n2026-05-15,1\n")
    assert datapipe("run-all", "--source", "sample", "--quiet") == (0, "", "")
    assert datapipe("load", "IBM.csv")[0] == 0
    assert datapipe("transform")[0] == 0
    status, out, err = datapipe("report", "--format", "csv")
    assert status == 0, err
    assert "IBM" in out
    assert "AAPL" not in out
    assert "sample" not in out


def test_without_a_key_the_default_source_names_both_cures(datapipe: Cli) -> None:
    status, out, err = datapipe("run-all", "--symbols", "AAPL")
    assert (status, out) == (2, "")
    assert "https://www.alphavantage.co/support/#api-key" in err
    assert "--source sample" in err


@pytest.fixture
def with_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("ALPHA_VANTAGE_API_KEY", KEY)
    monkeypatch.setenv("DATAPIPE_API_URL", api.url)
    monkeypatch.setenv("DATAPIPE_REQUESTS_PER_SECOND", "unlimited")
    return api


def test_one_bad_symbol_is_partly_done(datapipe: Cli, with_key: Api) -> None:
    bad = refusal("Invalid API call. Please retry", "Error Message")
    with_key.answer = lambda query: (200, bad if query["symbol"] == "NOSUCH" else daily())
    status, out, err = datapipe("extract", "--symbols", "AAPL,NOSUCH", "--endpoints", "daily")
    assert (status, out) == (4, "")
    assert "TIME_SERIES_DAILY NOSUCH: Alpha Vantage refused (invalid_request)" in err
    assert "1 of 2 requests" in err


def test_a_symbol_that_does_not_exist_has_failed(datapipe: Cli, with_key: Api) -> None:
    with_key.answer = lambda query: (200, refusal("Invalid API call", "Error Message"))
    assert datapipe("extract", "--symbols", "NOSUCH", "--endpoints", "daily")[0] == 1


def test_a_spent_day_is_partly_done(datapipe: Cli, with_key: Api) -> None:
    with_key.answer = lambda query: (200, refusal("25 requests per day"))
    status, _, err = datapipe("extract", "--symbols", "AAPL,MSFT", "--endpoints", "daily")
    assert status == 4
    assert "requests are used up" in err or "requests per day" in err


def test_a_wrong_key_is_a_wrong_setting(datapipe: Cli, with_key: Api) -> None:
    with_key.answer = lambda query: (200, refusal("the parameter apikey is invalid or missing"))
    status, _, err = datapipe("extract", "--symbols", "AAPL")
    assert status == 2
    assert "ALPHA_VANTAGE_API_KEY" in err


def test_the_symbols_of_the_warehouse_are_asked_again(datapipe: Cli, with_key: Api) -> None:
    datapipe("extract", "--symbols", "brk.b", "--endpoints", "daily")
    assert datapipe("extract", "--endpoints", "daily")[0] == 0
    assert [query["symbol"] for query in with_key.requests] == ["BRK-B", "BRK-B"]


@pytest.mark.parametrize("command", ["extract", "run-all"])
def test_no_symbols_at_all_is_wrong_usage(command: str, datapipe: Cli, with_key: Api) -> None:
    status, _, err = datapipe(command)
    assert status == 2
    assert "DATAPIPE_SYMBOLS" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["extract", "--nosuch"], "nosuch"),
        (["nosuch"], "nosuch"),
        (["extract", "--symbols", "no such"], "not a ticker symbol"),
        (["extract", "--endpoints", "dayly", "--source", "sample"], "Did you mean daily"),
        (["run-all", "--source", "nowhere"], "There is no folder nowhere"),
        (["transform", "--vars", "[1]"], "mapping"),
        (["extract", "--plan", "--source", "sample"], "no other source"),
        (["report", "--format", "xml"], "xml"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], says: str, datapipe: Cli) -> None:
    status, out, err = datapipe(*arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_a_misspelt_setting_is_status_2(datapipe: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPIPE_SYMBOL", "AAPL")
    status, _, err = datapipe("extract")
    assert status == 2
    assert "DATAPIPE_SYMBOLS" in err


def test_a_server_that_is_away_is_status_1(datapipe: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPIPE_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:9/x")
    status, out, err = datapipe("load")
    assert (status, out) == (1, "")
    assert "127.0.0.1:9" in err
    assert "hunter2" not in err
    assert "Traceback" not in err


def test_a_project_that_is_not_there_is_status_1(datapipe: Cli, tmp_path: Path) -> None:
    status, _, err = datapipe("transform", "--project-dir", str(tmp_path))
    assert status == 1
    assert "datapipe init" in err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.WarehouseError("x"), 1),
        (errors.SettingsError("x", variable="X"), 2),
        (ZeroDivisionError(), 3),
        (errors.PartlyDoneError("x"), 4),
        (errors.TestsFailedError("x", failed=["t"]), 5),
        (errors.LockedError("x"), 6),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_kind_of_end_has_its_status(
    error: BaseException, status: int, datapipe: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Pipeline, *args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(Pipeline, "load", fail)
    ended, out, err = datapipe("load")
    assert (ended, out) == (status, "")
    assert ("Traceback" in err) == (status == 3)


def test_a_second_run_waits_for_the_lock_and_then_gives_up(
    datapipe: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datapipe.warehouse import Warehouse, ledger

    monkeypatch.setenv("DATAPIPE_LOCK_WAIT_SECONDS", "0")
    with (
        Warehouse(database_url).connect(autocommit=True) as connection,
        ledger.locked(connection, "load", 0),
    ):
        status, _, err = datapipe("load")
    assert status == 6
    assert "Another load is running" in err


def test_init_writes_a_project_that_transform_uses(datapipe: Cli, tmp_path: Path) -> None:
    status, out, _ = datapipe("init", "shop")
    assert status == 0
    assert (tmp_path / "shop" / "sql_models" / "dbt_project.yml").is_file()
    assert (tmp_path / "shop" / ".env").stat().st_mode & 0o777 == 0o600
    os.chdir("shop")
    Path("sql_models/marts/my_model.sql").write_text("select 1 as one")
    assert "8 models published" in datapipe("transform")[2]


def test_init_overwrites_nothing(datapipe: Cli, tmp_path: Path) -> None:
    datapipe("init")
    Path(".env").write_text("DATAPIPE_SYMBOLS=KO\n")
    status, out, err = datapipe("init")
    assert status == 0
    assert "Wrote 0 files" in out
    assert ".env was there" in err
    assert Path(".env").read_text() == "DATAPIPE_SYMBOLS=KO\n"


def test_the_revision_is_told_before_and_after_the_upgrade(
    datapipe: Cli, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    assert migrate.head() in datapipe("db", "current")[1]
    assert "none" in datapipe("db", "current", "--source", "sample")[1]
    assert "nothing to do" in datapipe("db", "upgrade")[1]
    assert "went from nothing" in datapipe("db", "upgrade", "--source", "sample")[1]
    assert datapipe("db", "url")[1].strip() == database_url


@pytest.mark.parametrize("command", ["start", "stop"])
def test_a_server_of_the_users_own_is_not_started_or_stopped(command: str, datapipe: Cli) -> None:
    status, _, err = datapipe("db", command)
    assert status == 2
    assert "DATAPIPE_DATABASE_URL" in err


def test_output_that_finds_no_room_ends_in_a_sentence_and_not_as_a_bug() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "datapipe", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("datapipe: there is no room for what is written")
