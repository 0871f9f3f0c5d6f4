"""What templates see as ``target``: the warehouse, in the words of a dbt profile."""

from __future__ import annotations

from typing import Any

import psycopg

# What a profile of dbt's has where it does not say.
_AS_DBT_HAS_THEM = {
    "application_name": "dbt",
    "autocommit": False,
    "connect_timeout": 10,
    "keepalives_idle": 0,
    "retries": 1,
    **dict.fromkeys(("role", "search_path", "sslcert", "sslkey", "sslmode", "sslrootcert")),
}


def described(
    connection: psycopg.Connection | None, schema: str, *, threads: int = 1
) -> dict[str, Any]:
    """The target of a run over ``connection``; without one, of a database that has no name."""
    info = connection.info if connection else None
    database = info.dbname if info else "database"  # SQL with an empty name could not be read
    return {
        "name": "default",
        "profile_name": "datapipe",
        "type": "postgres",
        "schema": schema,
        "database": database,
        "dbname": database,
        "user": info.user if info else "",
        "host": info.host if info else "",
        "port": info.port if info else 5432,
        "threads": threads,
        **_AS_DBT_HAS_THEM,
    }
