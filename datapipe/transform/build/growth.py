"""Which models grow: only the new rows of their tables are computed."""

from __future__ import annotations

from collections.abc import Collection

import psycopg

from datapipe.transform.build import aside
from datapipe.transform.database import catalog
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation
from datapipe.transform.manifest.nodes import Model

SUFFIX = "__increment"
STRATEGIES = ("append", "delete+insert", "merge")


def starting(
    connection: psycopg.Connection, models: Collection[Model], *, full_refresh: bool
) -> dict[str, RelationState]:
    """The published tables of those ``models`` that grow in this run, by key."""
    wanted = {model.relation.published: model for model in models if _grows(model, full_refresh)}
    found = catalog.states(connection, wanted) if wanted else {}
    return {wanted[name].key: state for name, state in found.items() if state.kind == "r"}


def _grows(model: Model, full_refresh: bool) -> bool:
    if model.materialized == "incremental":
        return not refreshes_fully(model, full_refresh)
    return model.materialized == "snapshot"


def refreshes_fully(model: Model, full_refresh: bool) -> bool:
    """Whether all rows are computed: the model's own setting counts before the run's."""
    own = model.config.get("full_refresh")
    return full_refresh if own is None else bool(own)


def place_of_increment(model: Model) -> Relation:
    """Where the increment of ``model`` is kept."""
    schema, _ = model.relation.published
    return model.relation.within(aside.beside(schema, SUFFIX))


def strategy_of(model: Model) -> str:
    """The strategy that the model asks for, or the one that dbt-postgres takes."""
    default = "delete+insert" if model.config.get("unique_key") else "append"
    given = str(model.config.get("incremental_strategy") or "default")
    return default if given == "default" else given
