"""Every command runs with a marked key, against an API that repeats it wherever it can."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import typer
from api_on_loopback import Api, daily, refusal

from datapipe import cli
from datapipe.settings import Settings
from datapipe.warehouse import Warehouse

KEY = "CANARY+KEY/0123"
SPELLINGS = (KEY, "CANARY%2BKEY%2F0123", "ANARY+KEY/", "ANARY%2BKEY")

BODIES = {
    "GOOD": daily().replace("Daily Prices", f"Daily Prices for {KEY}"),
    "DAY": refusal(f"We have detected your API key as {KEY}: it is a premium endpoint"),
    "LOWER": refusal(f"Of {KEY.lower()} and CANARY%2bKEY%2f0123 nobody knows", "Note"),
    "PAGE": f"<html><title>Not for {KEY}</title></html>",
    "WORDS": f"{'w' * 50} {KEY} is in the middle of what the message shows",
    "CUT": f'{{"Meta Data": {{"1. Information": "{KEY}',
    "COLUMN": f"{KEY},b\r\n1,2\r\n",
    "NAME": f'{{"{KEY}": 1}}',
}
# A command without a line of its own here runs without arguments.
ARGUMENTS = {
    ("extract",): ["--symbols", ",".join([*BODIES, "NOSUCH"])],
    ("run-all",): ["--symbols", "GOOD"],
    ("init",): ["made"],
    ("export-responses",): ["exported"],
    ("db", "psql"): ["-c", "TABLE meta.requests"],
}
FIRST, RUNS_ON, LAST = ("extract",), ("mock-api",), ("db", "stop")

# All commands in one process, as if each had its own: to start Python takes most of the time. What
# they log is said as well, and nothing is waited for between attempts. psql takes the place of the
# process, and so comes last.
DRIVER = """
import json, logging, sys
from datapipe.cli import main
from datapipe.extract import alpha_vantage
logging.basicConfig(level=logging.DEBUG)
alpha_vantage._wait_seconds = lambda state: 0
for path, arguments in json.loads(sys.argv[1]):
    sys.argv = ["datapipe", *path, *arguments]
    print(sys.argv, flush=True)
    try:
        main()
    except SystemExit:
        pass
"""


def commands() -> list[tuple[tuple[str, ...], list[str]]]:
    """Every command that is registered and comes to an end, with its arguments."""
    click = typer.main.get_command(cli.application(cli.COMMANDS))
    found: list[tuple[str, ...]] = []
    for name, command in click.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [(name, each) for each in inner] if inner else [(name,)]
    assert {*ARGUMENTS, RUNS_ON, LAST} <= set(found)
    order = sorted(
        set(found) - {RUNS_ON, LAST}, key=lambda path: (path != FIRST, path == ("db", "psql"), path)
    )
    return [(path, ARGUMENTS.get(path, [])) for path in order]


def watched(process: subprocess.Popen[bytes]) -> set[bytes]:
    """The command lines of all processes until this one ends."""
    lines = set()
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)  # so that the command gets the machine as well
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.add(path.read_bytes())
            except OSError:
                continue
    return lines


def clean(said: bytes) -> bool:
    lowered = said.lower()
    return not any(spelling.lower().encode() in lowered for spelling in SPELLINGS)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
def test_the_key_leaves_no_trace(api: Api, tmp_path: Path) -> None:
    api.answer = lambda query: (500 if query["symbol"] == "NOSUCH" else 200, _body(query))
    environ = {
        **os.environ,
        "ALPHA_VANTAGE_API_KEY": KEY,
        "DATAPIPE_API_URL": api.url,
        "DATAPIPE_DATA_DIR": str(tmp_path / "data"),
        "DATAPIPE_REQUESTS_PER_SECOND": "0",
        "DATAPIPE_REQUESTS_PER_DAY": "0",
        "PAGER": "cat",
    }
    driver = [sys.executable, "-c", DRIVER, json.dumps(commands())]
    mock = [sys.executable, "-m", "datapipe", *RUNS_ON, "--per-day", "1", "--per-second", "0"]
    with (tmp_path / "said").open("wb") as said, (tmp_path / "served").open("wb") as served:
        serving = subprocess.Popen(mock, env=environ, stdout=served, stderr=served)
        try:
            lines = watched(subprocess.Popen(driver, env=environ, stdout=said, stderr=said))
            refused = _asked_twice((tmp_path / "served").read_text().split()[0])
        finally:
            serving.terminate()
            serving.wait()
    try:
        text = (tmp_path / "said").read_text()
        assert "request_id" in text, "the last command ran, too"
        assert "[key]" in text, "the API's words were shown"
        assert "this is a bug" not in text, text
        assert any(query["apikey"] == KEY for query in api.requests)
        assert KEY in refused, "the mock repeats the key to who sent it, and to nobody else"
        assert any(b"mock-api" in line for line in lines), "the list of processes was seen"
        assert clean(b"".join(lines))

        dump = _dump(Warehouse.of(Settings(data_dir=tmp_path / "data")))
        assert b"[key]" in dump, "the answers were stored"
        assert clean(dump)
    finally:
        stop = [sys.executable, "-m", "datapipe", *LAST]
        stopped = subprocess.run(stop, env=environ, check=True, capture_output=True)
    assert clean(stopped.stdout + stopped.stderr)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert clean(path.read_bytes()), path


def _body(query: dict[str, str]) -> str:
    return BODIES.get(query.get("symbol", ""), BODIES["DAY"])


def _asked_twice(url: str) -> str:
    query = urlencode({"function": "OVERVIEW", "symbol": "NOSUCH", "apikey": KEY})
    for _ in range(2):
        with urlopen(f"{url}?{query}") as response:
            said: str = response.read().decode()
    return said


def _dump(warehouse: Warehouse) -> bytes:
    """All that is in the warehouse, as text."""
    assert warehouse.server is not None
    program = str(warehouse.server.program("pg_dump"))
    return subprocess.run([program, warehouse.url], check=True, capture_output=True).stdout
