"""What templates ask for while a project is read: models, sources and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.context import Config, Var, refuse_unknown
from datapipe.transform.jinja.scope import Calls
from datapipe.transform.manifest.nodes import Ref, SourceKey
from datapipe.transform.project import merged

_TO = r"\s*ref\(\s*(['\"])(?P<first>[^'\"]+)\1\s*(?:,\s*(['\"])(?P<second>[^'\"]+)\3)?"


class FoundConfig(Config):
    """``config(...)`` while a project is read: what several calls give adds up.

    ``called`` is what they were given, as it is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.called: dict[str, Any] = {}

    def __call__(self, *values: Mapping[str, Any], **options: Any) -> str:
        for value in (*values, options):
            if not isinstance(value, Mapping):
                raise ProjectError(
                    f"config() takes settings by name, such as materialized='table', not {value!r}."
                )
            refuse_unknown(value)
            self.given = merged(self.given, value)
            again = {key: self.given[key] for key in value if key in self.called}
            self.called |= {**value, **again}
        return ""


class Found:
    """What a template asked for while the project was read: each call of ``ref`` and ``source``."""

    def __init__(
        self,
        target: Mapping[str, Any],
        variables: Mapping[str, Any] | None = None,
        this: Relation | None = None,
        node: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = FoundConfig()
        self.calls = Calls()
        self.refs: list[Ref] = []
        self.sources: list[SourceKey] = []
        self._target = target
        self._variables = variables
        self._this = this
        self._node = node

    def ref(self, *names: Any, version: Any = None, v: Any = None, **_: Any) -> Relation:
        ref = asked(names, version if version is not None else v)
        self.refs.append(ref)
        return Relation(self._target["dbname"], self._target["schema"], ref.name)

    def function(self, *names: Any) -> Relation:
        function = asked_function(names)
        self.refs.append(function)
        return Relation(self._target["dbname"], self._target["schema"], function.name, "function")

    def source(self, *names: Any) -> Relation:
        source = asked_source(names)
        self.sources.append(source)
        return Relation(self._target["dbname"], *source)

    def variables(self) -> dict[str, Any]:
        own: dict[str, Any] = {} if self._variables is None else {"var": Var(self._variables)}
        return {
            **own,
            "ref": self.ref,
            "source": self.source,
            "function": self.function,
            "config": self.config,
            "execute": False,
            "this": self._this,
            "sql": None,
            "compiled_code": None,
            "model": self._node or {},
        }


def asked(names: tuple[Any, ...], version: Any = None) -> Ref:
    """What ``ref(*names)`` asks for: a model, or a package and a model of that."""
    if not 1 <= len(names) <= 2 or not all(isinstance(name, str) for name in names):
        refuse_unknown(names)
        raise ProjectError("ref() takes the name of a model, or of a package and a model.")
    package = names[0] if len(names) == 2 else None
    return Ref(names[-1], package, None if version is None else str(version))


def asked_function(names: tuple[Any, ...]) -> Ref:
    """What ``function(*names)`` asks for: a function, or a package and a function of that."""
    if not 1 <= len(names) <= 2 or not all(isinstance(name, str) for name in names):
        raise ProjectError("function() takes the name of a function, or of a package and one.")
    return Ref(names[-1], names[0] if len(names) == 2 else None, to_function=True)


def asked_source(names: tuple[Any, ...]) -> SourceKey:
    """What ``source(*names)`` asks for."""
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise ProjectError("source() takes the name of a source and that of one of its tables.")
    return names[0], names[1]


def written_ref(text: Any) -> Ref | None:
    """What a plain text such as ``ref('orders')`` asks for; None if it is no call of ``ref``."""
    written = re.match(_TO, str(text or ""))
    if written is None:
        return None
    return asked(tuple(name for name in (written["first"], written["second"]) if name))
