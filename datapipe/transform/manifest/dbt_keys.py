"""Keys that dbt shows of nodes, and that packages which walk over nodes expect to be there."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

NOTHING: Mapping[str, Any] = {
    "doc_blocks": [], "metrics": [], "functions": [], "build_path": None,
    "compiled_path": None, "group": None, "description": "", "columns": {},
    "docs": {"show": True, "node_color": None}, "patch_path": None, "relation_name": None,
    "language": "sql",
    "contract": {"enforced": False, "alias_types": True, "checksum": None},
}  # fmt: skip
OF_A_MODEL = frozenset({
    "access", "constraints", "version", "latest_version", "primary_key", "deprecation_date",
    "time_spine", "batch",
})  # fmt: skip
NOT_OF_A_SEED = OF_A_MODEL | {
    "language",
    "refs",
    "sources",
    "metrics",
    "functions",
    "contract",
    "compiled_path",
}
_HOOKS = {"pre_hook": "pre-hook", "post_hook": "post-hook"}
_LARGE = 2**20  # bytes: of a larger seed dbt compares only the path
NO_FRESHNESS = {
    "warn_after": {"count": None, "period": None},
    "error_after": {"count": None, "period": None},
    "filter": None,
}
_CONSTRAINT: Mapping[str, Any] = {
    "type": None, "name": None, "expression": None, "warn_unenforced": True,
    "warn_unsupported": True, "to": None, "to_columns": [],
}  # fmt: skip
_METRIC: Mapping[str, Any] = {
    "description": "", "label": None, "type": None, "filter": None, "metadata": None,
    "time_granularity": None, "sources": [], "refs": [], "metrics": [], "group": None,
}  # fmt: skip
_TYPE_PARAMS: Mapping[str, Any] = {
    "measure": None, "input_measures": [], "numerator": None, "denominator": None, "expr": None,
    "window": None, "grain_to_date": None, "metrics": [], "conversion_type_params": None,
    "cumulative_type_params": None, "metric_aggregation_params": None,
}  # fmt: skip
_MEASURE = {"filter": None, "alias": None, "join_to_timespine": False, "fill_nulls_with": None}
_INPUT = {"filter": None, "alias": None, "offset_window": None, "offset_to_grain": None}


def checksum(text: str) -> dict[str, str]:
    return {"name": "sha256", "checksum": hashlib.sha256(text.strip().encode()).hexdigest()}


def checksum_of(path: Path, file: str) -> dict[str, str]:
    """The checksum of a file, which dbt calls ``file``."""
    if path.stat().st_size > _LARGE:
        return {"name": "path", "checksum": file}
    # A file that is not text is refused when the seed is loaded.
    return checksum(path.read_bytes().decode(errors="replace"))


def root_of(path: Path, file: str) -> str:
    """The folder of the project in which ``path`` is the relative path ``file``."""
    return str(path.parents[len(Path(file).parents) - 1])


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under dbt's names for them."""
    return {_HOOKS.get(key, key): value for key, value in given.items()}


def constraint(given: Mapping[str, Any]) -> dict[str, Any]:
    """A constraint with the keys that YAML leaves out."""
    return {**_CONSTRAINT, **given}


def owner(described: Mapping[str, Any]) -> dict[str, Any]:
    """The owner of what is ``described``, with the keys that YAML leaves out."""
    return {"email": None, "name": None, **(described.get("owner") or {})}


def version(written: str | None) -> Any:
    """A version as YAML has it: a number, if it is one."""
    for kind in (int, float):
        try:
            return None if written is None else kind(written)
        except ValueError:
            continue
    return written


def date(given: Any) -> str | None:
    """A date from YAML in the spelling of ISO 8601."""
    if isinstance(given, datetime.date) and not isinstance(given, datetime.datetime):
        given = datetime.datetime.combine(given, datetime.time())
    if not isinstance(given, datetime.datetime):
        return None if given is None else str(given)
    return (given if given.tzinfo else given.replace(tzinfo=datetime.UTC)).isoformat()


def asked(calls: Iterable[Any]) -> dict[str, list[Any]]:
    """What a template asked for by ``ref`` and by ``function``."""
    refs, functions = [], []
    for call in calls:
        if call.to_function:
            functions.append([name for name in (call.package, call.name) if name])
        else:
            ref = {"name": call.name, "package": call.package, "version": version(call.version)}
            refs.append(ref)
    return {"refs": refs, "functions": functions}


def metric(block: Mapping[str, Any]) -> dict[str, Any]:
    """A metric with the keys that YAML leaves out."""
    params = {**_TYPE_PARAMS, **(block.get("type_params") or {})}
    params["measure"] = _input(params["measure"], _MEASURE)
    params["input_measures"] = [params["measure"]] if params["measure"] else []
    for name in ("numerator", "denominator"):
        params[name] = _input(params[name], _INPUT)
    params["metrics"] = [_input(each, _INPUT) for each in params["metrics"] or ()]
    return {**_METRIC, **block, "type_params": params}


def measures(seen: Mapping[str, Any]) -> list[str]:
    """The measures that a metric uses itself."""
    return [each["name"] for each in seen["type_params"]["input_measures"]]


def metrics(seen: Mapping[str, Any]) -> list[str]:
    """The metrics that a metric uses."""
    params = seen["type_params"]
    inputs = (params["numerator"], params["denominator"], *params["metrics"])
    return [each["name"] for each in inputs if each]


def _input(given: Any, defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    if not given:
        return None
    return {**defaults, **({"name": given} if isinstance(given, str) else given)}
