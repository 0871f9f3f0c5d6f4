"""The warehouse: one PostgreSQL database, on datapipe's own server or on the user's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from datapipe.errors import SettingsError, WarehouseError
from datapipe.settings import Settings
from datapipe.warehouse import migrate
from datapipe.warehouse.embedded import EmbeddedServer
from datapipe.warehouse.failures import explained, unreachable
from datapipe.warehouse.moments import Moment

_SAMPLE_SUFFIX = "_sample"
_DATABASE = "datapipe"
_NO_SUCH_DATABASE = "3D000"
_IN_UTC = "SET timezone = 'UTC'"


class Warehouse:
    """One database, connected to on demand.

    ``synthetic`` is true of the sample warehouse, whose prices were never traded. Real and sample
    prices live in two databases, so that no query can mix them. ``created_from`` is the URL of a
    database from which this one is created when it is missing; without it, it must exist.
    """

    def __init__(
        self,
        url: str,
        *,
        synthetic: bool = False,
        server: EmbeddedServer | None = None,
        created_from: str | None = None,
    ) -> None:
        self.url = url
        self.synthetic = synthetic
        self.server = server
        self._created_from = created_from

    @classmethod
    def of(cls, settings: Settings, *, sample: bool = False) -> Warehouse:
        """The real warehouse of ``settings``, or its sample; nothing is connected to yet."""
        if settings.database_url is None:
            server = EmbeddedServer(settings.data_dir)
            name = _DATABASE + (_SAMPLE_SUFFIX if sample else "")
            return cls(
                server.url(name),
                synthetic=sample,
                server=server,
                created_from=server.url("postgres"),
            )
        url = settings.database_url
        if not sample:
            return cls(url)
        name = _database_of(url) + _SAMPLE_SUFFIX
        return cls(_with_database(url, name), synthetic=True, created_from=url)

    def __repr__(self) -> str:
        return f"Warehouse({self.name!r})"

    @property
    def name(self) -> str:
        """The database and where it is, without user or password."""
        if self.server:
            return f"{_database_of(self.url)} on datapipe's own server"
        parts = urlsplit(self.url)
        host = unquote(parts.hostname or "") or "this machine"
        return f"{_database_of(self.url)} on {host}{f':{parts.port}' if parts.port else ''}"

    @contextmanager
    def connect(
        self, *, autocommit: bool = False, session: str = _IN_UTC
    ) -> Iterator[psycopg.Connection]:
        """A connection, closed at the end; committed there unless an error came.

        ``session`` is what its session has set, as SQL. What the driver raises comes out as a
        WarehouseError.
        """
        connection = self.new_connection(autocommit=autocommit, session=session)
        with explained(f"the work in {self.name}"), connection:
            yield connection

    def new_connection(
        self, *, autocommit: bool = False, session: str = _IN_UTC
    ) -> psycopg.Connection:
        """A connection that the caller closes.

        Starts datapipe's own server when it is down, and creates the database when it may.
        """
        # The server may be down, be stopped again by somebody else, and lack the database.
        for _ in range(3):
            try:
                return self._dial(autocommit, session)
            except psycopg.OperationalError as error:
                refused = unreachable(error, self.name)
            if refused.sqlstate == _NO_SUCH_DATABASE:
                if self._created_from is None:
                    raise refused
                self._create_database(self._created_from)
            elif self.server:
                self.server.start()
            else:
                raise refused
        try:
            return self._dial(autocommit, session)
        except psycopg.OperationalError as error:
            raise unreachable(error, self.name) from None

    @contextmanager
    def connect_if_there(self, *, session: str = _IN_UTC) -> Iterator[psycopg.Connection | None]:
        """A connection in autocommit, or None where the database was never made.

        Starts datapipe's own server to find out, if it has ever been used.
        """
        if self.server and not self.server.is_initialised():
            yield None
            return
        try:
            there = Warehouse(self.url, server=self.server)
            connection = there.new_connection(autocommit=True, session=session)
        except WarehouseError as refused:
            if refused.sqlstate != _NO_SUCH_DATABASE:
                raise
            yield None
            return
        with explained(f"the work in {self.name}"), connection:
            yield connection

    def is_beside(self, connection: psycopg.Connection) -> bool:
        """Whether the database is there, on the server that ``connection`` leads to."""
        found = connection.execute(
            "SELECT FROM pg_database WHERE datname = %s", [_database_of(self.url)]
        )
        return found.rowcount > 0

    def upgrade(self) -> str | None:
        """Bring the tables to this version of datapipe; the revision they were at before."""
        with self.connect() as connection:
            return migrate.upgrade(self, connection)

    def _dial(self, autocommit: bool, session: str) -> psycopg.Connection:
        try:
            connection = psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=10,
                fallback_application_name="datapipe",
                client_encoding="UTF8",  # as all files are, whatever the database holds text in
                prepare_threshold=None,  # a pooler between us and the server would lose them
            )
        except psycopg.ProgrammingError as error:  # a parameter that libpq does not know
            raise _malformed(error) from None
        settle(connection, session)
        if session != _IN_UTC:
            connection.adapters.register_loader("timestamptz", Moment)
        connection.autocommit = autocommit
        return connection

    def _create_database(self, from_url: str) -> None:
        name = _database_of(self.url)
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'")
        with Warehouse(from_url, server=self.server).connect(autocommit=True) as connection:
            # Another process may be quicker.
            quicker = suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
            try:
                with quicker:
                    connection.execute(create.format(sql.Identifier(name)))
            except psycopg.errors.InsufficientPrivilege:
                raise WarehouseError(
                    f"Sample prices go to a database of their own, {name}, and this user may not "
                    f'create it. Have an administrator run: CREATE DATABASE "{name}"',
                    sqlstate="42501",
                ) from None


def settle(connection: psycopg.Connection, session: str) -> None:
    """Set ``session``, and what each of our sessions has; ``connection`` is in autocommit."""
    settings = f"{session}; SET client_min_messages = warning"
    try:  # so that the query of a client that was killed ends
        connection.execute(f"{settings}; SET client_connection_check_interval = '1s'".encode())
    except psycopg.errors.InvalidParameterValue:  # not every system can tell
        connection.execute(settings.encode())


def _database_of(url: str) -> str:
    """The database that ``url`` names; as in libpq, the user's name where it names none."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise _malformed(error) from None
    return str(parts.get("dbname") or parts.get("user") or "postgres")


def _malformed(error: psycopg.ProgrammingError) -> SettingsError:
    return SettingsError(
        f"DATAPIPE_DATABASE_URL is malformed: {str(error).strip()}.",
        variable="DATAPIPE_DATABASE_URL",
    )


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))
