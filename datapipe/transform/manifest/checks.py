"""What must hold of models as they are written, before any statement is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import LONGEST_NAME
from datapipe.transform.jinja import constraints
from datapipe.transform.jinja.adapter import STRATEGIES
from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import functions
from datapipe.transform.manifest.configs import DEFAULTS, Layer, place_of
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.properties import Properties
from datapipe.transform.manifest.setting_lines import place_of_setting

MATERIALIZATIONS = ("view", "table", "incremental", "ephemeral", "materialized_view")
_ON_SCHEMA_CHANGE = ("ignore", "fail", "append_new_columns", "sync_all_columns")
_BATCH_SIZES = ("hour", "day", "month", "year")
_CONTRACT_NEEDS = ("append_new_columns", "fail")
_ON_CONFIGURATION_CHANGE = ("apply", "continue", "fail")
_ACCESS = ("private", "protected", "public")

# Settings beside dbt's defaults: those of its adapters, as a project may be for several.
KNOWN_SETTINGS = frozenset(
    {key for defaults in DEFAULTS.values() for key in defaults}
    | {
        "indexes", "unlogged", "sql_header", "incremental_predicates", "predicates",
        "merge_update_columns", "merge_exclude_columns", "invalidate_hard_deletes",
        "hard_deletes", "quote", "partition_by", "cluster_by", "sort", "dist", "sort_type",
        "file_format", "transient", "bind", "auto_refresh", "backup", "labels", "on_error",
        "hours_to_expiration", "static_analysis", "time_ingestion_partitioning",
        "pre-hook", "post-hook",
    }
)  # fmt: skip


def check_model(
    model: Model,
    layers: Sequence[Layer],
    renderer: Renderer,
    properties: Mapping[str, Properties],
) -> None:
    """Raise ProjectError for settings of ``model`` that mean nothing, where they are written."""
    if model.is_function:
        functions.check(model, layers)
    if model.resource_type == "model":
        _check_materialization(model, layers, renderer)
    if model.materialized == "incremental":
        _check_incremental(model, layers, renderer)
    if model.materialized == "materialized_view":
        _one_of(model, layers, "on_configuration_change", _ON_CONFIGURATION_CHANGE)
    if model.resource_type == "snapshot":
        _check_snapshot(model, layers)
    _one_of(model, layers, "access", _ACCESS)
    _check_group(model, layers, properties)
    _check_contract(model, layers, renderer)
    if model.package == renderer.project.name:
        check_spelling(layers, renderer)


def _check_materialization(model: Model, layers: Sequence[Layer], renderer: Renderer) -> None:
    kind = model.materialized
    if kind in MATERIALIZATIONS or any(
        renderer.macros.has(f"materialization_{kind}_{adapter}")
        or any(
            renderer.macros.has(f"{package}.materialization_{kind}_{adapter}")
            for package in renderer.project.all_packages
        )
        for adapter in ("postgres", "default")
    ):
        return
    raise _error(
        model,
        layers,
        "materialized",
        f"There is no materialization {kind}.{near(kind, MATERIALIZATIONS)}",
    )


def _check_incremental(model: Model, layers: Sequence[Layer], renderer: Renderer) -> None:
    strategy = model.config.get("incremental_strategy")
    own = renderer.macros.materialization("incremental", model.package)  # it has its own words
    if strategy is not None and strategy not in {*STRATEGIES, "default"} and own is None:
        name = str(strategy).replace("+", "_")
        # dbt has a macro for the first, but not for PostgreSQL
        if strategy == "insert_overwrite" or not renderer.macros.has(f"get_incremental_{name}_sql"):
            _one_of(model, layers, "incremental_strategy", STRATEGIES)
    if model.is_batched:
        _check_microbatch(model, layers, renderer)
    _check_policy(model, layers, renderer)
    policy = model.config.get("on_schema_change") or "ignore"
    if model.has_contract and policy not in _CONTRACT_NEEDS:
        raise _error(
            model,
            layers,
            "on_schema_change",
            f"on_schema_change is {policy}, but an incremental model with an enforced contract "
            f"needs one of {', '.join(_CONTRACT_NEEDS)}.",
        )


def _check_policy(model: Model, layers: Sequence[Layer], renderer: Renderer) -> None:
    """Warn of an ``on_schema_change`` that does not exist: as with dbt it has no effect."""
    try:
        _one_of(model, layers, "on_schema_change", _ON_SCHEMA_CHANGE)
    except ProjectError as error:
        renderer.warnings.append(f"{error} As with dbt, changes are ignored.")


def _check_microbatch(model: Model, layers: Sequence[Layer], renderer: Renderer) -> None:
    _one_of(model, layers, "batch_size", _BATCH_SIZES)
    merges = renderer.macros.overriding("get_incremental_microbatch_sql") is None
    for key in ("event_time", "batch_size", *(("unique_key",) if merges else ())):
        if not model.config.get(key):
            raise _error(
                model,
                layers,
                "incremental_strategy",
                f"The model {model.name} has the strategy microbatch, which needs {key}.",
            )


def _check_snapshot(model: Model, layers: Sequence[Layer]) -> None:
    config = model.config
    for key in ("strategy", "unique_key"):
        if not config.get(key):
            raise _error(
                model,
                layers,
                key,
                f"The snapshot {model.name} needs a {key}: set it "
                "with config(), or in YAML under config:.",
            )
    if config["strategy"] == "timestamp" and not config.get("updated_at"):
        raise _error(
            model,
            layers,
            "strategy",
            f"The snapshot {model.name} has the strategy timestamp, which needs updated_at.",
        )
    if config["strategy"] == "check":
        columns = config.get("check_cols")
        if not columns or (isinstance(columns, str) and columns != "all"):
            raise _error(
                model,
                layers,
                "check_cols" if columns else "strategy",
                f"The snapshot {model.name} has the strategy check, which needs check_cols: a list "
                "of columns, or all.",
            )


def _check_group(
    model: Model, layers: Sequence[Layer], properties: Mapping[str, Properties]
) -> None:
    group = model.config.get("group")
    if not group:
        return
    known = [
        str(block["name"]) for of in properties.values() for _, block in of.blocks.get("groups", ())
    ]
    if group not in known:
        raise _error(
            model,
            layers,
            "group",
            f"There is no group {group}.{near(group, known)} Declare it in YAML, under groups:.",
            about=str(group),
        )


def _check_contract(model: Model, layers: Sequence[Layer], renderer: Renderer) -> None:
    described = renderer.project.package(model.package).directory / model.described_in
    for name, declared in (
        ("", model.constraints),
        *((column.name, column.constraints) for column in model.columns.values()),
    ):
        for constraint in declared:
            given = constraint.get("type")
            if given not in constraints.KINDS:
                where = f" of the column {name}" if name else ""
                line = getattr(constraint, "line", None)
                raise ProjectError(
                    f"The type of a constraint{where} must be one of "
                    f"{', '.join(constraints.KINDS)}, not {given}."
                    f"{near(str(given), constraints.KINDS)}",
                    path=described,
                    line=line,
                    model=model.name,
                )
    if not model.has_contract:
        return
    if not model.columns and model.resource_type == "model":
        raise _error(
            model,
            layers,
            "contract",
            f"The contract of {model.name} is enforced, and no columns are described. List them in "
            "YAML, each with its data_type.",
        )
    for column in model.columns.values():
        if not column.data_type and model.resource_type == "model":
            message = (
                f"The contract of {model.name} is enforced, and its column {column.name} has no "
                "data_type."
            )
            path, line = place_of_setting(model, f"name: {column.name}")
            if line is None:
                raise _error(model, layers, "contract", message)
            raise ProjectError(message, path=path, line=line, model=model.name)


def check_spelling(layers: Sequence[Layer], renderer: Renderer) -> None:
    """Warn of a setting that nobody reads and whose name is nearly that of one, as dbt does."""
    for each in layers:
        for key in each.values:
            if key in KNOWN_SETTINGS:
                continue
            meant = get_close_matches(str(key), KNOWN_SETTINGS, n=1, cutoff=0.85)
            if meant and not renderer.macros.mention(str(key)):
                warning = (
                    f"{each.path}:{each.line_of(str(key))}: There is no setting {key}, so it has "
                    f"no effect. Did you mean {meant[0]}?"
                )
                if warning not in renderer.warnings:  # one for all the models that it is set for
                    renderer.warnings.append(warning)


def _one_of(model: Model, layers: Sequence[Layer], key: str, known: tuple[str, ...]) -> None:
    value = model.config.get(key)
    if value is not None and value not in known:
        raise _error(
            model,
            layers,
            key,
            f"{key} must be one of {', '.join(known)}, not {value}.{near(str(value), known)}",
            about=str(value),
        )


def _error(
    model: Model, layers: Sequence[Layer], key: str, message: str, about: str = ""
) -> ProjectError:
    if not any(key in each.values or key.replace("_", "-") in each.values for each in layers):
        key = "config("  # it is missing: that is where it should be
    path, line = place_of(key, layers, model.path)
    if key == "config(" and path.suffix != ".sql":
        path, there = place_of_setting(model, "config")
        line = there or model.line or line
    return ProjectError(message, path=path, line=line, model=model.name, about=about)


def check_names(models: Iterable[Model]) -> None:
    """Raise ProjectError for two models of one name, or of one relation, and for long names."""
    models = list(models)
    functions.check_names(models)
    by_name: dict[tuple[str, str, str | None], Model] = {}
    by_relation: dict[str, Model] = {}
    for model in models:
        name = f"{model.name}()" if model.is_function else model.name
        other = by_name.setdefault((model.package, name, model.version), model)
        if other is not model:
            both = f"two {model.resource_type}s called {model.name}"
            if other.resource_type != model.resource_type:
                both = f"a {other.resource_type} and a {model.resource_type} called {model.name}"
            raise ProjectError(
                f"There are {both}: the other is {other.file}. Rename one of the files.",
                path=model.path,
                line=model.line,
                model=model.name,
            )
        if model.materialized == "ephemeral":
            continue
        name = model.relation.identifier
        if len(name.encode()) > LONGEST_NAME:
            raise ProjectError(
                f"The name {name} is longer than {LONGEST_NAME} bytes, which is all that "
                "PostgreSQL keeps. Set a shorter one with config(alias=...).",
                path=model.path,
                line=model.line,
                model=model.name,
            )
        if model.is_function:
            continue
        twin = by_relation.setdefault(model.relation.local, model)
        if twin is not model:
            raise ProjectError(
                f"The models {twin.name} and {model.name} would both be {model.relation.local}. "
                "Give one of them another alias or schema.",
                path=model.path,
                line=model.line,
                model=model.name,
            )
