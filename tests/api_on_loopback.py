"""An API on loopback that speaks real HTTP and answers as the test tells it to."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "CANARY7KEY"


class _Server(ThreadingHTTPServer):
    request_queue_size = 100  # with five, who connects beside thirty others waits for a second


class Api:
    """Answers each request with what ``answer`` says: a status and a body."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, str]], tuple[int, str]] = lambda query: (200, daily())
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = dict(parse_qsl(urlsplit(self.path).query))
                api.requests.append(query)
                status, body = api.answer(query)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/query"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def daily(close: str = "101.0000", day: str = "2026-05-15") -> str:
    bar = {
        "1. open": "100.0000",
        "2. high": "102.0000",
        "3. low": "99.0000",
        "4. close": close,
        "5. volume": "1000",
    }
    meta = {"1. Information": "Daily Prices", "5. Time Zone": "US/Eastern"}
    return json.dumps({"Meta Data": meta, "Time Series (Daily)": {day: bar}})


def refusal(text: str, key: str = "Information") -> str:
    return json.dumps({key: text})
