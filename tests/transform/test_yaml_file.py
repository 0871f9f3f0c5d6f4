"""YAML files are parsed once, and read as if they were parsed every time."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from datapipe.errors import ProjectError
from datapipe.transform.project import yaml_file, yaml_parser
from datapipe.transform.project.blocks import Block, Items

TEXT = """
version: 2
models:
  - name: prices
    description: |
      Closing prices.
    meta: {since: 2026-05-15, ratio: 1.5, off: null, odd: .nan}
    columns: &columns
      - name: symbol
  - name: copies
    columns: *columns
    name: again
"""


def shape(value: object) -> object:
    """``value`` with the lines of all that is in it."""
    if isinstance(value, Block):
        inside = [(repr(key), shape(each)) for key, each in value.items()]
        return (value.line, value.lines, getattr(value, "repeated", None), inside)
    if isinstance(value, Items):
        return (value.line, value.lines, [shape(each) for each in value])
    return repr(value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "schema.yml"
    path.write_text(TEXT)
    return path


def test_what_was_parsed_once_is_read_the_next_time(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = yaml_file.read(path)
    assert parsed["models"][0]["meta"]["since"] == date(2026, 5, 15)
    assert shape(yaml_file.read(path, tmp_path)) == shape(parsed)
    monkeypatch.setattr(yaml_parser, "parse", None)
    again = yaml_file.read(path, tmp_path)
    assert shape(again) == shape(parsed)
    assert again["models"][1]["columns"] is again["models"][0]["columns"]


def test_a_file_that_changed_is_parsed_anew(path: Path, tmp_path: Path) -> None:
    yaml_file.read(path, tmp_path)
    path.write_text("models: []")
    assert yaml_file.read(path, tmp_path) == {"models": []}
    path.write_text("models: [")
    with pytest.raises(ProjectError, match="is not valid YAML"):
        yaml_file.read(path, tmp_path)
    (kept,) = (tmp_path / "yaml").iterdir()
    assert kept.is_file()


@pytest.mark.parametrize("left", [0, 20, 40, -1])
def test_what_was_kept_and_is_damaged_is_parsed_anew(path: Path, tmp_path: Path, left: int) -> None:
    parsed = yaml_file.read(path, tmp_path)
    (kept,) = (tmp_path / "yaml").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:left])
    assert shape(yaml_file.read(path, tmp_path)) == shape(parsed)
    assert kept.read_bytes() == whole


def test_a_folder_that_cannot_be_written_to_does_no_harm(path: Path, tmp_path: Path) -> None:
    (tmp_path / "yaml").write_text("not a folder")
    assert shape(yaml_file.read(path, tmp_path)) == shape(yaml_file.read(path))


def test_the_parser_is_not_even_imported_when_all_was_parsed(path: Path, tmp_path: Path) -> None:
    yaml_file.read(path, tmp_path)
    read = (
        "import sys; from pathlib import Path; import datapipe.transform.session\n"
        "from datapipe.transform.project import yaml_file\n"
        f"yaml_file.read(Path({str(path)!r}), Path({str(tmp_path)!r}))\n"
        "print('yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
