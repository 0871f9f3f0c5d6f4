"""Every command runs with a marked key, against an API that repeats it wherever it can."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import typer
from api_on_loopback import Api, daily, refusal
from psycopg import sql

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
    ("extract",): [["--symbols", ",".join([*BODIES, "NOSUCH"])]],
    ("run-all",): [["--symbols", "GOOD"]],
    ("init",): [["made"]],
    ("export-responses",): [["exported"]],
    ("db", "psql"): [["-c", "TABLE meta.requests"]],
}
RUNS_ON = {("mock-api",)}  # until it is told to stop; it knows no key of its own
LAST = ("db", "stop")


def commands() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every command that is registered, with its arguments."""
    click = typer.main.get_command(cli.application(cli.COMMANDS))
    found: list[tuple[str, ...]] = []
    for name, command in click.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [(name, each) for each in inner] if inner else [(name,)]
    for path in sorted(set(found) - RUNS_ON - {LAST}, key=lambda path: path != ("extract",)):
        for arguments in ARGUMENTS.get(path, [[]]):
            yield path, arguments


def watched(command: list[str], environ: dict[str, str]) -> str:
    """All that the command says, and the command lines of all processes while it runs."""
    said = Path("said")
    with said.open("ab") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
        lines = set()
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)  # so that the command gets the machine as well
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    lines.add(path.read_bytes())
                except OSError:
                    continue
    return said.read_text() + repr(lines)


def clean(text: str) -> bool:
    return not any(spelling.lower() in text.lower() for spelling in SPELLINGS)


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
    datapipe = [sys.executable, "-m", "datapipe"]
    try:
        for path, arguments in commands():
            assert clean(watched([*datapipe, *path, *arguments], environ)), path
        said = (tmp_path / "said").read_text()
        assert "[key]" in said, "the API's words were shown"
        assert "this is a bug" not in said, said
        assert any(query["apikey"] == KEY for query in api.requests)

        rows = _rows(Warehouse.of(Settings(data_dir=tmp_path / "data")))
        assert "[key]" in rows, "the answers were stored"
        assert clean(rows)
    finally:
        subprocess.run([*datapipe, *LAST], env=environ, check=True, capture_output=True)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert clean(path.read_bytes().decode("latin-1")), path


def _body(query: dict[str, str]) -> str:
    return BODIES.get(query.get("symbol", ""), BODIES["DAY"])


def _rows(warehouse: Warehouse) -> str:
    """Every row of every table, as text."""
    with warehouse.connect() as connection:
        tables = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm') "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        assert len(tables) > 5
        return "\n".join(_table(connection, *table) for table in tables)


def _table(connection: psycopg.Connection, schema: str, name: str) -> str:
    query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, name))
    return "\n".join(row[0] for row in connection.execute(query))
