"""Functions of the project's own: files under the function paths, each described in YAML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.configs import Layer, place_of
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.properties import NodeProperties
from datapipe.transform.manifest.signature import Signature, signature_of

_SETTINGS = {
    "type": ("scalar", "aggregate", "table"),
    "volatility": ("deterministic", "stable", "non-deterministic"),
}


def signature(path: Path, properties: NodeProperties | None, kind: str) -> Signature | None:
    """What YAML says of the function in the file ``path``; None if that holds no function."""
    if kind != "function":
        return None
    language = "python" if path.suffix.lower() == ".py" else "sql"
    if properties is None:
        return Signature(language=language)
    return signature_of(properties.block, properties.path, language)


def makeable(model: Model, renderer: Renderer) -> Model:
    """``model``, which knows whether it can be made if it is a function; warns if it cannot."""
    if model.signature is None or not model.config["enabled"]:
        return model
    macro = model.signature.macro(model.config)
    macros = renderer.macros
    if macros.can_dispatch(macro) or macros.materialization("function", model.package):
        return model
    said = (
        "is written in Python, which dbt-postgres has no macro for"
        if model.signature.language == "python"
        else f"has the type {model.config['type']}, which dbt-postgres has no macro for"
    )
    renderer.warnings.append(
        f"{model.path}: The function {model.name} {said}: it is left out. The project may have "
        f"a macro postgres__{macro} of its own."
    )
    return replace(model, signature=replace(model.signature, is_makeable=False))


def check(model: Model, layers: Sequence[Layer]) -> None:
    """Raise ProjectError for settings that no function has, or for what the function lacks."""
    for key, known in _SETTINGS.items():
        value = model.config.get(key)
        if value is not None and value not in known:
            path, line = place_of(key, layers, model.path)
            raise ProjectError(
                f"{key} must be one of {', '.join(known)}, not {value}.{near(str(value), known)}",
                path=path,
                line=line,
                model=model.name,
            )
    if model.materialized != "function":
        path, line = place_of("materialized", layers, model.path)
        raise ProjectError(
            f"The function {model.name} cannot be materialized as {model.materialized}. Take the "
            "setting out.",
            path=path,
            line=line,
            model=model.name,
        )
    if model.signature is not None and model.signature.is_makeable and not model.signature.returns:
        raise ProjectError(
            f"The function {model.name} is not described. List it in YAML, under functions:, with "
            "its arguments and what it returns.",
            path=model.path,
            line=1,
            model=model.name,
        )


def check_names(functions: Iterable[Model]) -> None:
    """Raise ProjectError for two functions that PostgreSQL would take for one."""
    known: dict[tuple[str, tuple[str, ...]], Model] = {}
    for model in functions:
        if model.signature is None:
            continue
        types = tuple(each.data_type.lower() for each in model.signature.arguments)
        twin = known.setdefault((model.relation.local, types), model)
        if twin is not model:
            raise ProjectError(
                f"The functions {twin.name} and {model.name} would both be "
                f"{model.relation.local}({', '.join(types)}). Give one of them another alias, "
                "schema or argument.",
                path=model.path,
                line=model.line,
                model=model.name,
            )
