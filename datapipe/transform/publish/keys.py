"""Foreign keys of the project's own tables to what is swapped: taken away, and given back."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from datapipe.errors import PublishError
from datapipe.frozen import frozen
from datapipe.transform.database import definitions
from datapipe.transform.database.dependents import Dependent
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.publish.plan import Plan
from datapipe.warehouse.failures import class_of


@frozen
class Key:
    """A foreign key with what takes it away and what gives it back, which may be left to others."""

    key: Dependent
    dropped: str
    added: str


def of(connection: psycopg.Connection, plan: Plan) -> list[Key]:
    """The keys that are in the way of ``plan``, as they stand."""
    found = []
    for key in (*plan.rekeyed, *plan.unkeyed):
        assert key.of is not None  # noqa: S101 - a foreign key has a table
        table = ".".join(map(quoted, key.of))
        name = quoted(key.constraint)
        added = ""
        if key in plan.rekeyed:
            made = definitions.foreign_key(connection, key.of, key.constraint)
            added = f"ALTER TABLE {plan.names.get(key.of, table)} ADD CONSTRAINT {name} {made}"
        found.append(Key(key, f"ALTER TABLE {table} DROP CONSTRAINT {name}", added))
    return found


def give_back(connection: psycopg.Connection, keys: Sequence[Key]) -> None:
    """Let the keys refer to the new tables; raises PublishError where their rows do not fit."""
    for each in keys:
        try:
            execute(connection, each.added)
        except psycopg.Error as error:
            if class_of(error) not in {"23", "42"}:
                raise
            raise PublishError(
                f"The {each.key.what} would break: "
                f"{error.diag.message_detail or error.diag.message_primary}. Nothing was published."
            ) from error
