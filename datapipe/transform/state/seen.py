"""What a run knows of one node that it has done."""

from __future__ import annotations

from dataclasses import dataclass, field

from datapipe.transform.state.functions import NO_CALLS, Calls
from datapipe.transform.state.records import Aside, NodeState
from datapipe.transform.state.tokens import Token


@dataclass
class Seen:
    """A node that was done in this run.

    ``pending`` are inputs that the run itself will publish. ``table`` is where it lies aside, if it
    is a table, and ``digest`` that of its rows. ``called`` is what its SQL may call.
    """

    state: NodeState
    inputs: dict[str, Token]
    pending: set[str] = field(default_factory=set)
    table: str = ""
    digest: str = ""
    aside: Aside | None = None
    called: Calls = field(default=NO_CALLS)
