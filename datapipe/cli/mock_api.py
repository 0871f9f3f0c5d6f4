"""datapipe mock-api"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Annotated

import typer

from datapipe.cli import console

Limit = Annotated[int, typer.Option(min=0, help="Requests; 0 means no limit.")]


def mock_api(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    source: Annotated[
        str,
        typer.Option(
            metavar="sample|DIR",
            help="Synthetic prices, or a folder of files named FUNCTION__SYMBOL__anything.json or "
            ".csv.",
        ),
    ] = "sample",
    per_second: Limit = 1,
    per_minute: Limit = 0,
    per_day: Limit = 25,
    premium: Annotated[
        bool, typer.Option("--premium/--free", help="Whether keys are premium keys.")
    ] = False,
    day_seconds: Annotated[
        float, typer.Option(min=0.1, help="How long a day is; for tests.")
    ] = 86400.0,
    latency_seconds: Annotated[float, typer.Option(min=0, help="How long an answer takes.")] = 0.0,
) -> None:
    """Serve answers by the API's own rules, for tests.

    It listens on this machine only. The first line names the address for DATAPIPE_API_URL; beside
    it, /counts tells what was refused. Any key is good. Stop it with Ctrl-C.
    """
    from datapipe.extract.mock_api import Archive, Folder, MockApi, Rules
    from datapipe.extract.mock_sample import SampleArchive

    archive: Archive = SampleArchive() if source == "sample" else Folder(Path(source))
    rules = Rules(
        per_second=per_second or None,
        per_minute=per_minute or None,
        per_day=per_day or None,
        premium=premium,
        day_seconds=day_seconds,
        latency_seconds=latency_seconds,
    )
    api = MockApi(archive, rules, port=port)
    status = 0

    def stop(signum: int, _: FrameType | None) -> None:
        nonlocal status
        status = 130 if signum == signal.SIGINT else 0
        Thread(target=api.close).start()  # it waits for the loop below to end

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    console.say(api.url)
    sys.stdout.flush()
    api.serve()
    raise typer.Exit(status)
