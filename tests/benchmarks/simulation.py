"""Thirty days of a free key in minutes: python tests/benchmarks/simulation.py

Four processes at once, killed at random, ask a strict API on loopback for 60 symbols, 25 requests a
day. A day lasts some seconds. Ends with status 1 where a request was refused, or where something
was complete on a later day than it could be with the requests that the kills have left. Uses the
server of TEST_SERVER_URL, or one of datapipe's own in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulated_days import Simulation, run

from datapipe.warehouse import Warehouse
from datapipe.warehouse.embedded import EmbeddedServer


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--symbols", type=int, default=60)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--per-day", type=int, default=25)
    parser.add_argument("--day-seconds", type=float, default=10.0)
    parser.add_argument("--per-second", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    simulation = Simulation(**vars(options))
    with a_server() as url, psycopg.connect(url("postgres"), autocommit=True) as admin:
        name = f"simulation_{os.getpid()}"
        try:
            Warehouse(url(name), created_from=url("postgres")).upgrade()
            with Warehouse(url(name)).connect(autocommit=True) as connection:
                outcome = run(simulation, connection, url(name))
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    refused = sum(outcome.counts.values()) - outcome.counts["requests"] - outcome.counts["ok"]
    met = not refused and outcome.complete_on == outcome.best
    print(f"{options.symbols} symbols, {options.days} days, {outcome.kills} kills")
    print(f"asked by day:   {outcome.asked}, refused: {refused}")
    print(f"lost by kills:  {outcome.lost}")
    print(f"complete on:    {outcome.complete_on} (the first round, then each week)")
    print(f"best possible:  {outcome.best}{'' if met else ': MISSED'}")
    return 0 if met else 1


@contextmanager
def a_server() -> Iterator[Callable[[str], str]]:
    outside = os.environ.get("TEST_SERVER_URL")
    if outside:
        yield lambda name: outside.rstrip("/") + "/" + name
        return
    with tempfile.TemporaryDirectory(prefix="datapipe benchmark ") as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            yield server.url
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
