"""What publishing does with functions: each is replaced where it is, or swapped for the new one.

CREATE OR REPLACE keeps all that hangs on a function. If PostgreSQL does not allow that, because the
result or the names of arguments differ, the old function is put away and the new one comes in its
place. The same is done if something that is published as it stands refers to the new one. Then the
views of users are pointed at the new one. If something else of theirs hangs on the old one, that
has to stay: it is replaced, and what refers to the new one is made again. Where that cannot be
done, nothing is published.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal

import psycopg

from datapipe.errors import PublishError
from datapipe.frozen import frozen
from datapipe.transform.build import aside
from datapipe.transform.build.built import Built
from datapipe.transform.database import catalog
from datapipe.transform.database import functions as known
from datapipe.transform.database.dependents import (
    Dependent,
    Hanging,
    hanging_on_functions,
    views_of,
)
from datapipe.transform.database.functions import FunctionState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.publish.plan import Plan, name_of

# It ``replaces`` the old one, which stays where it is. Where it is ``rebased``, it does, too, and
# what is published as it stands is made again to refer to that. Else the old one is put away, and
# it is ``created`` or, where something refers to it as it stands, ``moves`` in.
How = Literal["replaces", "rebased", "created", "moves"]


@frozen
class Fate:
    """What becomes of one function; ``old`` is the published one that takes the same arguments.

    ``local`` is what it will be called; ``text`` is the statement that makes it there.
    """

    built: Built
    new: FunctionState
    old: FunctionState | None
    how: How
    local: str
    text: str

    @property
    def model(self) -> Model:
        return self.built.model

    @property
    def moves(self) -> bool:
        return self.how == "moves"

    @property
    def is_anew(self) -> bool:
        """Whether it is another function than the old one, or there is none."""
        return self.how in {"created", "moves"}


@frozen
class Functions:
    """What to do with the functions of a run; ``away`` are the old ones that are put away."""

    fates: list[Fate] = field(default_factory=list)
    away: list[FunctionState] = field(default_factory=list)
    repointed: list[Dependent] = field(default_factory=list)

    def moved(self) -> list[str]:
        """Statements that put the old functions away, and bring in the new ones that move."""
        statements = [
            f"ALTER ROUTINE {old.local} SET SCHEMA {quoted(aside.beside(old.schema, aside.OLD))}"
            for old in self.away
        ]
        statements += [
            f"ALTER ROUTINE {fate.new.local} SET SCHEMA {quoted(name_of(fate.model)[0])}"
            for fate in self.fates
            if fate.moves
        ]
        return statements

    def restored(self, user: str, defaults: Mapping[str, Sequence[catalog.Grant]]) -> list[str]:
        """Statements that give the published functions their owner, grants and comments."""
        statements: list[str] = []
        for fate in self.fates:
            local, new, old = fate.local, fate.new, fate.old
            if old is not None and fate.is_anew:
                if old.owner != user:
                    statements.append(f"ALTER ROUTINE {local} OWNER TO {quoted(old.owner)}")
                granted = old.grants or ()
                if old.grants is not None and not any(g.grantee == "PUBLIC" for g in granted):
                    statements.append(f"REVOKE ALL ON ROUTINE {local} FROM PUBLIC")
                statements += [grant.on(f"ROUTINE {local}") for grant in granted]
            elif fate.moves:
                given = defaults.get(name_of(fate.model)[0], ())
                statements += [grant.on(f"ROUTINE {local}") for grant in given]
            if not fate.moves or old is not None:
                statements += [grant.on(f"ROUTINE {local}") for grant in new.grants or ()]
            comment = new.comment
            if comment is None and old is not None and fate.is_anew:
                comment = old.comment
            if (fate.model.config.get("persist_docs") or {}).get("relation"):
                comment = fate.model.description or comment
            if comment is not None:
                statements.append(f"COMMENT ON ROUTINE {local} IS {literal(comment)}")
        return statements


def old(connection: psycopg.Connection, built: Sequence[Built]) -> set[int]:
    """The oids of published functions that have the names of ``built``."""
    states = known.states(connection, [name_of(each.model) for each in built])
    return {state.oid for state in states}


def make(
    connection: psycopg.Connection,
    built: Sequence[Built],
    plan: Plan,
    models: Iterable[Model],
    recorded: Mapping[str, str],
) -> Functions:
    """What to do with the functions ``built``; ``plan`` is that of the relations.

    ``models`` are all of the project's; ``recorded`` are the functions that it has published
    before, by unique id. Raises PublishError for what others have made and would break.
    """
    if not built:
        return Functions()
    there = known.by_oid(connection, [each.function for each in built])
    built = [each for each in built if each.function in there]  # a hook may have dropped it
    published = {
        state.local: state for state in known.states(connection, [name_of(b.model) for b in built])
    }
    hanging = _Hanging(connection, plan, there, published.values())
    schemas = {name_of(model)[0] for model in models}
    found = Functions()
    for each in built:
        new = there[each.function]
        local = f"{each.model.relation.published_local}({aside.in_public(new.types, schemas)})"
        # PostgreSQL gives no definition of an aggregate: it is made as it was made aside.
        new = replace(new, definition=new.definition or each.statement)
        text = aside.in_public(new.definition, schemas)
        old = published.get(local)
        how = hanging.how(old, new)
        found.fates.append(Fate(each, new, old, how, local, text))
        if old is not None and found.fates[-1].is_anew:
            found.away.append(old)
    found.away.extend(_superseded(found.fates, published, recorded))
    found.repointed.extend(hanging.repointed(found))
    return found


class _Hanging:
    """What hangs on the published functions and on the new ones."""

    def __init__(
        self,
        connection: psycopg.Connection,
        plan: Plan,
        new: Iterable[int],
        old: Iterable[FunctionState],
    ) -> None:
        oids = {state.oid for state in old}
        gone = {state.oid for _, state in plan.swapped} | {state.oid for state in plan.dropped}
        gone |= {plan.old(each).oid for each in (*plan.replaced, *plan.restated)}
        self._movers = {plan.aside(each).oid: plan.aside(each).kind for each in plan.moved}
        stays = {
            name_of(each.model): each.aside.standing for each in (*plan.in_place, *plan.increments)
        }
        self._row_types = known.row_types(connection, stays) if stays else {}
        self._all = [
            each
            for each in hanging_on_functions(connection, [*new, *oids])
            if each.relation not in gone and not (each.on in oids and each.function in oids)
        ]
        seen = {each.relation: each.what for each in self._all if each.is_view and each.on in oids}
        self._views = {
            oid: Dependent(oid, seen[oid], (), state, text, (state.schema, state.name))
            for oid, (state, text) in views_of(connection, list(seen)).items()
            if state.is_ours_to_change
        }

    def how(self, old: FunctionState | None, new: FunctionState) -> How:
        """How ``new`` comes in the place of ``old``."""
        referred = [
            each
            for each in self._all
            if each.on == new.oid and (each.function or each.relation in self._movers)
        ]
        anew: How = "moves" if referred or not new.definition else "created"
        if old is None or not new.definition or not old.takes(self._as_published(new)):
            return anew
        if not referred:
            return "replaces"
        if not self.stuck(old):
            return "moves"
        can_be_made_again = all(self._movers.get(each.relation) in {"v", "m"} for each in referred)
        return "rebased" if can_be_made_again else "moves"

    def _as_published(self, new: FunctionState) -> FunctionState:
        """``new`` as it will be: with the row types of published tables, for tables that stay."""

        def staying(type_: re.Match[str]) -> str:
            return self._row_types.get(type_[0], type_[0])

        kind, *types, modes, names = new.call
        types = [each and re.sub(r"\d+", staying, each) for each in types]
        return replace(new, call=(kind, *types, modes, names))

    def stuck(self, old: FunctionState) -> list[Hanging]:
        """What hangs on ``old`` and cannot be pointed at another function."""
        on_it = [each for each in self._all if each.on == old.oid]
        return [each for each in on_it if each.relation not in self._views]

    def repointed(self, found: Functions) -> list[Dependent]:
        """The views to be pointed at new functions; raises PublishError for what else is there."""
        of = {fate.old.oid: fate for fate in found.fates if fate.old is not None}
        for old in found.away:
            for each in self.stuck(old):
                raise _refused(each.what, old, of.get(old.oid))
        away = {old.oid for old in found.away}
        hanging = [each.relation for each in self._all if each.on in away]
        return [view for oid, view in self._views.items() if oid in hanging]


def _superseded(
    fates: Sequence[Fate], published: Mapping[str, FunctionState], recorded: Mapping[str, str]
) -> list[FunctionState]:
    """Functions that the same nodes have published before, with other arguments.

    If they stayed, calls with such arguments would go on finding them.
    """
    ids = {fate.model.unique_id for fate in fates}
    taken = {fate.local for fate in fates}
    taken |= {local for unique_id, local in recorded.items() if unique_id not in ids}
    before = {recorded.get(unique_id, "") for unique_id in ids} - taken
    return [state for local, state in published.items() if local in before]


def _refused(what: str, old: FunctionState, fate: Fate | None) -> PublishError:
    model = fate.model if fate else None
    why = "its arguments are others now"
    if fate is not None:
        why = "what it gives, or the name of an argument, changes"
        if fate.old is not None and fate.old.takes(fate.new):
            why = "what is published with it refers to the new one"
    return PublishError(
        f"The {what} uses the function {old.local}, which cannot be replaced where it is, as "
        f"{why}. Nothing was published. Drop it, run again, and create it anew.",
        path=model.path if model else None,
        model=model.name if model else "",
    )
