"""The functions and values that every template of a project sees, whatever it renders."""

from __future__ import annotations

import datetime
import difflib
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

from jinja2.defaults import DEFAULT_NAMESPACE

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja import functions, places, scope
from datapipe.transform.jinja.adapter import ParsingAdapter
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.exceptions import Exceptions
from datapipe.transform.jinja.flags import Flags
from datapipe.transform.jinja.modules import MODULES
from datapipe.transform.jinja.templates import Missing, Return
from datapipe.transform.options import Options
from datapipe.transform.project import Project

_NOTHING = object()
DBT_VERSION = "1.11.16"  # the dbt whose words these are
_INVOCATION = str(uuid.uuid4())
_STARTED = datetime.datetime.now(datetime.UTC)


def near(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest of ``known``, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]}?" if found else ""


class Var:
    """``var('name', default)``; while a template is read, what is not set is None, as with dbt.

    In YAML, where nothing is rendered a second time, it is an error (``is_final``). A text that
    holds Jinja is rendered when it is asked for, with what the asking template sees.
    """

    def __init__(self, variables: Mapping[str, Any], *, is_final: bool = False) -> None:
        self._variables = variables
        self._is_final = is_final

    def __call__(self, name: str, default: Any = _NOTHING) -> Any:
        if name in self._variables:
            value = self._variables[name]
            if isinstance(value, str) and ("{{" in value or "{%" in value):
                return scope.current().variables["render"](value)
            return value
        if default is _NOTHING:
            message = (
                f"The variable {name} is not set.{near(name, self._variables)} "
                "Set it under vars: in dbt_project.yml, or give var() a default."
            )
            if self._is_final or scope.is_executing():
                raise ProjectError(message, about=name)
            place = places.innermost()
            if place is not None:
                scope.current().unset.append(
                    ProjectError(message, path=place[0], line=place[1], about=name)
                )
            return None
        return default

    def has_var(self, name: str) -> bool:
        return name in self._variables


class Config:
    """``config(...)`` while a project is read: it collects what the file says of itself."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def __call__(self, *values: Mapping[str, Any], **options: Any) -> str:
        for value in (*values, options):
            self.given.update(value)
        return ""

    def set(self, name: str, value: Any) -> str:
        return self({name: value})

    def get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        del name, default, validator
        return ""

    def require(self, name: str, validator: Any = None) -> Any:
        del name, validator
        return ""

    meta_get = get
    meta_require = require

    def persist_relation_docs(self) -> bool:
        return False

    def persist_column_docs(self) -> bool:
        return False


def refuse_unknown(value: Any) -> None:
    """Raise for a setting given to ``config()`` whose value is a name that is set nowhere."""
    if isinstance(value, Missing) and value.is_nowhere():
        value.refuse()
    for each in value.values() if isinstance(value, Mapping) else ():
        refuse_unknown(each)
    for each in value if isinstance(value, list | tuple) else ():
        refuse_unknown(each)


class KnownConfig(Config):
    """``config`` while a node is compiled: it answers what the node's settings are."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self._config = config

    def __call__(self, *_: Any, **__: Any) -> str:
        return ""

    def get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        return _checked(self._config.get(name, default), validator if default is not None else None)

    def require(self, name: str, validator: Any = None) -> Any:
        return _checked(_required(self._config, name, "config"), validator)

    def meta_get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        meta = self._config.get("meta") or {}
        return _checked(meta.get(name, default), validator if default is not None else None)

    def meta_require(self, name: str, validator: Any = None) -> Any:
        return _checked(
            _required(self._config.get("meta") or {}, name, "config(meta=...)"), validator
        )

    def persist_relation_docs(self) -> bool:
        return bool((self._config.get("persist_docs") or {}).get("relation"))

    def persist_column_docs(self) -> bool:
        return bool((self._config.get("persist_docs") or {}).get("columns"))


def _required(settings: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in settings:
        raise ProjectError(f"The setting {name} is required here. Give it in {where}.")
    return settings[name]


def _checked(value: Any, validator: Callable[[Any], Any] | None) -> Any:
    if validator is not None:
        validator(value)
    return value


def shared(
    project: Project,
    package: str,
    target: Mapping[str, Any],
    *,
    dispatch: Callable[..., Any],
    on_log: Callable[[str], None],
    on_warning: Callable[[str], None],
) -> dict[str, Any]:
    """What templates see that depends only on the package they are in, and not on their node."""

    def log(message: Any, info: bool = False) -> str:
        if info:
            on_log(str(message))
        return ""

    flags = Flags(Options(), project.flags)
    return {
        **DEFAULT_NAMESPACE,
        "adapter": ParsingAdapter(dispatch, target),
        "api": SimpleNamespace(Relation=Relation, Column=Column),
        "column": Column,
        "database": target["dbname"],
        "dbt_metadata_envs": _metadata_envs(),
        "dbt_version": DBT_VERSION,
        "diff_of_two_dicts": functions.difference,
        "env": target,
        "env_var": env_var,
        "exceptions": Exceptions(on_warning),
        "execute": False,
        "flags": flags,
        "fromjson": functions.fromjson,
        "fromyaml": functions.fromyaml,
        "graph": {},
        "invocation_args_dict": flags.as_dict(),
        "invocation_id": _INVOCATION,
        "load_result": functions.load_result,
        "is_incremental": lambda: False,
        "local_md5": functions.md5,
        "log": log,
        "model": {},
        "modules": MODULES,
        "print": lambda message: log(message, info=True),
        "project_name": project.name,
        "return": _return,
        "run_started_at": _STARTED,
        "schema": target["schema"],
        "schemas": [],
        "selected_resources": [],
        "set": functions.as_set,
        "set_strict": set,
        "should_full_refresh": lambda: False,
        "should_store_failures": lambda: False,
        "sql_now": "now()",
        "store_raw_result": functions.store_raw_result,
        "store_result": functions.store_result,
        "target": target,
        "thread_id": "MainThread",
        "tojson": functions.tojson,
        "toyaml": functions.toyaml,
        "try_or_compiler_error": functions.try_or_compiler_error,
        "validation": SimpleNamespace(any=functions.one_of),
        "var": Var(project.variables_for(package or project.name)),
        "write": lambda payload: "",
        "zip": functions.zipped,
        "zip_strict": zip,
    }


def env_var(name: str, default: Any = None) -> Any:
    """dbt's ``env_var``: the project's author asks here, so this is no setting of datapipe."""
    if name.startswith("DBT_ENV_SECRET"):
        raise ProjectError(f"{name} is a secret: dbt does not let a model read it.")
    if name in os.environ:
        return os.environ[name]
    if default is None:
        raise ProjectError(
            f"The environment variable {name} is not set, and has no default.", about=name
        )
    return default


def _return(value: Any = None) -> NoReturn:
    raise Return(value)


def _metadata_envs() -> dict[str, str]:
    prefix = "DBT_ENV_CUSTOM_ENV_"
    return {
        name.removeprefix(prefix): value
        for name, value in os.environ.items()
        if name.startswith(prefix)
    }
