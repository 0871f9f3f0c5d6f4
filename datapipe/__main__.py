"""The process of the command line: how it begins and how it ends."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn


def command() -> NoReturn:
    """Run the command line, and end the process as soon as it is done.

    A tenth of a short command would go into looking for cycles while it imports, and as much again
    into taking every object apart when nobody needs them any more.
    """
    gc.set_threshold(200_000)
    from datapipe.cli import main  # after that: its imports are most of a short command

    status = 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        pass
    except OSError as error:
        sys.stderr.write(f"datapipe: there is no room for what is written: {error}\n")
        status = 1
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    command()
