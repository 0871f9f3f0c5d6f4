"""Nothing is done twice: what each model was made of, and so what need not be made again.

A model is unchanged if its SQL and settings are, if nothing that its build has read has changed, if
its relation stands as it was published, and if it does not read the clock. What a build has read is
asked of PostgreSQL, which knows it from its locks, so views and functions hide nothing. If
something cannot be told, the model is built.
"""

from datapipe.transform.state.facts import facts
from datapipe.transform.state.memory import Kept, Memory, begin
from datapipe.transform.state.plan import Plan, Planned, planned
from datapipe.transform.state.records import LastRun, last_run

__all__ = [
    "Kept",
    "LastRun",
    "Memory",
    "Plan",
    "Planned",
    "begin",
    "facts",
    "last_run",
    "planned",
]
