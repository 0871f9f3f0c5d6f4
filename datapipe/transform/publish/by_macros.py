"""Grants and comments that macros of the project's own give, in place of dbt's.

They are called in the transaction that publishes, when the model stands where readers find it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import psycopg

from datapipe.transform.build import overrides
from datapipe.transform.build.built import Built
from datapipe.transform.compile import Compiler
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.statements import execute
from datapipe.transform.publish import grants
from datapipe.transform.publish.plan import Plan, name_of

_TYPES = {"v": "view", "m": "materialized_view"}


class ByMacros:
    """Calls those macros; a materialization of the project's own has called them itself."""

    def __init__(self, connection: psycopg.Connection, compiler: Compiler) -> None:
        self._connection = connection
        self._compiler = compiler
        self._grants = overrides.gives_grants(compiler.renderer)
        self._comments = overrides.makes_comments(compiler.renderer)

    def gives_grants(self, each: Built) -> bool:
        return self._grants and not self._is_custom(each)

    def makes_comments(self, each: Built) -> bool:
        return self._comments and not self._is_custom(each)

    def grant(self, each: Built, plan: Plan, others: Collection[str]) -> None:
        """Call ``apply_grants``, after taking from ``others`` what a new table of dbt's would lack.

        If the model's settings have no ``grants``, they keep what they were granted.
        """
        model = each.model
        given = {
            privilege: [to] if isinstance(to, str) else list(to or [])
            for privilege, to in (model.config.get("grants") or {}).items()
        }
        is_new = not each.grown and not model.is_seed
        if given and is_new:
            for statement in grants.revoked(model.relation.published_local, others):
                execute(self._connection, statement)
        old = plan.states.get(name_of(model))
        existing = None if old is None else _relation(each, old)
        revokes = self._called(each, "should_revoke", existing, is_new)
        self._called(each, "apply_grants", _relation(each, plan.stands(each)), given, revokes)

    def comment(self, each: Built, plan: Plan) -> None:
        """Call ``persist_docs``."""
        seen = self._compiler.seen(each.model, each.compiled)
        self._called(each, "persist_docs", _relation(each, plan.stands(each)), seen)

    def _is_custom(self, each: Built) -> bool:
        return self._compiler.materialization(each.model) is not None

    def _called(self, each: Built, macro: str, *values: Any) -> Any:
        own = {"is_incremental": lambda: each.grown}
        with self._compiler.renderer.using(self._connection):
            return self._compiler.call(each.model, macro, values, this=each.model.relation, own=own)


def _relation(each: Built, state: RelationState) -> Relation:
    return replace(each.model.relation, type=_TYPES.get(state.kind, "table"))
