"""What the documents promise is there."""

import re
from pathlib import Path

import pytest

from datapipe import cli, errors
from datapipe.settings import variables

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()


def commands() -> dict[str, str]:
    """Every command with its help."""
    from typer.main import get_command

    found: dict[str, str] = {}

    def walk(command: object, name: str) -> None:
        for each, sub in getattr(command, "commands", {}).items():
            found[f"{name} {each}"] = sub.help or ""
            walk(sub, f"{name} {each}")

    walk(get_command(cli.application(cli.COMMANDS)), "datapipe")
    return found


def test_every_command_is_in_the_readme_and_has_help() -> None:
    assert len(commands()) >= 13
    for command, text in commands().items():
        assert text, command
        *_, parent, name = command.split()
        assert command in README or (parent == "db" and f"`{name}`" in README), command


def test_the_readme_names_no_command_that_is_not_there() -> None:
    known = {"datapipe", *commands()}
    for named in re.findall(r"(?<![\w/-])datapipe ((?:db )?[a-z]+(?:-[a-z]+)?)", README):
        if f"datapipe {named.split()[0]}" in known:
            assert f"datapipe {named}" in known or named.startswith("db"), named


def test_the_options_that_the_readme_names_are_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command, option in re.findall(r"datapipe ([a-z-]+) [^`\n]*?(--[a-z-]+)", README):
        monkeypatch.setattr("sys.argv", ["datapipe", command, "--help"])
        with pytest.raises(SystemExit):
            cli.main()
        assert option in capsys.readouterr().out, (command, option)


def test_every_setting_in_the_readme_is_known() -> None:
    for name in set(re.findall(r"\b(?:DATAPIPE|ALPHA_VANTAGE)_[A-Z_]+", README)):
        assert name in variables()


def test_the_readme_has_two_commands_that_start_from_nothing() -> None:
    assert len(re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)) == 2


def test_every_exit_status_is_in_the_readme() -> None:
    statuses = {status for _, status in cli._STATUSES} | {0, 3, 130}
    assert {int(n) for n in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == statuses
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.DatapipeError):
            assert any(issubclass(value, kind) for kind, _ in cli._STATUSES), name


def test_the_changelog_is_of_this_version() -> None:
    from importlib.metadata import version

    assert f"## {version('datapipe-analytics')}" in (REPOSITORY / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_lists_each_command_as_it_describes_itself(name: str) -> None:
    assert commands()[f"datapipe {name}"].splitlines()[0] == cli.COMMANDS[name]
