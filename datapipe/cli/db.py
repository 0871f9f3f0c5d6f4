"""datapipe db"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from datapipe.cli import console, options
from datapipe.errors import UsageError

if TYPE_CHECKING:
    from datapipe.warehouse.embedded import EmbeddedServer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def upgrade(source: options.Source = None) -> None:
    """Bring the tables to this version of datapipe.

    Every command does it on first use.
    """
    from datapipe.pipeline import Pipeline
    from datapipe.warehouse import migrate

    warehouse = Pipeline(console.settings()).warehouse(source)
    before = warehouse.upgrade()
    now = migrate.head()
    if before == now:
        console.say(f"{warehouse.name} is at revision {now}; nothing to do.")
    else:
        console.say(f"{warehouse.name} went from {before or 'nothing'} to revision {now}.")


@app.command()
def current(source: options.Source = None) -> None:
    """Show the revision of the tables."""
    from datapipe.pipeline import Pipeline
    from datapipe.warehouse import migrate

    warehouse = Pipeline(console.settings()).warehouse(source)
    with warehouse.connect_if_there() as connection:
        revision = connection and migrate.current(connection)
    console.say(f"{revision or 'none'} (newest: {migrate.head()})")


@app.command()
def start() -> None:
    """Start datapipe's own PostgreSQL.

    Every command does it when needed.
    """
    server = _own_server()
    server.start()
    console.say(f"Running: {server.url('datapipe')}")


@app.command()
def stop() -> None:
    """Stop datapipe's own PostgreSQL."""
    console.say("Stopped." if _own_server().stop() else "It was not running.")


@app.command()
def url(source: options.Source = None) -> None:
    """Show the warehouse's URL, for other programs.

    The password is in it where it has one.
    """
    from datapipe.pipeline import Pipeline

    console.say(Pipeline(console.settings()).warehouse(source).url)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context, source: options.Source = None) -> None:
    """Enter the warehouse with psql.

    Further arguments are psql's own.
    """
    import shutil

    from datapipe.pipeline import Pipeline

    warehouse = Pipeline(console.settings()).warehouse(source)
    warehouse.upgrade()
    program = shutil.which("psql") if warehouse.server is None else None
    if program is None:
        program = str(_own_server().program("psql"))
    # The URL may hold a password, so it goes by the environment: everybody can read arguments.
    os.environ |= _libpq_environment(warehouse.url)
    os.execv(program, ["psql", *context.args])  # noqa: S606 - no shell is wanted


def _libpq_environment(url: str) -> dict[str, str]:
    from psycopg.conninfo import conninfo_to_dict

    names = {"dbname": "PGDATABASE"}
    return {
        names.get(key, "PG" + key.replace("_", "").upper()): str(value)
        for key, value in conninfo_to_dict(url).items()
    }


def _own_server() -> EmbeddedServer:
    from datapipe.warehouse import Warehouse

    server = Warehouse.of(console.settings()).server
    if server is None:
        raise UsageError(
            "DATAPIPE_DATABASE_URL is set, so the server is yours to start and stop. Unset it to "
            "use datapipe's own."
        )
    return server
