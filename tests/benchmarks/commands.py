"""How long whole commands take, side by side in one run: python tests/benchmarks/commands.py

Uses the datapipe beside this Python, with a warehouse of its own in a temporary folder. The
commands take turns, so that a machine that slows down slows all of them; one round before the
first is not counted. Ends with status 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

DATAPIPE = str(Path(sys.executable).with_name("datapipe"))
PYTHON = (sys.executable, "-c", "pass")
HELP = (DATAPIPE, "--help")
RUN_ALL = (DATAPIPE, "run-all", "--source", "sample")
REPORT = (DATAPIPE, "report")

HELP_AT_MOST_TIMES_PYTHON = 8.0
SECONDS_AT_MOST = {RUN_ALL: 2.0, REPORT: 0.7}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="datapipe benchmark ") as folder:
        bench = Bench(Path(folder))
        try:
            first = bench.seconds(RUN_ALL)
            taken = bench.rounds(rounds)
        finally:
            bench.seconds((DATAPIPE, "db", "stop"))
    print(f"{rounds} rounds; the first run-all, which sets the warehouse up: {first:.2f} s\n")
    return show(taken)


class Bench:
    """Runs commands in an empty folder, with no settings but where the data lie."""

    def __init__(self, folder: Path) -> None:
        self._cwd = folder / "empty"
        self._cwd.mkdir()
        ours = ("DATAPIPE_", "ALPHA_VANTAGE_", "PG")
        self._environ = {
            name: value for name, value in os.environ.items() if not name.startswith(ours)
        }
        self._environ["DATAPIPE_DATA_DIR"] = str(folder / "data")

    def seconds(self, command: tuple[str, ...]) -> float:
        """The time that ``command`` took; what it said is shown only if it failed."""
        began = time.perf_counter()
        done = subprocess.run(
            command, cwd=self._cwd, env=self._environ, capture_output=True, text=True, check=False
        )
        took = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        return took

    def rounds(self, number: int) -> dict[tuple[str, ...], list[float]]:
        taken: dict[tuple[str, ...], list[float]] = {
            command: [] for command in (PYTHON, HELP, RUN_ALL, REPORT)
        }
        for _ in range(number + 1):
            for command, times in taken.items():
                if command == REPORT:  # the first one against a server that has just started
                    self.seconds((DATAPIPE, "db", "stop"))
                    self.seconds((DATAPIPE, "db", "start"))
                times.append(self.seconds(command))
        return {command: times[1:] for command, times in taken.items()}


def show(taken: dict[tuple[str, ...], list[float]]) -> int:
    ratio = median(taken[HELP]) / median(taken[PYTHON])
    rows = [
        ("python -c pass", taken[PYTHON], "", True),
        (
            "datapipe --help",
            taken[HELP],
            f"{ratio:.1f} times python, at most {HELP_AT_MOST_TIMES_PYTHON:.0f}",
            ratio <= HELP_AT_MOST_TIMES_PYTHON,
        ),
    ]
    for command, label in ((RUN_ALL, "run-all, nothing new"), (REPORT, "report, the first")):
        limit = SECONDS_AT_MOST[command]
        within = median(taken[command]) < limit
        rows.append((label, taken[command], f"under {limit} s", within))
    print(f"{'':<22}{'median':>8}{'min':>8}{'max':>8}   target")
    for label, times, target, within in rows:
        figures = "".join(f"{value:>8.3f}" for value in (median(times), min(times), max(times)))
        print(f"{label:<22}{figures}   {target}{'' if within else ': MISSED'}".rstrip())
    return 0 if all(within for *_, within in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
