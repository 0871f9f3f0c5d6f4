from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from datapipe.errors import LockedError, PartlyDoneError, SourceError
from datapipe.warehouse import Warehouse, ledger


class Clock:
    """Passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def other(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


def runs(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT command, outcome, finished_at IS NOT NULL, summary FROM meta.runs"
    ).fetchall()


def test_a_run_is_written_when_it_begins_and_when_it_ends(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    with ledger.recorded(connection, "load") as run:
        assert runs(other) == [("load", "running", False, {})]
        run.summary["rows"] = 3
    assert runs(other) == [("load", "done", True, {"rows": 3})]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SourceError("no"), "failed"),
        (PartlyDoneError("half"), "partly done"),
        (KeyboardInterrupt(), "interrupted"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_a_run_that_ends_in_an_error_says_so(
    error: BaseException, outcome: str, connection: psycopg.Connection
) -> None:
    with pytest.raises(type(error)), ledger.recorded(connection, "load"):
        raise error
    assert [row[:3] for row in runs(connection)] == [("load", outcome, True)]


def test_a_lock_is_held_by_one_and_told_of_to_the_other(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    clock, told = Clock(), list[str]()
    with (
        ledger.locked(connection, "load", 0),
        pytest.raises(LockedError, match=r"Another load is running \(server process \d+") as caught,
        ledger.locked(other, "load", 5, on_wait=told.append, clock=clock, sleep=clock.sleep),
    ):
        pass
    assert str(connection.info.backend_pid) in str(caught.value)
    assert clock.now >= 5
    assert len(told) == 1


def test_a_lock_is_free_again_at_the_end(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    with ledger.locked(connection, "load", 0):
        pass
    with ledger.locked(other, "load", 0):
        pass


def test_a_lock_dies_with_its_process(warehouse: Warehouse, connection: psycopg.Connection) -> None:
    killed = warehouse.new_connection(autocommit=True)
    lock = ledger.locked(killed, "load", 0)
    lock.__enter__()
    killed.close()
    with ledger.locked(connection, "load", 5):
        pass
    lock.__exit__(None, None, None)


def test_two_locks_do_not_meet(connection: psycopg.Connection, other: psycopg.Connection) -> None:
    with ledger.locked(connection, "load", 0), ledger.locked(other, "transform", 0):
        pass
