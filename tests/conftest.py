"""A real PostgreSQL for the tests: one server a session, one database a test."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import calendars
import psycopg
import pytest
from api_on_loopback import Api

from datapipe.settings import Settings
from datapipe.warehouse import Warehouse, migrate, sessions
from datapipe.warehouse.embedded import EmbeddedServer

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples" / "alpha_vantage"


# As the command does: to look for cycles among all that is imported took an eighth of the time.
gc.set_threshold(20_000)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.startswith(("DATAPIPE_", "ALPHA_VANTAGE_", "PG")):
            del os.environ[name]
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("home"))  # not the user's own


@pytest.fixture(autouse=True)
def _far_from_any_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins in an empty folder, where no .env and no sql_models/ lie."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _short_calendars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_calendar", calendars.short)


@pytest.fixture(scope="session")
def server_url() -> Iterator[Callable[[str], str]]:
    """Gives the URL of a database by name, on the server that this session's tests use.

    It is datapipe's own, or the one of TEST_SERVER_URL, to run the tests on another version.
    """
    outside = os.environ.get("TEST_SERVER_URL")
    if outside:
        yield lambda name: outside.rstrip("/") + "/" + name
        return
    data_dir = Path(tempfile.mkdtemp(prefix="datapipe tests "))
    server = EmbeddedServer(data_dir)
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.url
    server.stop()
    shutil.rmtree(data_dir)


@pytest.fixture(scope="session")
def _server(server_url: Callable[[str], str]) -> Iterator[psycopg.Connection]:
    """A connection that makes and drops databases."""
    with psycopg.connect(server_url("postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def _template(server_url: Callable[[str], str], _server: psycopg.Connection) -> Iterator[str]:
    name = f"template_{os.getpid()}"
    Warehouse(server_url(name), created_from=server_url("postgres")).upgrade()
    yield name
    _server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    _server.execute(f"DROP DATABASE IF EXISTS test_{os.getpid()} WITH (FORCE)")


@pytest.fixture
def database_url(
    server_url: Callable[[str], str], _server: psycopg.Connection, _template: str
) -> str:
    """The URL of a database that is migrated and empty, and this test's own until it ends.

    All tests use one in turn, since to empty it takes a tenth of making another.
    """
    name = f"test_{os.getpid()}"
    if not _emptied(server_url(name), like=server_url(_template)):
        _server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        _server.execute(f"CREATE DATABASE {name} TEMPLATE {_template}")
    _server.execute(f"DROP DATABASE IF EXISTS {name}_sample WITH (FORCE)")
    return server_url(name)


def _emptied(url: str, like: str) -> bool:
    """Empty the database that a test has left; False where its structure was changed."""
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_EMPTY)
            left = connection.execute(_STRUCTURE).fetchone()
    except psycopg.Error:
        return False
    return left == _structure(like)


@cache
def _structure(url: str) -> object:
    with psycopg.connect(url) as connection:
        return connection.execute(_STRUCTURE).fetchone()


_STRUCTURE = """
SELECT count(*), md5(string_agg(attrelid::regclass || attname, ',' ORDER BY attrelid, attnum))
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('raw', 'meta'))
"""

_EMPTY = f"""
DO $$
DECLARE
    found record;
BEGIN
    SET LOCAL client_min_messages = warning;
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR found IN SELECT nspname FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'raw', 'meta')
    LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', found.nspname);
    END LOOP;
    CREATE SCHEMA public;
    FOR found IN SELECT n.nspname, c.relname FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('raw', 'meta') AND c.relkind = 'r' AND c.relname <> 'alembic_version'
            AND pg_relation_size(c.oid) > 0
    LOOP
        EXECUTE format('DELETE FROM %I.%I', found.nspname, found.relname);
    END LOOP;
    UPDATE meta.alembic_version SET version_num = '{migrate.head()}';
END $$
"""


@pytest.fixture
def warehouse(database_url: str) -> Warehouse:
    return Warehouse(database_url)


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """A connection in autocommit to this test's database."""
    with warehouse.connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_database(
    database_url: str, server_url: Callable[[str], str]
) -> Iterator[Callable[[str], Warehouse]]:
    """Makes an empty database by what is said of it in CREATE DATABASE, and drops it."""
    name = urlsplit(database_url).path.removeprefix("/") + "_other"
    with psycopg.connect(server_url("postgres"), autocommit=True) as connection:

        def made(how: str) -> Warehouse:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} {how}".encode())
            return Warehouse(server_url(name))

        yield made
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path / "data")


@pytest.fixture
def samples() -> Path:
    """The folder of recorded answers; the test is skipped where it is absent."""
    if not SAMPLES.is_dir():
        pytest.skip("the recorded answers are not here")
    return SAMPLES


@pytest.fixture
def api() -> Iterator[Api]:
    """An API on loopback that speaks real HTTP and answers as the test tells it to."""
    api = Api()
    yield api
    api.close()
