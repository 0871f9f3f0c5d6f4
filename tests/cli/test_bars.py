"""What is drawn on a terminal while the work goes on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

WORK = """
import sys
from datapipe.cli.bars import Bars

with Bars() as bars:
    bars.advance("Load", 1, 2, "prices")
    {waits}
    bars.tell("AAPL [sample] is loaded.")
"""
AT_ONCE, WHEN_TOLD_TO_GO_ON = WORK.format(waits="pass"), WORK.format(waits="sys.stdin.read()")


def on_a_terminal(work: str, *, goes_on_at: bytes = b"") -> str:
    """All that ``work`` writes to a terminal; it may go on when this has been drawn."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", work],
        stdin=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        drawn = b""
        while goes_on_at not in drawn:
            drawn += os.read(ours, 4096)
        process.communicate()
    try:
        while more := os.read(ours, 4096):
            drawn += more
    except OSError:  # so a terminal ends whose other side is closed
        os.close(ours)
    return drawn.decode()


def test_work_that_is_soon_done_gets_no_bar() -> None:
    assert on_a_terminal(AT_ONCE) == "AAPL [sample] is loaded.\r\n"


def test_work_that_takes_a_while_gets_a_bar_and_messages_above_it() -> None:
    drawn = on_a_terminal(WHEN_TOLD_TO_GO_ON, goes_on_at=b"prices")
    assert "Load" in drawn
    assert "1/2" in drawn
    assert "AAPL [sample] is loaded.\r\n" in drawn


def test_a_pipe_gets_only_the_messages() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=True
    )
    assert done.stderr == "AAPL [sample] is loaded.\n"
