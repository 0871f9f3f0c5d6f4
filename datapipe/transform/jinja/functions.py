"""Functions of templates that need nothing but their arguments and the rendering they are in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.jinja import scope
from datapipe.transform.jinja.tables import Response, Table


def fromjson(string: Any, default: Any = None) -> Any:
    """What a JSON text says, or ``default`` where it is none."""
    try:
        return json.loads(string)
    except ValueError:
        return default


def tojson(value: Any, default: Any = None, sort_keys: bool = False) -> Any:
    """``value`` as JSON, or ``default`` where it cannot be."""
    try:
        return json.dumps(value, sort_keys=sort_keys, default=_as_json)
    except ValueError:
        return default


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def fromyaml(value: Any, default: Any = None) -> Any:
    """What a YAML text says, or ``default`` where it is none."""
    import yaml  # late: few templates need it, and runs that find all parsed do not either

    try:
        return yaml.safe_load(value)
    except (AttributeError, ValueError, yaml.YAMLError):
        return default


def toyaml(value: Any, default: Any = None, sort_keys: bool = False) -> Any:
    """``value`` as YAML, or ``default`` where it cannot be."""
    import yaml

    try:
        return yaml.safe_dump(value, sort_keys=sort_keys)
    except (ValueError, yaml.YAMLError):
        return default


def as_set(value: Any, default: Any = None) -> Any:
    """``set(value)``, or ``default`` for what cannot be iterated."""
    try:
        return set(value)
    except TypeError:
        return default


def zipped(*values: Any, default: Any = None) -> Any:
    """``zip(*values)``, or ``default`` for what cannot be iterated."""
    try:
        return zip(*values)  # noqa: B905 - it ends with the shortest, as dbt's
    except TypeError:
        return default


def difference(first: Mapping[str, list[Any]], second: Mapping[str, list[Any]]) -> dict[str, Any]:
    """What is in ``first`` and not in ``second``, ignoring case; for grants."""
    there = {
        key.lower(): {str(value).lower() for value in values} for key, values in second.items()
    }
    left = {
        key: [value for value in values if str(value).lower() not in there.get(key.lower(), ())]
        for key, values in first.items()
    }
    return {key: values for key, values in left.items() if values}


def try_or_compiler_error(message: str, func: Callable[..., Any], *args: Any, **kw: Any) -> Any:
    """What ``func`` gives; raises ProjectError with ``message`` if it fails."""
    try:
        return func(*args, **kw)
    except Exception as error:
        raise ProjectError(message) from error


def one_of(*allowed: Any) -> Callable[[Any], None]:
    """A check that a value is one of ``allowed``, or of one of these types."""

    def check(value: Any) -> None:
        for each in allowed:
            if (isinstance(each, type) and isinstance(value, each)) or value == each:
                return
        raise ProjectError(f"The value {value!r} is not one of {', '.join(map(str, allowed))}.")

    return check


def store_result(name: str, response: Any, agate_table: Table | None = None) -> str:
    """Keep the result of a statement, for ``load_result``."""
    table = agate_table if agate_table is not None else Table((), ())
    data = [row.values() for row in table.rows]
    scope.current().results[name] = {"response": response, "data": data, "table": table}
    return ""


def store_raw_result(
    name: str,
    message: str | None = None,
    code: str | None = None,
    rows_affected: Any = None,
    agate_table: Table | None = None,
) -> str:
    """Keep a result that no statement has given, for ``load_result``."""
    return store_result(name, Response(message or "", code, rows_affected), agate_table)


def load_result(name: str) -> Any:
    """The result of a statement; it can be had only once, except for ``main``."""
    results = scope.current().results
    if name not in results:
        return None
    result = results[name]
    if result is None:
        raise ProjectError(
            f"The result of the statement {name} was loaded before, and can be loaded only once."
        )
    if name != "main":
        results[name] = None
    return result


def md5(text: str) -> str:
    """The MD5 of a text, in hexadecimal."""
    import hashlib

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
