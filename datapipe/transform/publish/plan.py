"""What publishing will do with each model, given what stands where it is to go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from datapipe.errors import PublishError
from datapipe.transform.build.built import Built
from datapipe.transform.database import catalog, definitions, marks
from datapipe.transform.database.catalog import KINDS, Grant, Name, RelationState
from datapipe.transform.database.definitions import plain_name
from datapipe.transform.database.dependents import Dependent, dependents, reads
from datapipe.transform.manifest.nodes import Model

_LOADED = "raw"


@dataclass
class Plan:
    """What to do with each model; ``repointed`` are the users' views on what is swapped.

    The increment of an incremental model is applied to the table that is there. A view is replaced
    where it is, if its shape allows. Anything else is swapped for the new one, unless
    something hangs on it that cannot be pointed at another: then its rows are replaced in place.
    ``rekeyed`` are foreign keys of our own tables, to be pointed at the new table, too, also those
    of tables aside that a hook pointed at the old one; ``unkeyed`` are those that ``on-run-end``
    makes anew. ``names`` are what stands aside will be called, as SQL has it.

    What stands aside is ``moved`` to where it is published, or created there anew, if it is a view
    that no materialized view reads. A view that cannot move, as something hangs on the old one, is
    ``restated``: the old one gets its query; so is a materialized view ``refreshed``. What a hook
    has dropped aside is ``dropped``.
    """

    states: Mapping[Name, RelationState]
    names: Mapping[Name, str] = field(default_factory=dict)
    new: list[Built] = field(default_factory=list)
    replaced: list[Built] = field(default_factory=list)
    swapped: list[tuple[Built, RelationState]] = field(default_factory=list)
    in_place: list[Built] = field(default_factory=list)
    increments: list[Built] = field(default_factory=list)
    repointed: list[Dependent] = field(default_factory=list)
    rekeyed: list[Dependent] = field(default_factory=list)
    unkeyed: list[Dependent] = field(default_factory=list)
    moved: list[Built] = field(default_factory=list)
    restated: list[Built] = field(default_factory=list)
    refreshed: list[Built] = field(default_factory=list)
    dropped: list[RelationState] = field(default_factory=list)

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

    @property
    def is_keyed(self) -> bool:
        """Whether what grows has a foreign key to what is swapped, which new rows may not fit."""
        grown = {name_of(each.model) for each in self.increments}
        return any(key.of in grown for key in (*self.rekeyed, *self.unkeyed))

    @property
    def is_filled(self) -> bool:
        """Whether anything of it is done before the swap."""
        return bool(self.increments or self.in_place or any(each.keys for each in self.moved))

    def aside(self, each: Built) -> RelationState:
        return self.states[each.aside.standing]

    def stands(self, each: Built) -> RelationState:
        """What is published: the table that grows, or else what stands aside."""
        return self.old(each) if each.increment is not None else self.aside(each)


def make(
    connection: psycopg.Connection,
    built: Sequence[Built],
    models: Iterable[Model],
    functions: Sequence[Built] = (),
    making_way: Collection[int] = (),
) -> Plan:
    """The plan for what stands now; raises PublishError for what others made and would break.

    ``models`` are all of the project's. ``functions`` are published with ``built``, and
    ``making_way`` are the oids of those that make way for them.
    """
    ours = {name_of(each.model) for each in built}
    ours |= {each.aside.standing for each in built}
    names = {each.aside.standing: plain_name(name_of(each.model)) for each in (*built, *functions)}
    plan = Plan(catalog.states(connection, ours), names)
    _leave_out_what_is_gone(connection, plan, built, ours)
    built = [each for each in built if each.aside.standing in plan.states]
    _refuse_loaded(connection, plan, built)
    read_on = _read_by_what_moves(connection, plan, built)
    moved: list[tuple[Built, RelationState]] = []
    for each in built:
        old, new = plan.states.get(name_of(each.model)), plan.aside(each)
        if each.increment is not None:
            if old is None or old.kind not in {"r", "m"}:
                raise _refused(
                    each,
                    f"The table {each.model.relation.published_local} went away during the run.",
                )
            plan.increments.append(each)
            continue
        moves = new.kind != "v" or each.moves or new.oid in read_on
        if old is None:
            plan.new.append(each)
        elif not moves and old.kind == "v" and _fits(old, new):
            plan.replaced.append(each)
        else:
            moved.append((each, old))
        if moves:
            plan.moved.append(each)
    project = {name_of(model) for model in models}
    _Swaps(connection, plan, moved, ours, project, read_on, names, making_way).decide()
    return plan


def _leave_out_what_is_gone(
    connection: psycopg.Connection, plan: Plan, built: Sequence[Built], ours: Collection[Name]
) -> None:
    """Where a hook has dropped what it was to be about, what is published goes, too.

    It stays as it is where something of others hangs on it.
    """
    gone = [each for each in built if each.aside.standing not in plan.states]
    olds = [plan.states[name] for each in gone if (name := name_of(each.model)) in plan.states]
    hanging = dependents(connection, [old.oid for old in olds])
    hung_on = {each.on for each in hanging if each.of not in ours}
    plan.dropped = [old for old in olds if old.oid not in hung_on]


def _refuse_loaded(connection: psycopg.Connection, plan: Plan, built: Sequence[Built]) -> None:
    """Raise PublishError where a model would replace what datapipe loads, in the schema raw."""
    there = [each for each in built if name_of(each.model) in plan.states]
    there = [each for each in there if name_of(each.model)[0] == _LOADED]
    if not there:
        return
    rows = connection.execute(
        "SELECT relation_name FROM meta.models WHERE schema_name = %s", [_LOADED]
    )
    ours = {row[0] for row in rows}
    for each in there:
        if name_of(each.model)[1] not in ours:
            raise _refused(
                each,
                f"{each.model.relation.published_local} is there already, and transform did not "
                "publish it: the schema raw holds what datapipe loads. Give the model another "
                "schema or alias.",
            )


def name_of(model: Model) -> Name:
    """The schema and the name under which ``model`` is published."""
    return model.relation.published


def columns_of(state: RelationState) -> set[str]:
    """The names of the columns of a relation."""
    return {column.name for column in state.columns}


def _read_by_what_moves(
    connection: psycopg.Connection, plan: Plan, built: Sequence[Built]
) -> set[int]:
    """What the materialized views aside read, and all else that is published as it stands.

    What they refer to must be published as it stands, too, for it is what they go on referring to.
    """
    states = {plan.aside(each).oid: each for each in built if each.aside.standing in plan.states}
    movers = {oid for oid, each in states.items() if each.moves or plan.aside(each).kind == "m"}
    if not movers:
        return set()
    edges = reads(connection, states)
    found: set[int] = set()
    while movers:
        movers = {read for mover in movers for read in edges.get(mover, ())} - found
        found |= movers
    return found


class _Swaps:
    """Decides for what is there already: is it swapped, or are its rows replaced in place?"""

    def __init__(
        self,
        connection: psycopg.Connection,
        plan: Plan,
        moved: list[tuple[Built, RelationState]],
        ours: Collection[Name],
        project: Collection[Name],
        read_on: Collection[int],
        names: Mapping[Name, str],
        making_way: Collection[int],
    ) -> None:
        self.connection = connection
        self.names = names
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
            if dependent.constraint and dependent.of in names:
                self.keys_aside.setdefault(dependent.on, []).append(dependent)
            elif dependent.of not in ours or dependent.constraint:
                self.hanging.setdefault(dependent.on, []).append(dependent)
        self.constraints = _constraints(connection, plan, moved, names)
        self.marked = marks.marked(connection, oids) if oids else set()

    def decide(self) -> None:
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
            raise _refused(each, f"{old.local} is there already, and is no table or view.")
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
                    raise _refused(
                        each,
                        f"The {dependent.what} uses the column {column} of {old.local}, which the "
                        "model no longer has. Change or drop the view, or keep the column.",
                    )
        self.plan.swapped.append((each, old))
        self.plan.repointed += [other for other in others if other.view is not None]
        self.plan.rekeyed += [*keys, *self.keys_aside.get(old.oid, [])]

    def _can_stay(self, old: RelationState, new: RelationState) -> bool:
        """Whether the old view can be made what the new one is, and stay the view that it is."""
        if old.kind == new.kind == "v":
            return _fits(old, new)
        if old.kind != "m" or new.kind != "m":
            return False
        texts = definitions.of_views(self.connection, [old.oid, new.oid])
        return texts[old.oid] == definitions.renamed(texts[new.oid], self.names)

    def _lost_constraint(self, each: Built, old: RelationState, new: RelationState) -> str:
        """A constraint that somebody put on the table, and that the new one does not have.

        Where the model itself makes constraints, its word counts.
        """
        if declares_constraints(each.model):
            return ""
        there, coming = self.constraints.get(old.oid, {}), self.constraints.get(new.oid, {})
        table = (old.schema, old.name)
        lost = sorted(
            name
            for made, name in there.items()
            if made not in coming and (table, name) not in self.marked
        )
        return f"The constraint {lost[0]}" if lost else ""


def declares_constraints(model: Model) -> bool:
    """Whether the constraints of the model's table come from the model: its contract, its hooks."""
    contract = model.config.get("contract") or {}
    return bool(contract.get("enforced")) or model.has_hooks


def _constraints(
    connection: psycopg.Connection,
    plan: Plan,
    moved: list[tuple[Built, RelationState]],
    names: Mapping[Name, str],
) -> dict[int, dict[str, str]]:
    """What constrains the tables that are there and those that are to come, in the same words."""
    oids = [old.oid for _, old in moved if old.kind == "r"]
    if not oids:
        return {}
    oids += [plan.aside(each).oid for each, _ in moved]
    return {
        oid: {definitions.renamed(made, names): name for made, name in of.items()}
        for oid, of in definitions.constraints(connection, oids).items()
    }


def _check_in_place(
    each: Built, old: RelationState, new: RelationState, stuck: list[Dependent], what: str
) -> None:
    """Raise PublishError unless the rows of ``old`` can be replaced with it staying there."""
    for dependent in stuck:
        if dependent.constraint:
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
