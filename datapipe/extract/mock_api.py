"""An API on loopback that enforces the rules of the real one, for tests.

It serves a folder of recorded answers or synthetic prices, and refuses as Alpha Vantage does: the
second and the day are counted when a request arrives, a refused one counts as well, premium
functions need a premium key, and the text about the day repeats the caller's key.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from datapipe.errors import UsageError
from datapipe.extract.endpoints import Request
from datapipe.extract.recordings import Recordings
from datapipe.frozen import frozen
from datapipe.symbols import NO_SYMBOL

PREMIUM_FUNCTIONS = frozenset(
    {
        "TIME_SERIES_INTRADAY",
        "TIME_SERIES_DAILY_ADJUSTED",
        "REALTIME_BULK_QUOTES",
        "REALTIME_BULK_BID_ASK_PRICES",
        "INDEX_DATA",
        "REALTIME_OPTIONS",
        "HISTORICAL_OPTIONS",
        "FX_INTRADAY",
        "CRYPTO_INTRADAY",
        "VWAP",
        "MACD",
    }
)

_SITE = "https://www.alphavantage.co"
_PLANS = f"any of the premium plans at {_SITE}/premium/"
_NO_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    f"({_SITE}/support/#api-key). It should take less than 20 seconds."
)
_BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more "
    f"sparingly (1 request per second). You may subscribe to {_PLANS} to lift the free key rate "
    "limit ({per_day} requests per day), raise the per-second burst limit, and instantly unlock "
    "all premium endpoints"
)
_PAID_BURST = (
    "Burst pattern detected. Please consider spreading out your API requests more evenly across a "
    "1-minute window and query no more than {per_second} requests per second."
)
_MINUTE = (
    "Minute-level rate limit exceed. Please stay under the number of API requests per minute for "
    "your premium subscription plan."
)
_DAY = (
    "We have detected your API key as {key} and our standard API rate limit is {per_day} requests "
    f"per day. Please subscribe to {_PLANS} to instantly remove all daily rate limits."
)
_PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to "
    f"{_PLANS} to instantly unlock all premium endpoints"
)
_FULL = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature "
    f"for the TIME_SERIES_DAILY endpoint. You may subscribe to {_PLANS} to instantly unlock all "
    "premium features"
)
_INVALID = (
    f"Invalid API call. Please retry or visit the documentation ({_SITE}/documentation/) for "
    "{function}."
)
_NO_FUNCTION = "This API function ({function}) does not exist."

_EMPTY = {
    "OVERVIEW": "{}",
    "GLOBAL_QUOTE": '{\n    "Global Quote": {}\n}',
    "SYMBOL_SEARCH": '{\n    "bestMatches": []\n}',
}


@frozen
class Rules:
    """What a key may do; None where there is no limit."""

    per_second: int | None = 1
    per_minute: int | None = None
    per_day: int | None = 25
    premium: bool = False
    day_seconds: float = 86400.0
    latency_seconds: float = 0.0


class Archive(Protocol):
    """Where the answers of the mock come from."""

    def functions(self) -> frozenset[str]:
        """The functions that exist."""

    def answer(self, query: Mapping[str, str]) -> str | None:
        """The body that answers ``query``; None where there is none."""


class Folder:
    """The newest of the recorded answers to each question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found = Recordings(folder).requests((), ())

    def functions(self) -> frozenset[str]:
        return frozenset(request.function for request in self._found)

    def answer(self, query: Mapping[str, str]) -> str | None:
        asked = query.get("symbol") or query.get("keywords") or _pair(query) or NO_SYMBOL
        wanted = "csv" if query.get("datatype") == "csv" else "json"
        best: tuple[bool, bool, Request] | None = None
        for request in self._found:
            if request.function != query["function"]:
                continue
            if _letters(request.symbol) != _letters(asked):
                continue
            known = {name: value for name, value in request.params.items() if name in query}
            same = all(query[name] == value for name, value in known.items())
            fits = (same, request.params["file"].endswith(wanted), request)
            if best is None or fits[:2] >= best[:2]:
                best = fits
        if best is None:
            return None
        return (self._folder / best[2].params["file"]).read_bytes().decode("utf-8", "replace")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100  # as many may connect at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class MockApi:
    """Serves ``archive`` at ``url`` until it is closed, and counts what it refused."""

    def __init__(
        self,
        archive: Archive,
        rules: Rules | None = None,
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rules = rules or Rules()
        self.counts: Counter[str] = Counter()
        self._archive = archive
        self._clock = clock
        self._lock = Lock()
        self._serving = False
        self._arrivals: dict[str, deque[float]] = {}
        self._days: Counter[tuple[str, int]] = Counter()
        try:
            self._server = _Server(("127.0.0.1", port), _handler(self))
        except OSError as error:
            raise UsageError(
                f"Port {port} cannot be served: {error.strerror}. Choose another with --port."
            ) from None
        self.url = f"http://127.0.0.1:{self._server.server_port}/query"

    def serve(self) -> None:
        """Answer until ``close`` is called."""
        self._serving = True
        self._server.serve_forever(0.05)

    def start(self) -> None:
        """Answer in a thread of its own."""
        self._serving = True
        Thread(target=self.serve, daemon=True).start()

    def close(self) -> None:
        if self._serving:
            self._server.shutdown()
        self._server.server_close()

    def answer(self, query: Mapping[str, str]) -> str:
        """The body that answers ``query``, always with status 200; the time of arrival is now."""
        key = query.get("apikey", "")
        kind, text = self._refused(key) if key else ("invalid_key", _NO_KEY)
        notice = "Information" if key else "Error Message"
        function = query.get("function", "")
        if not kind:
            kind, text = self._not_allowed(query, function)
        body = None
        if not kind:
            body = self._archive.answer({**query, "function": function})
            if body is None:
                body = _EMPTY.get(function)
            if body is None:
                known = function in self._archive.functions()
                text = (_INVALID if known else _NO_FUNCTION).format(function=function)
                kind, notice = "invalid_request", "Error Message"
        if not kind and self.rules.latency_seconds:
            time.sleep(self.rules.latency_seconds)
        with self._lock:
            self.counts["requests"] += 1
            self.counts[kind or "ok"] += 1
        return body if body is not None else json.dumps({notice: text}, indent=4)

    def _refused(self, key: str) -> tuple[str, str]:
        """The limit that the request, which has just arrived, goes beyond."""
        rules = self.rules
        with self._lock:
            now = self._clock()
            arrivals = self._arrivals.setdefault(key, deque())
            arrivals.append(now)
            while arrivals[0] <= now - 60:
                arrivals.popleft()
            day = key, int(now // rules.day_seconds)
            self._days[day] += 1
            in_second = sum(at > now - 1 for at in arrivals)
            if rules.per_second is not None and in_second > rules.per_second:
                text = _PAID_BURST if rules.premium else _BURST
                return "rate_limit.burst", text.format(
                    per_second=rules.per_second, per_day=rules.per_day
                )
            if rules.per_minute is not None and len(arrivals) > rules.per_minute:
                return "rate_limit.minute", _MINUTE
            if rules.per_day is not None and self._days[day] > rules.per_day:
                return "rate_limit.daily", _DAY.format(key=key, per_day=rules.per_day)
        return "", ""

    def _not_allowed(self, query: Mapping[str, str], function: str) -> tuple[str, str]:
        if self.rules.premium:
            return "", ""
        if function in PREMIUM_FUNCTIONS:
            return "premium_required", _PREMIUM
        if function == "TIME_SERIES_DAILY" and query.get("outputsize") == "full":
            return "premium_required", _FULL
        return "", ""


def _letters(symbol: str) -> str:
    """A symbol without what the spellings of queries and of files differ in."""
    return "".join(letter for letter in symbol.upper() if letter.isalnum())


def _pair(query: Mapping[str, str]) -> str:
    """The symbol of a pair, as files are named by it."""
    sides = (query.get("from_symbol"), query.get("to_symbol"))
    if not any(sides):
        sides = (query.get("symbol"), query.get("market"))
    return "-".join(side for side in sides if side)


def _handler(api: MockApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "datapipe-mock-api"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            if url.path == "/counts":
                self._send(json.dumps(api.counts))
            elif url.path == "/query":
                self._send(api.answer(query), csv=query.get("datatype") == "csv")
            else:
                self._send("", status=404)

        def _send(self, body: str, *, csv: bool = False, status: int = 200) -> None:
            content = body.encode()
            named = "application/x-download" if csv else "application/json"
            self.send_response(status)
            self.send_header("Content-Type", named)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Say nothing: the line would hold the key."""

    return Handler
