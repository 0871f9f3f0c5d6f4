"""Decides whether what is published is swapped, or its rows are replaced in place."""

from __future__ import annotations

from collections.abc import Collection

import psycopg

from datapipe.transform.build.built import Built
from datapipe.transform.database import definitions, marks
from datapipe.transform.database.catalog import KINDS, Name, RelationState
from datapipe.transform.database.dependents import Dependent, dependents
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.publish.plan import Plan, columns_of, refused


class Swaps:
    """Decides it for what has ``moved``: each new relation, with the old one in its place.

    ``project`` are the names of all models, ``ours`` those that this run has built. ``read_on`` are
    the oids of what materialized views aside read, ``making_way`` those of functions that will be
    gone, and ``hooked`` the names of what hooks have made rules on, or may have.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        plan: Plan,
        moved: list[tuple[Built, RelationState]],
        ours: Collection[Name],
        project: Collection[Name],
        read_on: Collection[int],
        making_way: Collection[int],
        hooked: Collection[Name],
    ) -> None:
        self.connection = connection
        self.plan = plan
        self.read_on = read_on
        self.moved = moved
        self.project = project
        self.hanging: dict[int, list[Dependent]] = {}
        self.keys_aside: dict[int, list[Dependent]] = {}  # right as they are if the table stays
        oids = [old.oid for _, old in moved]
        for dependent in dependents(connection, oids):
            if dependent.function in making_way:
                continue
            if dependent.constraint and dependent.of in plan.names:
                self.keys_aside.setdefault(dependent.on, []).append(dependent)
            elif (
                dependent.of not in ours
                or dependent.constraint
                or (dependent.rule and dependent.of not in hooked)
            ):
                self.hanging.setdefault(dependent.on, []).append(dependent)
        self.constraints = _constraints(connection, plan, moved)
        self.marked = marks.marked(connection, oids) if oids else set()

    def decide(self) -> None:
        """Write into the plan what becomes of each."""
        for each, old in self.moved:
            self._move(each, old, self.hanging.get(old.oid, []))
        # A view over two of the tables was found twice.
        self.plan.repointed = list({view.what: view for view in self.plan.repointed}.values())
        swapped = {(old.schema, old.name) for _, old in self.plan.swapped}
        keys = [key for key in self.plan.rekeyed if key.of not in swapped]
        self.plan.rekeyed = [key for key in keys if not self._is_marked(key)]
        self.plan.unkeyed = [key for key in keys if self._is_marked(key)]

    def _is_marked(self, key: Dependent) -> bool:
        return (key.of, key.constraint) in self.marked

    def _move(self, each: Built, old: RelationState, others: list[Dependent]) -> None:
        """Swap the new relation for ``old``, or fill ``old`` where it is."""
        new = self.plan.aside(each)
        if old.kind not in KINDS or (old.kind == "p" and new.kind != "p"):
            raise refused(each, f"{old.local} is there already, and is no table or view.")
        if each.model.has_hooks:  # what they made of the old table, they make of the new one
            others = [other for other in others if not other.part]
        keys = [key for key in others if key.constraint and key.of in self.project]
        stuck = [other for other in others if other.view is None and other not in keys]
        if stuck and new.oid not in self.read_on and self._can_stay(old, new):
            self.plan.moved.remove(each)
            (self.plan.restated if old.kind == "v" else self.plan.refreshed).append(each)
            return
        lost = self._lost_constraint(each, old, new)
        if stuck or (old.guarded and not new.guarded) or lost:
            what = f"The {stuck[0].what}" if stuck else lost or "Row security"
            _check_in_place(each, old, new, [*stuck, *keys], what)
            self.plan.in_place.append(each)
            if each in self.plan.moved:
                self.plan.moved.remove(each)
            return
        gone = columns_of(old) - columns_of(new)
        for dependent in others:
            for column in dependent.columns:
                if column in gone:
                    raise refused(
                        each,
                        f"The {dependent.what} uses the column {column} of {old.local}, which the "
                        "model no longer has. Change or drop the view, or keep the column.",
                    )
        self.plan.swapped.append((each, old))
        self.plan.repointed += [other for other in others if other.view is not None]
        self.plan.rekeyed += [*keys, *self.keys_aside.get(old.oid, [])]

    def _can_stay(self, old: RelationState, new: RelationState) -> bool:
        """Whether the old view can be given the query of the new one, and stay."""
        if old.kind == new.kind == "v":
            return fits(old, new)
        if old.kind != "m" or new.kind != "m":
            return False
        texts = definitions.of_views(self.connection, [old.oid, new.oid])
        return texts[old.oid] == definitions.renamed(texts[new.oid], self.plan.names)

    def _lost_constraint(self, each: Built, old: RelationState, new: RelationState) -> str:
        """A constraint that somebody has put on the old table, and that the new one lacks.

        If the model makes constraints itself, those count, and none is missed.
        """
        if _declares_constraints(each.model):
            return ""
        there, coming = self.constraints.get(old.oid, {}), self.constraints.get(new.oid, {})
        table = (old.schema, old.name)
        lost = sorted(
            name
            for made, name in there.items()
            if made not in coming and (table, name) not in self.marked
        )
        return f"The constraint {lost[0]}" if lost else ""


def _declares_constraints(model: Model) -> bool:
    """Whether the model makes the constraints of its table, by a contract or hooks."""
    return model.has_contract or model.has_hooks


def _constraints(
    connection: psycopg.Connection,
    plan: Plan,
    moved: list[tuple[Built, RelationState]],
) -> dict[int, dict[str, str]]:
    """The constraints of old and new tables, in the same words, with their names."""
    oids = [old.oid for _, old in moved if old.kind == "r"]
    if not oids:
        return {}
    oids += [plan.aside(each).oid for each, _ in moved]
    return {
        oid: {definitions.renamed(made, plan.names): name for made, name in of.items()}
        for oid, of in definitions.constraints(connection, oids).items()
    }


def _check_in_place(
    each: Built, old: RelationState, new: RelationState, stuck: list[Dependent], what: str
) -> None:
    """Raise PublishError unless the rows of ``old`` can be replaced in place."""
    for dependent in stuck:
        if dependent.constraint:
            raise refused(
                each,
                f"A foreign key refers to {old.local} ({dependent.what}), so its rows cannot be "
                "replaced. Drop the foreign key.",
            )
    if old.kind != "r" or new.kind != "r":
        raise refused(
            each, f"{what} depends on {old.local}, which is to be replaced. Drop it first."
        )
    if old.shape != new.shape:
        changed = [column.name for column in old.columns if column.shape not in new.shape]
        changed += [column.name for column in new.columns if column.shape not in old.shape]
        column = f" (column {changed[0]})" if changed else ""
        raise refused(
            each,
            f"{what} depends on {old.local}, whose columns change{column}. Drop it, run again, "
            "and create it anew.",
        )


def fits(old: RelationState, new: RelationState) -> bool:
    """Whether CREATE OR REPLACE VIEW takes the new shape: columns may only be added at the end."""
    return new.shape[: len(old.shape)] == old.shape
