"""The plan of a publication: what it does with each model, given what stands where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datapipe.errors import PublishError
from datapipe.transform.build.built import Built
from datapipe.transform.database.catalog import Grant, Name, RelationState
from datapipe.transform.database.dependents import Dependent
from datapipe.transform.manifest.nodes import Model


@dataclass
class Plan:
    """What to do with each model that was built; what stands aside is in the order it was built in.

    ``states`` are the relations that stand now, published and aside; ``names`` is what those aside
    will be called, as SQL has it.
    """

    states: Mapping[Name, RelationState]
    names: Mapping[Name, str] = field(default_factory=dict)

    # Nothing is published under the name.
    new: list[Built] = field(default_factory=list)
    # Published views that take the new query as they are: their shape allows it.
    replaced: list[Built] = field(default_factory=list)
    # What is published is put away, and the new one comes in its place.
    swapped: list[tuple[Built, RelationState]] = field(default_factory=list)
    # Tables on which something hangs that cannot be pointed at others: their rows are replaced.
    in_place: list[Built] = field(default_factory=list)
    # Tables that grow: the increment changes the rows of the published one.
    increments: list[Built] = field(default_factory=list)

    # What goes where it is published as it stands aside. A view does not: it is made there anew,
    # unless a materialized view reads it.
    moved: list[Built] = field(default_factory=list)
    # Views that cannot be swapped, as something hangs on them: they are given the new query.
    restated: list[Built] = field(default_factory=list)
    # Materialized views of which the same is true: theirs is the new query already.
    refreshed: list[Built] = field(default_factory=list)
    # What is published, and a hook has dropped aside.
    dropped: list[RelationState] = field(default_factory=list)

    # Views of users on what is swapped, to be pointed at the new one.
    repointed: list[Dependent] = field(default_factory=list)
    # Foreign keys of the project's tables to what is swapped, to be pointed at the new one; also
    # those of tables aside that a hook has pointed at the old one.
    rekeyed: list[Dependent] = field(default_factory=list)
    # Those of them that ``on-run-end`` makes anew.
    unkeyed: list[Dependent] = field(default_factory=list)

    def old(self, each: Built) -> RelationState:
        """What is published under the name of ``each`` before it is."""
        return self.states[name_of(each.model)]

    def granted(self, each: Built) -> tuple[Grant, ...]:
        """What was granted on the relation that stands where ``each`` goes."""
        old = self.states.get(name_of(each.model))
        return (old.grants or ()) if old else ()

    def owner(self, each: Built) -> str:
        """Who owns the relation that stands where ``each`` goes; empty if there is none."""
        old = self.states.get(name_of(each.model))
        return old.owner if old else ""

    @property
    def is_keyed(self) -> bool:
        """Whether a table that grows has a foreign key to what is swapped.

        New rows may refer to what is not published yet.
        """
        grown = {name_of(each.model) for each in self.increments}
        return any(key.of in grown for key in (*self.rekeyed, *self.unkeyed))

    @property
    def is_filled(self) -> bool:
        """Whether tables change before the swap."""
        return bool(self.increments or self.in_place or any(each.keys for each in self.moved))

    def aside(self, each: Built) -> RelationState:
        return self.states[each.aside.standing]

    def stands(self, each: Built) -> RelationState:
        """What is published in the end: the table that grows, or else what stands aside."""
        return self.old(each) if each.increment is not None else self.aside(each)


def name_of(model: Model) -> Name:
    """The schema and the name under which ``model`` is published."""
    return model.relation.published


def columns_of(state: RelationState) -> set[str]:
    """The names of the columns of a relation."""
    return {column.name for column in state.columns}


def refused(each: Built, message: str) -> PublishError:
    return PublishError(
        f"{message} Nothing was published.", path=each.model.path, model=each.model.name
    )
