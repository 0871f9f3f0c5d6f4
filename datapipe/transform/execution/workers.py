"""Connections that work at the same time, and stop together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Generic, TypeVar

import psycopg

Task = TypeVar("Task")
Result = TypeVar("Result")

_AGAIN_SECONDS = 0.2  # a worker that was between two statements has to be told to stop again


class Connections:
    """Up to ``at_most`` connections: the ``first``, and others as they are needed.

    A small run needs none of the others, and a large one need not wait for them to begin.
    """

    def __init__(
        self,
        first: psycopg.Connection,
        another: Callable[[], psycopg.Connection],
        at_most: int,
    ) -> None:
        self.opened = [first]
        self.at_most = at_most
        self._another = another

    @property
    def are_all_open(self) -> bool:
        return len(self.opened) >= self.at_most

    def open(self) -> psycopg.Connection:
        connection = self._another()
        self.opened.append(connection)
        return connection


class Workers(Generic[Task, Result]):
    """Does tasks, one at a time on each of ``connections``.

    With at most one connection all is done in the caller's own thread.
    """

    def __init__(
        self, connections: Connections, do: Callable[[psycopg.Connection, Task], Result]
    ) -> None:
        self._connections = connections
        self._idle = list(connections.opened)
        self._do = do
        self._working: dict[Future[Result], psycopg.Connection] = {}

    def work(
        self, next_task: Callable[[], Task | None], on_result: Callable[[Result], None]
    ) -> None:
        """Do what ``next_task`` gives, until it gives nothing and all is done.

        What a task raises is raised here, when all the others have been stopped.
        """
        if self._connections.at_most <= 1:
            while (task := next_task()) is not None:
                on_result(self._do(self._idle[0], task))
            return
        pool = ThreadPoolExecutor(self._connections.at_most, thread_name_prefix="transform")
        try:
            while self._start(pool, next_task):
                for future in self._finished(None):
                    on_result(future.result())
        finally:
            while self._working:
                self.cancel()
                self._finished(_AGAIN_SECONDS)
            pool.shutdown()

    def cancel(self) -> None:
        """Have PostgreSQL stop what is being done; each of those tasks ends with its error."""
        for connection in self._working.values():
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)

    def _start(self, pool: ThreadPoolExecutor, next_task: Callable[[], Task | None]) -> bool:
        """Start as many tasks as there are connections for; whether any is in work."""
        while (self._idle or not self._connections.are_all_open) and (
            task := next_task()
        ) is not None:
            connection = self._idle.pop() if self._idle else self._connections.open()
            self._working[pool.submit(self._do, connection, task)] = connection
        return bool(self._working)

    def _finished(self, timeout: float | None) -> set[Future[Result]]:
        """The tasks that have ended, waiting for the first of them."""
        finished, _ = wait(self._working, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in finished:
            self._idle.append(self._working.pop(future))
        return finished
