"""What publishing will do with each model, given what stands where it is to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from datapipe.errors import PublishError
from datapipe.transform.build.table import Built
from datapipe.transform.database import catalog
from datapipe.transform.database.catalog import Dependent, Grant, Name, RelationState
from datapipe.transform.manifest.nodes import Model

KINDS = {"r": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW"}


@dataclass
class Plan:
    """What to do with each model; ``repointed`` are the users' views on what is swapped.

    The increment of an incremental model is applied to the table that is there. A view is replaced
    where it is, if its shape allows. A table is swapped for the new one, unless
    something hangs on it that cannot be pointed at another: then its rows are replaced in place.
    """

    states: Mapping[Name, RelationState]
    new: list[Built] = field(default_factory=list)
    replaced: list[Built] = field(default_factory=list)
    swapped: list[tuple[Built, RelationState]] = field(default_factory=list)
    in_place: list[Built] = field(default_factory=list)
    increments: list[Built] = field(default_factory=list)
    repointed: list[Dependent] = field(default_factory=list)

    def old(self, each: Built) -> RelationState:
        return self.states[name_of(each.model)]

    def granted(self, each: Built) -> tuple[Grant, ...]:
        """What was granted on the relation that stands where ``each`` goes."""
        old = self.states.get(name_of(each.model))
        return (old.grants or ()) if old else ()

    def owner(self, each: Built) -> str:
        """Who owns the relation that stands where ``each`` goes; an empty string if none does."""
        old = self.states.get(name_of(each.model))
        return old.owner if old else ""

    def aside(self, each: Built) -> RelationState:
        return self.states[each.aside.schema, each.aside.identifier]


def make(connection: psycopg.Connection, built: Sequence[Built]) -> Plan:
    """The plan for what stands now; raises PublishError for what others made and would break."""
    ours = {name_of(each.model) for each in built}
    ours |= {(each.aside.schema, each.aside.identifier) for each in built}
    plan = Plan(catalog.states(connection, ours))
    moved: list[tuple[Built, RelationState]] = []
    for each in built:
        old, new = plan.states.get(name_of(each.model)), plan.aside(each)
        if each.increment is not None:
            if old is None or old.kind != "r":
                raise _refused(
                    each, f"The table {each.model.relation.local} went away during the run."
                )
            plan.increments.append(each)
        elif old is None:
            plan.new.append(each)
        elif each.model.materialized == "view" and old.kind == "v" and _fits(old, new):
            plan.replaced.append(each)
        else:
            moved.append((each, old))
    hanging = _hanging(connection, moved, ours)
    for each, old in moved:
        _move(plan, each, old, hanging.get(old.oid, []))
    # A view over two of the tables was found twice.
    plan.repointed = list({view.what: view for view in plan.repointed}.values())
    return plan


def name_of(model: Model) -> Name:
    """The schema and the name under which ``model`` is published."""
    return model.relation.schema, model.relation.identifier


def columns_of(state: RelationState) -> set[str]:
    """The names of the columns of a relation."""
    return {column.name for column in state.columns}


def _hanging(
    connection: psycopg.Connection, moved: list[tuple[Built, RelationState]], ours: set[Name]
) -> dict[int, list[Dependent]]:
    """What others made on each of the relations, by its oid."""
    hanging: dict[int, list[Dependent]] = {}
    for dependent in catalog.dependents(connection, [old.oid for _, old in moved]):
        view = dependent.view
        if view is None or (view.schema, view.name) not in ours:
            hanging.setdefault(dependent.on, []).append(dependent)
    return hanging


def _move(plan: Plan, each: Built, old: RelationState, others: list[Dependent]) -> None:
    """Swap the new relation for ``old``, or fill ``old`` where it is."""
    if old.kind not in KINDS:
        raise _refused(each, f"{old.local} is there already, and is no table or view.")
    new = plan.aside(each)
    stuck = [dependent for dependent in others if dependent.view is None]
    if stuck or old.guarded:
        _check_in_place(each, old, new, stuck)
        plan.in_place.append(each)
        return
    gone = columns_of(old) - columns_of(new)
    for dependent in others:
        for column in dependent.columns:
            if column in gone:
                raise _refused(
                    each,
                    f"The {dependent.what} uses the column {column} of {old.local}, which the "
                    "model no longer has. Change or drop the view, or keep the column.",
                )
    plan.swapped.append((each, old))
    plan.repointed += others


def _check_in_place(
    each: Built, old: RelationState, new: RelationState, stuck: list[Dependent]
) -> None:
    """Raise PublishError unless the rows of ``old`` can be replaced with it staying there."""
    what = f"The {stuck[0].what}" if stuck else "Row security"
    for dependent in stuck:
        if dependent.is_foreign_key:
            raise _refused(
                each,
                f"A foreign key refers to {old.local} ({dependent.what}), so its rows cannot be "
                "replaced. Drop the foreign key.",
            )
    if old.kind != "r" or new.kind != "r":
        raise _refused(
            each, f"{what} depends on {old.local}, which is to be replaced. Drop it first."
        )
    if old.shape != new.shape:
        changed = [column.name for column in old.columns if column.shape not in new.shape]
        changed += [column.name for column in new.columns if column.shape not in old.shape]
        column = f" (column {changed[0]})" if changed else ""
        raise _refused(
            each,
            f"{what} depends on {old.local}, whose columns change{column}. Drop it, run again, "
            "and create it anew.",
        )


def _fits(old: RelationState, new: RelationState) -> bool:
    """Whether CREATE OR REPLACE VIEW takes the new shape: columns may only be added at the end."""
    return new.shape[: len(old.shape)] == old.shape


def _refused(each: Built, message: str) -> PublishError:
    return PublishError(
        f"{message} Nothing was published.", path=each.model.path, model=each.model.name
    )
