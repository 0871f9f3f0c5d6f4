"""Records what a publication has made visible, for reports and for the next run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg

from datapipe.transform.build.built import Built
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model


def into_meta_models(
    built: Sequence[Built], manifest: Manifest, run_id: int
) -> Callable[[psycopg.Connection], None]:
    """What a publication calls within its transaction, so that reports find the models."""
    models = [
        (name, each.model)
        for each in built
        if not each.model.is_function
        for name in _names(each.model)
    ]
    # Selected or not, they have a relation: what else is written down has left the project.
    in_project = [
        name
        for model in manifest.models.values()
        if model.materialized != "ephemeral"
        for name in _names(model)
    ]

    def record(connection: psycopg.Connection) -> None:
        connection.execute(
            """
            INSERT INTO meta.models AS m
                (name, resource_type, schema_name, relation_name, materialized, run_id)
            SELECT name, resource_type, schema_name, relation_name, materialized, %s
            FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
                AS new (name, resource_type, schema_name, relation_name, materialized)
            ON CONFLICT (name) DO UPDATE SET
                resource_type = excluded.resource_type,
                schema_name = excluded.schema_name,
                relation_name = excluded.relation_name,
                materialized = excluded.materialized,
                run_id = excluded.run_id,
                published_at = excluded.published_at
            """,
            [
                run_id,
                [name for name, _ in models],
                [model.resource_type for _, model in models],
                [model.relation.schema for _, model in models],
                [model.relation.identifier for _, model in models],
                [model.materialized for _, model in models],
            ],
        )
        connection.execute(
            "DELETE FROM meta.models WHERE resource_type = ANY(%s) AND name <> ALL(%s)",
            [["model", "seed", "snapshot"], in_project],
        )

    return record


def _names(model: Model) -> list[str]:
    """The names by which a report finds ``model``; the latest version has the plain name, too."""
    return [model.key, model.name] if model.is_latest_version else [model.key]
