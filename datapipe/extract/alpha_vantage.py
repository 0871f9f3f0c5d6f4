"""The source ``alpha_vantage``: the API itself, over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import tenacity

from datapipe.errors import Refusal
from datapipe.extract.answers import Answer, BrokenAnswer, Unreachable, prove
from datapipe.extract.batches import Batches
from datapipe.extract.endpoints import Endpoint, Request, requests
from datapipe.extract.quota import Quota
from datapipe.extract.refusals import AskedElsewhere, RateLimited, redacted
from datapipe.extract.request_ledger import NOT_SENT, Note
from datapipe.extract.transport import NotSent, Transport

_TRIES = 3
_LOOK_AGAIN_SECONDS = 0.5  # for what another run has asked
_PATIENCE_SECONDS = 300  # a wait that is longer is the next run's


class AlphaVantage:
    """Asks the API, within the quota, and again where that may help."""

    name = "alpha_vantage"
    concurrency = 30  # while some answers are proved and kept, enough others are on their way
    metered = True

    def __init__(
        self,
        url: str,
        key: str,
        quota: Quota,
        *,
        options: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key
        self._quota = quota
        self._options = options
        self._sleep = sleep
        self._clock = clock
        self._transport = Transport(url, key)
        self._takes = Batches(quota.take_all)
        self._notes = Batches(quota.note_all)
        self._turn = asyncio.Lock()
        self._pause_until = 0.0

    async def aclose(self) -> None:
        try:
            await self._notes.flush()
        finally:
            await self._transport.aclose()

    def requests(
        self, symbols: Sequence[str], endpoints: Sequence[Endpoint]
    ) -> tuple[Request, ...]:
        return requests(endpoints, symbols, self._options)

    async def fetch(self, request: Request) -> Answer:
        """The proven answer to ``request``; a SourceError where there is none.

        Waits for the quota; asks up to three times where the fault or the refusal may pass.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=_wait_seconds,
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._ask, request)

    async def _ask(self, request: Request) -> Answer:
        request_id, taken_at = await self._take(request)
        outcome, detail = "interrupted", None
        try:
            answer = await self._get(request, taken_at)
            outcome = "empty" if answer.empty else "ok"
            return answer
        except NotSent:
            outcome = NOT_SENT
            raise BrokenAnswer(
                f"{request} could not be sent in time: this machine or its network is too slow.",
                kind=NOT_SENT,
            ) from None
        except (Refusal, BrokenAnswer, Unreachable) as error:
            outcome, detail = error.kind, redacted(str(error), self._key)
            # Said anew: the text may repeat the key, and so may what caused it.
            error.args = (detail,)
            if isinstance(error, RateLimited):
                self._pause_until = max(self._pause_until, self._clock() + error.wait_seconds)
            raise error from None
        finally:
            noted = self._notes.put(Note(request_id, outcome, detail))
            if not self._quota.unlimited:
                await noted  # the next slot waits for it

    async def _take(self, request: Request) -> tuple[int, float]:
        """The id of the counted request, and a time on the clock before which it was counted."""
        while True:
            pause = self._pause_until - self._clock()
            if pause > 0:
                await self._sleep(pause)
            try:
                return await self._counted(request)
            except AskedElsewhere as asked:
                if asked.answered:
                    raise
            # Its answer will do for both; should it fail, it is asked for here.
            await self._sleep(_LOOK_AGAIN_SECONDS)

    async def _counted(self, request: Request) -> tuple[int, float]:
        if self._quota.unlimited:
            taken = await self._takes.put(request)
            if isinstance(taken, AskedElsewhere):
                raise taken
            return taken, self._clock()
        async with self._turn:  # one asks the database, the others wait for it here
            while True:
                began = self._clock()
                wait = await asyncio.to_thread(self._quota.take, request)
                if isinstance(wait, int):
                    return wait, began
                await self._sleep(wait)

    async def _get(self, request: Request, taken_at: float) -> Answer:
        last = taken_at + self._quota.send_within_seconds
        body, repeated = await self._transport.get(
            request, in_time=lambda: self._quota.unlimited or self._clock() <= last
        )
        answer = prove(request, body, datetime.now(UTC))
        return replace(answer, repeated_key=repeated)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, RateLimited):
        return error.wait_seconds <= _PATIENCE_SECONDS
    return isinstance(error, BrokenAnswer | Unreachable)


def _wait_seconds(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        return error.wait_seconds
    if isinstance(error, BrokenAnswer) and error.kind == NOT_SENT:
        return 0.0  # the slot alone was lost
    return float(2 ** (state.attempt_number - 1))
