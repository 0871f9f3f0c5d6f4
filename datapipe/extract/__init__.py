"""Extract: from a source to ``raw.responses``, every good answer word for word."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import psycopg

from datapipe.errors import DatapipeError, PartlyDoneError, SettingsError, SourceError
from datapipe.extract.answers import Answer, Unreachable, WrongAnswer
from datapipe.extract.archive import Outcome, store_all
from datapipe.extract.batches import Batches
from datapipe.extract.endpoints import Endpoint, Request
from datapipe.extract.refusals import AskedElsewhere, KeyRefused, QuotaSpent
from datapipe.frozen import frozen

# As many answers may wait to be written; then asking waits for the database.
_UNWRITTEN_AT_MOST = 64

__all__ = ["Extracted", "Failure", "Source", "run"]


class Source(Protocol):
    """Where answers come from.

    Every request to a ``metered`` source costs, so a run ends at the first refusal that all further
    requests would meet as well.
    """

    name: str
    concurrency: int
    metered: bool

    def requests(
        self, symbols: Sequence[str], endpoints: Sequence[Endpoint]
    ) -> tuple[Request, ...]:
        """What to ask this source for."""

    async def fetch(self, request: Request) -> Answer:
        """The proven answer; raises SourceError where there is none."""

    async def aclose(self) -> None:
        """Close what is open."""


@frozen
class Failure:
    """A request that gave no data, and why."""

    request: Request
    error: DatapipeError


@frozen
class Extracted:
    """What an extraction did."""

    stored: int
    unchanged: int
    empty: tuple[Request, ...]
    failures: tuple[Failure, ...]
    # What is left to the next run, and what has ended this one, as all the rest would have failed.
    waiting: tuple[Request, ...]
    stopped_by: SourceError | None = None
    # Requests that were not sent: they could bring nothing new, or are held back for a time.
    current: int = 0
    held: int = 0

    @property
    def answered(self) -> int:
        return self.stored + self.unchanged + len(self.empty)

    def error(self) -> DatapipeError | None:
        """The error to raise when everything has been told; None if every request was answered."""
        if isinstance(self.stopped_by, KeyRefused):
            return SettingsError(str(self.stopped_by), variable="ALPHA_VANTAGE_API_KEY")
        if not self.answered and not isinstance(self.stopped_by, QuotaSpent):
            if self.stopped_by or len(self.failures) == 1:
                return self.stopped_by or self.failures[0].error
            if self.failures:
                return SourceError(f"None of {len(self.failures)} requests gave data.")
        if not self.failures and not self.waiting:
            return None
        asked = self.answered + len(self.failures) + len(self.waiting)
        why = f"{self.stopped_by} " if self.stopped_by else ""
        return PartlyDoneError(f"{why}{self.answered} of {asked} requests are answered and safe.")


def run(
    connection: psycopg.Connection,
    source: Source,
    requests: Sequence[Request],
    *,
    run_id: int,
    on_progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Extracted:
    """Ask ``source`` for each of ``requests`` and keep the good answers.

    ``connection`` must be in autocommit: each answer is safe as soon as it has come. One request's
    failure does not stop the others, unless all that follow would fail alike.
    """
    return asyncio.run(_Extraction(connection, source, requests, run_id, on_progress).run())


class _Extraction:
    """Asks for all of ``requests``, several at a time, and counts how that went."""

    def __init__(
        self,
        connection: psycopg.Connection,
        source: Source,
        requests: Sequence[Request],
        run_id: int,
        on_progress: Callable[[int, int, str], None],
    ) -> None:
        self._connection = connection
        self._source = source
        self._run_id = run_id
        self._on_progress = on_progress
        self._total = len(requests)
        self._done = 0
        self._waiting = list(reversed(requests))
        self._kept: Counter[str] = Counter()
        self._empty: list[Request] = []
        self._failures: list[Failure] = []
        self._stopped_by: SourceError | None = None
        self._archive = Batches(self._store)
        self._room = asyncio.Semaphore(_UNWRITTEN_AT_MOST)

    async def run(self) -> Extracted:
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._source.concurrency, self._total)):
                    tasks.create_task(self._ask(tasks))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            try:
                await self._archive.flush()  # what has come is kept, even if the run is interrupted
            finally:
                await self._source.aclose()
        return Extracted(
            stored=self._kept["stored"],
            unchanged=self._kept["unchanged"],
            empty=tuple(self._empty),
            failures=tuple(self._failures),
            waiting=tuple(reversed(self._waiting)),
            stopped_by=self._stopped_by,
        )

    async def _ask(self, tasks: asyncio.TaskGroup) -> None:
        """Ask for one request after the other, until none waits or all would fail alike."""
        while self._waiting and not self._stopped_by:
            request = self._waiting.pop()
            try:
                answer = await self._source.fetch(request)
            except AskedElsewhere:
                self._kept["unchanged"] += 1
                self._tell(request, "answered to another run")
                continue
            except SourceError as error:
                stops = isinstance(error, QuotaSpent | KeyRefused | Unreachable)
                if stops and self._source.metered:
                    self._waiting.append(request)
                    self._stopped_by = self._stopped_by or error
                    return
                self._failures.append(Failure(request, error))
                self._tell(request, "failed")
                continue
            if answer.empty:
                self._empty.append(request)
                self._tell(request, "empty")
                continue
            # The next request need not wait until this answer is written.
            await self._room.acquire()
            tasks.create_task(self._keep(answer))

    async def _keep(self, answer: Answer) -> None:
        outcome = await self._archive.put(answer)
        self._room.release()
        if outcome == "stale":
            error = WrongAnswer(
                f"The answer to {answer.request} is older than the one before.", kind="stale_answer"
            )
            self._failures.append(Failure(answer.request, error))
        else:
            self._kept[outcome] += 1
        without = ", without the key that it repeated" if answer.repeated_key else ""
        self._tell(answer.request, outcome + without)

    def _store(self, answers: Sequence[Answer]) -> Sequence[Outcome]:
        return store_all(self._connection, answers, source=self._source.name, run_id=self._run_id)

    def _tell(self, request: Request, outcome: str) -> None:
        self._done += 1
        self._on_progress(self._done, self._total, f"{request}: {outcome}")


def _first(error: BaseException) -> BaseException:
    """The first error that one of several tasks has raised; it ended the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
