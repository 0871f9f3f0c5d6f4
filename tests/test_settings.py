from pathlib import Path

import pytest

from datapipe.errors import SettingsError
from datapipe.paths import shipped
from datapipe.settings import Settings, variables


def test_the_environment_outranks_dotenv_and_the_command_line_outranks_both(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "DATAPIPE_SYMBOLS=a\nDATAPIPE_REQUESTS_PER_DAY=1\nDATAPIPE_REQUESTS_PER_MINUTE=5\n"
    )
    environ = {"DATAPIPE_SYMBOLS": "b", "DATAPIPE_REQUESTS_PER_DAY": "2"}
    settings = Settings.load({"DATAPIPE_SYMBOLS": "c"}, environ=environ, dotenv=dotenv)
    assert settings.symbols == ("C",)
    assert settings.requests_per_day == 2
    assert settings.requests_per_minute == 5


def test_an_option_that_was_not_given_changes_nothing() -> None:
    environ = {"DATAPIPE_SYMBOLS": "b"}
    assert Settings.load({"DATAPIPE_SYMBOLS": None}, environ=environ).symbols == ("B",)


def test_a_blank_value_counts_as_not_set() -> None:
    environ = {"ALPHA_VANTAGE_API_KEY": "", "DATAPIPE_DATABASE_URL": " "}
    settings = Settings.load(environ=environ)
    assert settings.api_key is None
    assert settings.database_url is None


def test_an_unknown_name_is_an_error_that_suggests_the_near_one() -> None:
    with pytest.raises(SettingsError, match="Did you mean DATAPIPE_DATABASE_URL") as caught:
        Settings.load(environ={"DATAPIPE_DATABSE_URL": "x"})
    assert caught.value.variable == "DATAPIPE_DATABSE_URL"


def test_an_unknown_name_in_dotenv_is_an_error_too(tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_text("DATAPIPE_SYMBOL=AAPL\n")
    with pytest.raises(SettingsError, match="Did you mean DATAPIPE_SYMBOLS"):
        Settings.load(environ={})


def test_other_programs_variables_are_left_alone() -> None:
    Settings.load(environ={"DATA_PIPE": "1", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("DATAPIPE_API_URL", "ftp://example.com", "http"),
        ("DATAPIPE_REQUESTS_PER_DAY", "many", "whole number"),
        ("DATAPIPE_REQUESTS_PER_SECOND", "-1", "whole number"),
        ("DATAPIPE_SYMBOLS", "AAPL,no such", "not a ticker symbol"),
        ("DATAPIPE_DATABASE_URL", "mysql://host/x", "postgresql://"),
        ("DATAPIPE_DATABASE_URL", "postgresql://u:p/w@host/x", "Percent-encode"),
    ],
)
def test_a_malformed_value_names_its_variable(variable: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        Settings.load(environ={variable: value})
    assert variable in str(caught.value)


def test_a_malformed_secret_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ={"DATAPIPE_DATABASE_URL": "host=h password=hunter2"})
    assert "hunter2" not in str(caught.value)


def test_no_secret_is_in_the_repr() -> None:
    settings = Settings(api_key="K3Y", database_url="postgresql://u:hunter2@h/d")
    assert "K3Y" not in repr(settings)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://127.0.0.1:8000/"])
def test_an_api_url_without_a_path_gets_the_apis_own(url: str) -> None:
    settings = Settings.load(environ={"DATAPIPE_API_URL": url})
    assert settings.api_url == "http://127.0.0.1:8000/query"


def test_a_limit_of_none_lifts_it() -> None:
    environ = {"DATAPIPE_REQUESTS_PER_DAY": "unlimited", "DATAPIPE_REQUESTS_PER_SECOND": "0"}
    settings = Settings.load(environ=environ)
    assert settings.requests_per_day is None
    assert settings.requests_per_second is None


def test_the_example_names_every_setting_and_its_default_works(tmp_path: Path) -> None:
    example = shipped(".env.example").read_text()
    for variable in variables():
        assert f"{variable}=" in example, variable
    uncommented = tmp_path / "uncommented.env"
    uncommented.write_text(
        "\n".join(line.removeprefix("# ") for line in example.splitlines() if "=" in line)
    )
    assert Settings.load(environ={}, dotenv=uncommented)
    assert Settings.load(environ={}, dotenv=shipped(".env.example")) == Settings.load(environ={})
