"""The source ``alpha_vantage``: the API itself, over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

import httpx
import tenacity

from datapipe.errors import Refusal
from datapipe.extract.answers import Answer, BrokenAnswer, Unreachable, prove
from datapipe.extract.endpoints import Endpoint, Request, requests
from datapipe.extract.quota import Quota
from datapipe.extract.refusals import RateLimited, redacted

# A full series can take more than 20 seconds to come.
_TIMEOUT = httpx.Timeout(90, connect=15)
_TRIES = 3

# httpx logs whole URLs, and the key is in them.
logging.getLogger("httpx").setLevel(logging.WARNING)


class AlphaVantage:
    """Asks the API, within the quota, and again where that may help."""

    name = "alpha_vantage"
    concurrency = 20
    metered = True

    def __init__(
        self,
        url: str,
        key: str,
        quota: Quota,
        *,
        options: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._key = key
        self._url = url
        self._quota = quota
        self._options = options
        self._sleep = sleep
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT,
            # Accept: text/csv would be answered with status 406.
            headers={"Accept": "*/*", "User-Agent": "datapipe"},
            limits=httpx.Limits(max_connections=self.concurrency),
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    def requests(
        self, symbols: Sequence[str], endpoints: Sequence[Endpoint]
    ) -> tuple[Request, ...]:
        return requests(endpoints, symbols, self._options)

    async def fetch(self, request: Request) -> Answer:
        """The proven answer to ``request``; a SourceError where there is none.

        Waits for the quota; asks up to three times where the fault or the refusal may pass.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((RateLimited, BrokenAnswer, Unreachable)),
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=_wait_seconds,
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._ask, request)

    async def _ask(self, request: Request) -> Answer:
        request_id = await self._take(request)
        outcome, detail = "interrupted", None
        try:
            answer = prove(request, await self._get(request), datetime.now(UTC))
            outcome = "empty" if answer.empty else "ok"
            return answer
        except (Refusal, BrokenAnswer, Unreachable) as error:
            outcome, detail = error.kind, redacted(str(error), self._key)
            # Said anew: the text may repeat the key, and so may what caused it.
            error.args = (detail,)
            raise error from None
        finally:
            await asyncio.to_thread(self._quota.note, request_id, outcome, detail)

    async def _take(self, request: Request) -> int:
        while True:
            taken = await asyncio.to_thread(self._quota.take, request)
            if isinstance(taken, int):
                return taken
            await self._sleep(taken)

    async def _get(self, request: Request) -> bytes:
        params = {"function": request.function, "symbol": request.symbol, **request.params}
        try:
            response = await self._client.get(self._url, params={**params, "apikey": self._key})
        except httpx.ConnectError:
            raise Unreachable(
                f"Nobody answers at {self._host}. Is the network up, and DATAPIPE_API_URL right?"
            ) from None
        except httpx.HTTPError as error:
            raise BrokenAnswer(
                f"The answer to {request} did not come whole ({type(error).__name__})."
            ) from None
        if response.status_code != httpx.codes.OK:
            raise BrokenAnswer(
                f"{self._host} answered {request} with status {response.status_code}."
            )
        return response.content

    @property
    def _host(self) -> str:
        return httpx.URL(self._url).host


def _wait_seconds(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        return error.wait_seconds
    return float(2 ** (state.attempt_number - 1))
