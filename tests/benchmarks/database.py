"""A database of a benchmark's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from datapipe.warehouse import Warehouse
from datapipe.warehouse.embedded import EmbeddedServer


@contextmanager
def new_warehouse() -> Iterator[Warehouse]:
    """A warehouse with its tables, which is dropped at the end.

    On the server of TEST_SERVER_URL, or on one of datapipe's own in a temporary folder.
    """
    outside = os.environ.get("TEST_SERVER_URL")
    with tempfile.TemporaryDirectory(prefix="datapipe benchmark ") as folder:
        server = None if outside else EmbeddedServer(Path(folder))
        if server:
            server.start()
        url = (lambda name: f"{outside}/{name}") if server is None else server.url
        name = f"benchmark_{os.getpid()}"
        warehouse = Warehouse(url(name), created_from=url("postgres"))
        try:
            warehouse.upgrade()
            yield warehouse
        finally:
            with psycopg.connect(url("postgres"), autocommit=True) as admin:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            if server:
                server.stop()
