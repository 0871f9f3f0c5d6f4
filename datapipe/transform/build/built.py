"""What building one model gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from datapipe.frozen import frozen
from datapipe.transform.compile import Compiled
from datapipe.transform.database.relation import Relation
from datapipe.transform.manifest.nodes import Model


@frozen
class Built:
    """A model as it stands aside; ``increment`` are the statements that publish an increment.

    What stands aside ``moves`` where it must be published as it is, and not created anew: hooks
    have been at it, or a materialization of the user's made it. ``afterwards`` is sent when all
    is published, outside of any transaction. ``grown`` says that only new rows were computed;
    ``compiled`` is what was sent, None for a seed. ``also`` are more relations of the same model.
    ``keys`` are foreign keys, as ALTER TABLE takes them, to be added when other tables have grown.
    ``elsewhere`` are increments of other models, by their keys, in place of those that they had.
    ``batches`` are the stretches of time for which it was built one by one.
    ``function`` is the oid of what stands aside, where that is a function, and ``statement`` what
    made it.
    """

    model: Model
    aside: Relation
    rows: int | None
    seconds: float
    increment: tuple[str, ...] | None = None
    moves: bool = False
    afterwards: tuple[str, ...] = ()
    grown: bool = False
    compiled: Compiled | None = None
    also: tuple[Built, ...] = ()
    keys: tuple[str, ...] = ()
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    batches: tuple[tuple[datetime, datetime], ...] = ()
    function: int = 0
    statement: str = ""
