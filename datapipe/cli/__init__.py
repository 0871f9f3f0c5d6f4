"""The command line. Only ``main`` knows exit statuses."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection
from importlib import import_module

import typer

from datapipe import errors
from datapipe.cli import console
from datapipe.cli.arguments import gathered

_STATUSES = (
    (errors.UsageError, 2),
    (errors.PartlyDoneError, 4),
    (errors.TestsFailedError, 5),
    (errors.LockedError, 6),
    (errors.DatapipeError, 1),
)

# Each command's module has a function of the same name (db: a Typer), whose help begins so.
COMMANDS = {
    "init": "Write the SQL project and a .env, to make your own.",
    "extract": "Ask the API, and keep each good answer word for word.",
    "load": "Load answers or CSV files into the typed tables.",
    "transform": "Build, test and publish the SQL models: all or none.",
    "verify": "Build incremental models both ways, and compare row for row.",
    "report": "Show the market and each symbol.",
    "run-all": "Extract, load, transform and test in one run.",
    "restatements": "List values that were changed later.",
    "ls": "List what is in the SQL project.",
    "freshness": "Tell how fresh the sources of the SQL project are.",
    "compile": "Write the SQL of models and tests as psql runs it.",
    "docs": "Write what there is to know of the models as one HTML file.",
    "export-responses": "Write the stored answers to files.",
    "mock-api": "Serve answers by the API's own rules, for tests.",
    "db": "Upgrade, start, stop and enter the warehouse.",
}


def application(arguments: Collection[str]) -> typer.Typer:
    """The command line, with those commands whole that occur in ``arguments``.

    Of the others there is only what --help lists, since making them takes longer than all the rest;
    and not even that where the first argument is a command.
    """
    # Plain help: rich would double the time that --help takes.
    app = typer.Typer(
        name="datapipe",
        help="Market data into PostgreSQL: extract, load, transform, test and report.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    lists = next(iter(arguments), None) not in COMMANDS
    for name, line in COMMANDS.items():
        if name not in arguments:
            if lists:
                app.command(name, help=line)(_listed)
            continue
        word = name.replace("-", "_")
        module = import_module(f"datapipe.cli.{word}")
        if name == "db":
            app.add_typer(module.app, name=name, help=line)
        else:
            app.command(name)(getattr(module, word))
    return app


def _listed() -> None:
    """Never called: a command that is called occurs in the arguments."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.say(f"datapipe {version('datapipe-analytics')}")
        raise typer.Exit


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
        completing = "_DATAPIPE_COMPLETE" in os.environ
        given = gathered(sys.argv[1:])
        application(COMMANDS if completing else given)(given, prog_name="datapipe")
    except errors.DatapipeError as error:
        for line in (f"datapipe: {error}", *getattr(error, "__notes__", ())):
            console.tell(line)
        sys.exit(next(status for kind, status in _STATUSES if isinstance(error, kind)))
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            console.tell(f"datapipe: there is no room for what is written: {error}")
            sys.exit(1)
        import traceback

        traceback.print_exc()
        console.tell("datapipe: this is a bug; please report it with the lines above.")
        sys.exit(3)
