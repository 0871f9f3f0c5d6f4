"""What extract costs above the requests alone, side by side: python tests/benchmarks/extract.py

An API on loopback, in a process of its own, answers each request after 50 ms. A bare
httpx.AsyncClient with 20 in flight and datapipe, which counts, proves and keeps each answer in
PostgreSQL, take turns; a round before the first is not counted. TEST_SERVER_URL names a server;
without it, datapipe's own is started in a temporary folder. Ends with status 1 where the target is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from statistics import median

import httpx
from database import new_warehouse

from datapipe import extract
from datapipe.extract.alpha_vantage import AlphaVantage
from datapipe.extract.endpoints import named
from datapipe.extract.quota import Limits, Quota
from datapipe.warehouse import Warehouse

AT_MOST_TIMES = 1.3
IN_FLIGHT = 20
KEY = "BENCHMARKKEY0001"

SERVER = """
import asyncio, json, re, sys
bars = {f"2026-{m:02}-{d:02}": {"1. open": "100.0000", "2. high": "102.0000", "3. low": "99.0000",
        "4. close": "101.0000", "5. volume": "1000000"} for m in range(1, 6) for d in range(1, 21)}
async def answer(reader, writer):
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            symbol = re.search(rb"symbol=([^& ]+)", head)[1].decode()
            meta = {"1. Information": "Daily Prices", "2. Symbol": symbol}
            body = json.dumps({"Meta Data": meta, "Time Series (Daily)": bars}).encode()
            await asyncio.sleep(float(sys.argv[1]))
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
                         b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--latency-seconds", type=float, default=0.05)
    options = parser.parse_args()
    symbols = [f"S{n:03}" for n in range(options.symbols)]
    with api(options.latency_seconds) as url, new_warehouse() as warehouse:
        bare_times, our_times = [], []
        for _ in range(options.rounds + 1):
            bare_times.append(timed(lambda: asyncio.run(bare(url, symbols))))
            our_times.append(ours(warehouse, url, symbols))
    ratio = median(our_times[1:]) / median(bare_times[1:])
    print(f"{options.symbols} symbols, {options.latency_seconds * 1000:.0f} ms, no limit\n")
    for name, times in (("bare AsyncClient", bare_times[1:]), ("datapipe", our_times[1:])):
        print(f"{name:<18} {median(times):6.3f} s  ({min(times):.3f} to {max(times):.3f})")
    missed = "" if ratio <= AT_MOST_TIMES else ": MISSED"
    print(f"ratio {ratio:.2f}, at most {AT_MOST_TIMES}{missed}")
    return 0 if ratio <= AT_MOST_TIMES else 1


def timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


async def bare(url: str, symbols: list[str]) -> None:
    waiting = list(symbols)
    sys.modules.pop("sniffio", None)  # what datapipe does to be faster is none of its own

    async def work(client: httpx.AsyncClient) -> None:
        while waiting:
            params = {"function": "TIME_SERIES_DAILY", "symbol": waiting.pop(), "apikey": KEY}
            (await client.get(url, params=params)).raise_for_status()

    limits = httpx.Limits(max_connections=IN_FLIGHT)
    async with httpx.AsyncClient(limits=limits, timeout=90) as client:
        await asyncio.gather(*(work(client) for _ in range(IN_FLIGHT)))


def ours(warehouse: Warehouse, url: str, symbols: list[str]) -> float:
    with (
        warehouse.connect(autocommit=True) as counting,
        warehouse.connect(autocommit=True) as connection,
    ):
        quota = Quota(counting, KEY, Limits(None, None, None), run_id=1)
        source = AlphaVantage(url, KEY, quota, options={})
        requests = source.requests(symbols, named(["daily"]))
        # A new history each round, so that each answer is stored.
        connection.execute("TRUNCATE raw.responses, meta.requests")
        if find_spec("sniffio") is None:
            sys.modules["sniffio"] = None  # type: ignore[assignment]  # as datapipe's client has it
        began = time.perf_counter()
        extracted = extract.run(connection, source, requests, run_id=1)
        took = time.perf_counter() - began
        assert extracted.stored == len(symbols), extracted
        row = connection.execute("SELECT count(*) FROM meta.requests WHERE outcome = 'ok'")
        assert row.fetchone() == (len(symbols),)
    return took


@contextmanager
def api(latency_seconds: float) -> Iterator[str]:
    command = [sys.executable, "-c", SERVER, str(latency_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{json.loads(server.stdout.readline())}/query"
        server.terminate()


if __name__ == "__main__":
    sys.exit(main())
