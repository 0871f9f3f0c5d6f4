"""PostgreSQL of datapipe's own, started on demand."""

from __future__ import annotations

from pathlib import Path


class EmbeddedServer:
    """The PostgreSQL server whose files lie under ``data_dir``."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def url(self, database: str) -> str:
        raise AssertionError("being written")

    def start(self) -> None: ...

    def stop(self) -> bool:
        return False

    def is_initialised(self) -> bool:
        return False
