"""What building one model gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING

from datapipe.frozen import frozen
from datapipe.transform.compile import Compiled
from datapipe.transform.database.relation import Relation
from datapipe.transform.manifest.nodes import Model

if TYPE_CHECKING:
    from datapipe.transform.jinja.tables import Response


@frozen
class Built:
    """A model as it stands aside, with all that publishing has to know of it."""

    model: Model
    aside: Relation
    rows: int | None
    seconds: float
    # The statements that make the same changes to the published table, for a table that grows.
    increment: tuple[str, ...] | None = None
    # It must be published as it is, and not created anew from its SQL: hooks have changed it, or a
    # materialization of the user's has made it.
    moves: bool = False
    # Statements to be sent when all is published, outside of any transaction.
    afterwards: tuple[str, ...] = ()
    # Only new rows were computed.
    grown: bool = False
    # What was sent; None for a seed.
    compiled: Compiled | None = None
    # More relations of the same model.
    also: tuple[Built, ...] = ()
    # Foreign keys, as ALTER TABLE takes them, to be added when other tables have grown.
    keys: tuple[str, ...] = ()
    # Increments of other models, by their keys, in place of those that they had: hooks have changed
    # more rows of theirs.
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # The stretches of time for which a microbatch model was built one by one.
    batches: tuple[tuple[datetime, datetime], ...] = ()
    # Of a function: its oid, and the statement that has made it.
    function: int = 0
    statement: str = ""
    # What PostgreSQL answered to a materialization of the user's.
    response: Response | None = None
