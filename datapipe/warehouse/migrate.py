"""Schema changes, by Alembic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from datapipe.errors import WarehouseError
from datapipe.paths import shipped

if TYPE_CHECKING:
    from datapipe.warehouse import Warehouse

# Two 32-bit numbers that no other program is likely to lock: "data", "pipe" in ASCII.
_ADVISORY_KEY = (0x64617461, 0x70697065)


def head() -> str:
    """The newest revision that this version of datapipe knows.

    Read from the file names, since importing Alembic costs half a second; every migration's file
    begins with its revision.
    """
    names = (path.name for path in shipped("migrations").joinpath("versions").glob("*.py"))
    return max(name.partition("_")[0] for name in names)


def current(connection: psycopg.Connection) -> str | None:
    """The revision that the warehouse is at; None before the first upgrade."""
    try:
        with connection.transaction():
            row = connection.execute("SELECT version_num FROM meta.alembic_version").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return None if row is None else str(row[0])


def upgrade(warehouse: Warehouse, connection: psycopg.Connection) -> str | None:
    """Bring the warehouse to ``head()``; the revision it was at before.

    Several processes may call this at once: the first one does the work, the others wait for it.
    """
    before = current(connection)
    if before is not None and before >= head():
        if before > head():
            raise WarehouseError(
                f"The warehouse is at revision {before}, newer than this datapipe knows "
                f"({head()}). Upgrade datapipe."
            )
        return before
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", _ADVISORY_KEY)
        if current(connection) != head():
            _run_alembic(warehouse)
    return before


def _run_alembic(warehouse: Warehouse) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, pool, text
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")).replace("%", "%%"))
    engine = create_engine(
        "postgresql+psycopg://", creator=warehouse.new_connection, poolclass=pool.NullPool
    )
    try:
        with engine.connect() as connection:
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS meta"))
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):  # which whoever has connected can explain
            raise error.orig from None
        raise
