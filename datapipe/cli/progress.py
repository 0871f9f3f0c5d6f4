"""How the commands show that the work goes on: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from datapipe.asking import Listener
from datapipe.cli.bars import Bars
from datapipe.cli.summary import node_line, summary
from datapipe.pipeline import Pipeline

if TYPE_CHECKING:
    from datapipe.settings import Settings


@contextmanager
def shown(
    settings: Settings, *, quiet: bool, steps: bool = False, verbose: bool = False
) -> Iterator[Pipeline]:
    """A pipeline whose progress is shown.

    With ``steps``, what each step did is told as soon as it has ended; with ``verbose``, how each
    model and test ended.
    """
    if quiet:
        yield Pipeline(settings)
        return
    with Bars() as bars:
        yield Pipeline(
            settings,
            Listener(
                extracted=partial(bars.advance, "Extract"),
                loaded=partial(bars.advance, "Load"),
                transformed=partial(bars.advance, "Transform"),
                node=lambda *ended: bars.tell(node_line(*ended)) if verbose else None,
                message=bars.tell,
                finished=lambda result: bars.tell(summary(result)) if steps else None,
            ),
        )
