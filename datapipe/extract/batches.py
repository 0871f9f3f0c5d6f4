"""Writes in batches: what comes while one batch is being written goes with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """Many writers share one round trip and one commit, and the event loop never waits for it.

    ``write`` gives a result for each item, in the same order. It runs in a thread, one batch at a
    time and in the order in which the items came.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._failed: Exception | None = None

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Have ``item`` written; the future is done when it is safe."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._run())
        return future

    async def flush(self) -> None:
        """Wait until all that was put is written; raises what any batch raised."""
        if self._writer is not None:
            await asyncio.shield(self._writer)
        if self._failed is not None:
            raise self._failed

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                results = await asyncio.to_thread(self._write, [item for item, _ in batch])
            except Exception as error:
                self._failed = error
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # seen: flush raises it where nobody waits
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
