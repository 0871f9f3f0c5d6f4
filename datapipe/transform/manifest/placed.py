"""Where models will be published: the schema and the name that the project's macros give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation, ephemeral
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.configs import Layer, place_of
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.sources import relation

_TAKEN = "meta"  # what datapipe remembers lies there


def placed(model: Model, layers: Sequence[Layer], renderer: Renderer) -> Model:
    """``model`` with the schema and the name that the project's macros give it."""
    node = model.as_template_sees_it()
    if model.materialized == "ephemeral":
        named = Relation(
            _named(renderer, "database", model, node),
            _named(renderer, "schema", model, node),
            _named(renderer, "alias", model, node),
        )
        return replace(model, relation=ephemeral(_relation_name(model)), named=named)
    database = _named(renderer, "database", model, node)
    wanted = renderer.target["dbname"]
    if wanted and database and database.lower() != wanted.lower():
        path, line = place_of("database", layers, model.path)
        raise ProjectError(
            f"The model {model.name} would go into the database {database}, and a run of "
            f"PostgreSQL has one, here {wanted}. Take the setting database out.",
            path=path,
            line=line,
            model=model.name,
        )
    schema = _named(renderer, "schema", model, node)
    if not schema:
        macros = renderer.macros
        macro = macros.found("generate_schema_name", model.package)
        path, line = (macro and macros.place(macro)) or (model.path, model.line)
        raise ProjectError(
            f"generate_schema_name gives no schema for the model {model.name}.",
            path=path,
            line=line,
            model=model.name,
        )
    alias = _named(renderer, "alias", model, node)
    if model.resource_type == "snapshot" and model.config.get("target_schema"):
        schema = str(model.config["target_schema"])
    if schema.lower() == _TAKEN:
        path, line = place_of("schema", layers, model.path)
        raise ProjectError(
            f"The schema {schema} holds what datapipe remembers, so no model may go there. Set "
            "another one with config(schema=...).",
            path=path,
            line=line,
            model=model.name,
        )
    quoting = {
        **(renderer.project.settings.get("quoting") or {}),
        **(model.config.get("quoting") or {}),
    }
    if not quoting.get("schema", True):
        schema = schema.lower()  # as PostgreSQL spells it, and the schemas aside after it
    return replace(model, relation=relation(quoting, database or wanted, schema, alias))


def _named(renderer: Renderer, part: str, model: Model, node: Mapping[str, Any]) -> str:
    """What the macro ``generate_..._name`` gives: the package's own, the project's or dbt's."""
    macro = f"generate_{part}_name"
    if part == "database" and not renderer.macros.has(macro):
        return str(model.config.get(part) or renderer.target["dbname"])
    own = renderer.macros.found(macro, model.package)
    path, line = (own and renderer.macros.place(own)) or (model.path, model.line)
    given = renderer.call(
        macro,
        {},
        {"node": node},
        path=path,
        line=line,
        model=model.name,
        package=model.package,
        values=(model.config.get(part), node),
        is_final=True,
    )
    return str(given).strip()


def _relation_name(model: Model) -> str:
    return model.name if model.version is None else f"{model.name}_v{model.version}"
