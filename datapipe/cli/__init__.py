"""The command line. Only ``main`` knows exit statuses."""

from __future__ import annotations

import os
import sys

import typer

from datapipe import errors
from datapipe.cli import console, db
from datapipe.cli.compile import compile_models
from datapipe.cli.export_responses import export_responses
from datapipe.cli.extract import extract
from datapipe.cli.init import init
from datapipe.cli.load import load
from datapipe.cli.ls import ls
from datapipe.cli.mock_api import mock_api
from datapipe.cli.report import report
from datapipe.cli.restatements import restatements
from datapipe.cli.run_all import run_all
from datapipe.cli.transform import transform

_STATUSES = (
    (errors.UsageError, 2),
    (errors.PartlyDoneError, 4),
    (errors.TestsFailedError, 5),
    (errors.LockedError, 6),
    (errors.DatapipeError, 1),
)

# Plain help: rich would double the time that --help takes.
app = typer.Typer(
    name="datapipe",
    help="Market data into PostgreSQL: extract, load, transform, test and report.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(init)
app.command()(extract)
app.command()(load)
app.command()(transform)
app.command("compile")(compile_models)
app.command()(ls)
app.command()(report)
app.command("run-all")(run_all)
app.command()(restatements)
app.command("export-responses")(export_responses)
app.command("mock-api")(mock_api)
app.add_typer(db.app, name="db")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.say(f"datapipe {version('datapipe-analytics')}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line, and end the process with the exit status that it stands for.

    0 done · 1 failed as can happen · 2 wrong usage or settings · 3 a bug · 4 partly done · 5 data
    tests failed · 6 another run holds the lock · 130 interrupted.
    """
    try:
        app(prog_name="datapipe")
    except errors.DatapipeError as error:
        console.tell(f"datapipe: {error}")
        sys.exit(next(status for kind, status in _STATUSES if isinstance(error, kind)))
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception:
        import traceback

        traceback.print_exc()
        console.tell("datapipe: this is a bug; please report it with the lines above.")
        sys.exit(3)
