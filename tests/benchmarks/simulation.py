"""Thirty days of a free key in minutes: python tests/benchmarks/simulation.py

Four processes at once, killed at random, ask a strict API on loopback for 60 symbols, 25 requests a
day. A day lasts some seconds. Ends with status 1 where a request was refused, or where something
was complete on a later day than it could be with the requests that the kills have left. Uses the
server of TEST_SERVER_URL, or one of datapipe's own in a temporary folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from database import new_warehouse
from simulated_days import Simulation, run


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
    with new_warehouse() as warehouse, warehouse.connect(autocommit=True) as connection:
        outcome = run(simulation, connection, warehouse.url)
    refused = sum(outcome.counts.values()) - outcome.counts["requests"] - outcome.counts["ok"]
    met = not refused and outcome.complete_on == outcome.best
    print(f"{options.symbols} symbols, {options.days} days, {outcome.kills} kills")
    print(f"asked by day:   {outcome.asked}, refused: {refused}")
    print(f"lost by kills:  {outcome.lost}")
    print(f"complete on:    {outcome.complete_on} (the first round, then each week)")
    print(f"best possible:  {outcome.best}{'' if met else ': MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
