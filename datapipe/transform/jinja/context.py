"""The functions and values that every template of a project sees, whatever it renders."""

from __future__ import annotations

import datetime
import difflib
import itertools
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

import yaml

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.jinja.templates import Return
from datapipe.transform.project import Project

_NOTHING = object()
_DBT_VERSION = "1.11.0"  # the dbt whose words these are


def near(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest of ``known``, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]}?" if found else ""


class Var:
    """``var('name', default)``."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables

    def __call__(self, name: str, default: Any = _NOTHING) -> Any:
        if name in self._variables:
            return self._variables[name]
        if default is _NOTHING:
            raise ProjectError(
                f"The variable {name} is not set.{near(name, self._variables)} "
                "Set it under vars: in dbt_project.yml, or give var() a default."
            )
        return default

    def has_var(self, name: str) -> bool:
        return name in self._variables


class Exceptions:
    """``exceptions.raise_compiler_error`` and its kin."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn

    def raise_compiler_error(self, message: str, *_: Any) -> NoReturn:
        raise ProjectError(str(message))

    def raise_not_implemented(self, message: str) -> NoReturn:
        raise ProjectError(str(message))

    def warn(self, message: str, *_: Any) -> str:
        self._warn(str(message))
        return ""


class Adapter:
    """What of dbt's ``adapter`` needs no question to the database."""

    def __init__(self, dispatch: Callable[..., Any]) -> None:
        self.dispatch = dispatch

    def type(self) -> str:
        return "postgres"

    def quote(self, identifier: str) -> str:
        return quoted(identifier)

    def __getattr__(self, name: str) -> Any:
        def not_yet(*_: Any, **__: Any) -> NoReturn:
            raise ProjectError(f"adapter.{name} is not supported yet.")

        if name.startswith("_"):
            raise AttributeError(name)
        return not_yet


class Config:
    """``config(...)`` while a project is read: it collects what the file says of itself."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def __call__(self, *values: Mapping[str, Any], **options: Any) -> str:
        for value in (*values, options):
            self.given.update(value)
        return ""

    def get(self, name: str, default: Any = None, **_: Any) -> Any:
        del name
        return default

    def require(self, name: str, **_: Any) -> Any:
        del name
        return ""

    def persist_relation_docs(self) -> bool:
        return False

    def persist_column_docs(self) -> bool:
        return False


class KnownConfig(Config):
    """``config`` while a node is compiled: it answers what the node's settings are."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self._config = config

    def get(self, name: str, default: Any = None, **_: Any) -> Any:
        return self._config.get(name, default)

    def require(self, name: str, **_: Any) -> Any:
        if name not in self._config:
            raise ProjectError(f"The setting {name} is required here. Give it in config().")
        return self._config[name]

    def persist_relation_docs(self) -> bool:
        return bool((self._config.get("persist_docs") or {}).get("relation"))

    def persist_column_docs(self) -> bool:
        return bool((self._config.get("persist_docs") or {}).get("columns"))


def shared(
    project: Project,
    target: Mapping[str, Any],
    *,
    dispatch: Callable[..., Any],
    on_log: Callable[[str], None],
    on_warning: Callable[[str], None],
) -> dict[str, Any]:
    """What does not depend on the node that is rendered."""

    def log(message: Any, info: bool = False) -> str:
        if info:
            on_log(str(message))
        return ""

    return {
        "adapter": Adapter(dispatch),
        "api": SimpleNamespace(Relation=SimpleNamespace(create=_create_relation)),
        "dbt_version": _DBT_VERSION,
        "env_var": env_var,
        "exceptions": Exceptions(on_warning),
        "flags": SimpleNamespace(FULL_REFRESH=False, STORE_FAILURES=False, WHICH="build"),
        "fromjson": _parsed_by(json.loads),
        "fromyaml": _parsed_by(yaml.safe_load),
        "invocation_id": str(uuid.uuid4()),
        "is_incremental": lambda: False,
        "load_result": _not_yet("load_result"),
        "local_md5": _md5,
        "log": log,
        "modules": SimpleNamespace(datetime=datetime, re=re, itertools=itertools),
        "print": lambda message: log(message, info=True),
        "project_name": project.name,
        "return": _return,
        "run_started_at": datetime.datetime.now(datetime.UTC),
        "set": _made_by(set),
        "set_strict": set,
        "should_full_refresh": lambda: False,
        "should_store_failures": lambda: False,
        "target": target,
        "tojson": lambda value, default=None, sort_keys=False: json.dumps(
            value, sort_keys=sort_keys, default=str
        ),
        "toyaml": lambda value, default=None, sort_keys=False: yaml.safe_dump(
            value, sort_keys=sort_keys
        ),
        "var": Var(project.variables),
        "zip": _made_by(zip),
        "zip_strict": zip,
    }


def env_var(name: str, default: Any = _NOTHING) -> Any:
    """dbt's ``env_var``: the project's author asks here, so this is no setting of datapipe."""
    if name.startswith("DBT_ENV_SECRET"):
        raise ProjectError(f"{name} is a secret: dbt does not let a model read it.")
    if name in os.environ:
        return os.environ[name]
    if default is _NOTHING:
        raise ProjectError(f"The environment variable {name} is not set, and has no default.")
    return default


def _return(value: Any = None) -> NoReturn:
    raise Return(value)


def _create_relation(
    database: str = "",
    schema: str = "",
    identifier: str = "",
    type: str | None = None,  # noqa: A002 - dbt's word
) -> Relation:
    return Relation(database, schema, identifier, type, (bool(database), bool(schema), True))


def _not_yet(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ProjectError(f"{name} is not supported yet.")

    return refuse


def asked_of_the_database(name: str, *, execute: bool) -> Callable[..., Any]:
    """A stand-in for what asks the database: nothing while the project is read, then a refusal."""
    return _not_yet(name) if execute else lambda *_, **__: None


def _parsed_by(parse: Callable[[str], Any]) -> Callable[..., Any]:
    def parsed(text: str, default: Any = None) -> Any:
        try:
            return parse(text)
        except (ValueError, yaml.YAMLError):
            return default

    return parsed


def _made_by(make: Callable[..., Any]) -> Callable[..., Any]:
    def made(*values: Any, default: Any = None) -> Any:
        try:
            return make(*values)
        except TypeError:
            return default

    return made


def _md5(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
