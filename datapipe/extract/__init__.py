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
    """What an extraction did.

    ``stopped_by`` is what ended it early, since all further requests would have failed as well;
    ``waiting`` are the requests that it has left to the next run. ``current`` counts the requests
    that were not sent because they could bring nothing new, ``held`` those that are held back for a
    time.
    """

    stored: int
    unchanged: int
    empty: tuple[Request, ...]
    failures: tuple[Failure, ...]
    waiting: tuple[Request, ...]
    stopped_by: SourceError | None = None
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
    return asyncio.run(_run(connection, source, requests, run_id, on_progress))


async def _run(
    connection: psycopg.Connection,
    source: Source,
    requests: Sequence[Request],
    run_id: int,
    on_progress: Callable[[int, int, str], None],
) -> Extracted:
    waiting = list(reversed(requests))
    kept: Counter[str] = Counter()
    empty: list[Request] = []
    failures: list[Failure] = []
    stopped_by: SourceError | None = None
    done = 0

    def write(answers: Sequence[Answer]) -> Sequence[Outcome]:
        return store_all(connection, answers, source=source.name, run_id=run_id)

    archive = Batches(write)
    room = asyncio.Semaphore(_UNWRITTEN_AT_MOST)

    def tell(request: Request, outcome: str) -> None:
        nonlocal done
        done += 1
        on_progress(done, len(requests), f"{request}: {outcome}")

    async def work(tasks: asyncio.TaskGroup) -> None:
        nonlocal stopped_by
        while waiting and not stopped_by:
            request = waiting.pop()
            try:
                answer = await source.fetch(request)
            except AskedElsewhere:
                kept["unchanged"] += 1
                tell(request, "answered to another run")
                continue
            except SourceError as error:
                if source.metered and isinstance(error, QuotaSpent | KeyRefused | Unreachable):
                    waiting.append(request)
                    stopped_by = stopped_by or error
                    return
                failures.append(Failure(request, error))
                tell(request, "failed")
                continue
            if answer.empty:
                empty.append(request)
                tell(request, "empty")
                continue
            # The next request need not wait until this answer is written.
            await room.acquire()
            tasks.create_task(keep(answer))

    async def keep(answer: Answer) -> None:
        outcome = await archive.put(answer)
        room.release()
        if outcome == "stale":
            error = WrongAnswer(
                f"The answer to {answer.request} is older than the one before.", kind="stale_answer"
            )
            failures.append(Failure(answer.request, error))
        else:
            kept[outcome] += 1
        without = ", without the key that it repeated" if answer.repeated_key else ""
        tell(answer.request, outcome + without)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(source.concurrency, len(requests))):
                tasks.create_task(work(tasks))
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        try:
            await archive.flush()  # what has come is kept, even where the run was interrupted
        finally:
            await source.aclose()
    return Extracted(
        stored=kept["stored"],
        unchanged=kept["unchanged"],
        empty=tuple(empty),
        failures=tuple(failures),
        waiting=tuple(reversed(waiting)),
        stopped_by=stopped_by,
    )


def _first(error: BaseException) -> BaseException:
    """The first error that one of several tasks has raised; it ended the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
