"""Sends one request over HTTP, until its whole body is here or the fault has a name."""

from __future__ import annotations

import json
import logging
import sys
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlencode

import httpx

from datapipe.errors import Refusal
from datapipe.extract.answers import BrokenAnswer, Unreachable
from datapipe.extract.endpoints import Request
from datapipe.extract.refusals import (
    KeyRefused,
    RateLimited,
    RequestRefused,
    is_secret,
    redacted,
    refusal_in,
)

# A full series can take more than 20 seconds to come.
_TIMEOUT = httpx.Timeout(90, connect=15)
_WAIT_SECONDS = 60.0  # where a status says to wait, but not for how long

# httpx logs whole URLs, and the key is in them.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

# httpcore imports sniffio several times a request. Where it is not installed, each time all of the
# path is searched for it: a sixth of the whole work. It works without.
if find_spec("sniffio") is None:
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # as import itself does


class NotSent(Exception):
    """The request would have left too late, and was not sent."""


class Transport:
    """Asks one address with one key, which it takes out of all that comes back."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key
        # A plain address needs no certificates, and to read them takes 30 ms.
        self._verify = httpx.create_ssl_context() if url.startswith("https:") else False
        # A client for each request in flight, since one with many connections looks at all of
        # them before and after each request: at twenty that is two thirds of the whole work.
        # The first is made here, since what it loads would take its request's time.
        self._idle = [self._client()]

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=_TIMEOUT,
            verify=self._verify,
            # Accept: text/csv would be answered with status 406. gzip is all that we can tell
            # from half of it.
            headers={"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "datapipe"},
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )

    async def get(self, request: Request, *, in_time: Callable[[], bool]) -> tuple[bytes, bool]:
        """The body without the key, and whether the key was in it.

        ``in_time`` is asked when the connection stands and before anything is sent. If it says no,
        nothing is sent, and NotSent is raised.
        """

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            if event.endswith("send_request_headers.started") and not in_time():
                raise NotSent

        client = self._idle.pop() if self._idle else self._client()
        try:
            async with client.stream(
                "GET", self._address(request), extensions={"trace": trace}
            ) as response:
                raw = b"".join([part async for part in response.aiter_raw()])
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise Unreachable(
                f"Nobody answers at {self._host}. Is the network up, and DATAPIPE_API_URL right?"
            ) from None
        except httpx.HTTPError as error:
            raise BrokenAnswer(
                f"The answer to {request} did not come whole ({type(error).__name__}).",
                kind="broken_connection",
            ) from None
        finally:
            self._idle.append(client)
        body = _unpacked(request, raw, response.headers.get("Content-Encoding", ""))
        body, repeated = self._without_key(body)
        if response.status_code != httpx.codes.OK:
            raise self._fault(request, response, body)
        unframed = not {"content-length", "transfer-encoding", "content-encoding"} & {
            name.lower() for name in response.headers
        }
        # Nothing else tells that such a body is whole. JSON tells by itself.
        if unframed and body and not body.rstrip(b" ").endswith((b"}", b"]", b"\n", b">")):
            raise BrokenAnswer(f"The answer to {request} breaks off.", kind="truncated")
        return body, repeated

    def _address(self, request: Request) -> str:
        """The URL with the key; nobody else may see it."""
        joint = "&" if "?" in self._url else "?"
        return self._url + joint + urlencode({**request.query, "apikey": self._key})

    def _without_key(self, body: bytes) -> tuple[bytes, bool]:
        if not is_secret(self._key):
            return body, False
        text = body.decode("utf-8", "surrogateescape")
        bare = redacted(text, self._key)
        return (body, False) if bare == text else (bare.encode("utf-8", "surrogateescape"), True)

    def _fault(self, request: Request, response: httpx.Response, body: bytes) -> Exception:
        """What a status other than 200 means; a body with a known text says more than that."""
        status = response.status_code
        said = f"{self._host} answered {request} with status {status}."
        refusal = _refusal(body)
        if refusal:
            return refusal
        if status == httpx.codes.TOO_MANY_REQUESTS:
            wait = _seconds(response.headers.get("Retry-After"))
            return RateLimited(said, kind="http_429", wait_seconds=wait)
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return KeyRefused(
                f"{said} Neither key nor network may be let in.", kind=f"http_{status}"
            )
        if 400 <= status < 500 and status != httpx.codes.REQUEST_TIMEOUT:
            return RequestRefused(f"{said} Asking again would not help.", kind=f"http_{status}")
        return BrokenAnswer(said, kind=f"http_{status}")

    @property
    def _host(self) -> str:
        return httpx.URL(self._url).host


def _unpacked(request: Request, raw: bytes, encoding: str) -> bytes:
    """The body, checked to be whole if it is packed: httpx would return half of it silently."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return raw
    if encoding not in {"gzip", "x-gzip"}:
        raise BrokenAnswer(f"The answer to {request} is packed as {encoding}.", kind="not_readable")
    body = b""
    try:
        while raw:
            member = zlib.decompressobj(wbits=31)
            body += member.decompress(raw)
            if not member.eof:
                raise BrokenAnswer(f"The answer to {request} breaks off.", kind="truncated")
            raw = member.unused_data
    except zlib.error:
        raise BrokenAnswer(
            f"The answer to {request} says it is gzip, but is not.", kind="not_readable"
        ) from None
    return body


def _refusal(body: bytes) -> Refusal | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return refusal_in(document) if isinstance(document, dict) else None


def _seconds(retry_after: str | None) -> float:
    """What a Retry-After header says, in seconds or as a date."""
    if not retry_after:
        return _WAIT_SECONDS
    try:
        return max(1.0, float(retry_after))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return _WAIT_SECONDS
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(1.0, (at - datetime.now(UTC)).total_seconds())
