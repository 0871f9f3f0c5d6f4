"""What the template that is being rendered sees, in this thread."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from jinja2.utils import missing

from datapipe.errors import ProjectError
from datapipe.transform.jinja.places import Place


class Late(Mapping[str, Any]):
    """Values that are found only when a template asks for them."""

    def __init__(self, found: Mapping[str, Callable[[], Any]]) -> None:
        self._found = found

    def __getitem__(self, name: str) -> Any:
        return self._found[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class Variables(MutableMapping[str, Any]):
    """The names of one rendering: macros first, then what is given for it, then what all share.

    Nothing is copied, so a rendering costs the same however many macros there are. What a template
    adds with ``context.update`` goes before all, until the rendering ends.
    """

    __slots__ = ("_layers", "_written")

    def __init__(
        self,
        own: Mapping[str, Any],
        macros: Mapping[str, Any],
        shared: Mapping[str, Any],
        replaced: Mapping[str, Any],
        late: Mapping[str, Any] | None = None,
    ) -> None:
        more = {"context": self, "builtins": ChainMap(dict(own), dict(shared))}
        first = (replaced, macros, late) if late else (replaced, macros)
        self._layers: tuple[Mapping[str, Any], ...] = (*first, own, more, shared)
        self._written: dict[str, Any] | None = None

    def find(self, name: str) -> Any:
        """The value of ``name``, or Jinja's ``missing``."""
        for layer in self._layers:
            if name in layer:
                return layer[name]
        return missing

    def __getitem__(self, name: str) -> Any:
        found = self.find(name)
        if found is missing:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        if self._written is None:
            self._written = {}
            self._layers = (self._written, *self._layers)
        self._written[name] = value

    def __delitem__(self, name: str) -> None:
        if self._written is None:
            raise KeyError(name)
        del self._written[name]

    def __contains__(self, name: object) -> bool:
        return any(name in layer for layer in self._layers)

    def __iter__(self) -> Iterator[str]:
        return iter({name for layer in self._layers for name in layer})

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Scope:
    """One rendering: its variables, and the results of its statements."""

    def __init__(
        self,
        variables: Variables,
        replaced: Mapping[str, Any],
        *,
        is_marked: bool = False,
        is_final: bool = False,
    ) -> None:
        self.variables = variables
        self.replaced = dict(replaced)
        self.is_marked = is_marked
        self.executing = is_final or bool(variables.find("execute") is True)
        self.results: dict[str, Any] = {}
        self.unknown: list[tuple[str, Place | None]] = []
        # Errors about variables that are not set: while a project is read, var() gives None.
        self.unset: list[ProjectError] = []
        # Parameters that a call did not give, where a macro writes them, and where the call is.
        self.not_given: list[tuple[str, Place, Place | None]] = []


class Calls:
    """The macros that a template calls directly, by dbt's ids."""

    def __init__(self) -> None:
        self.macros: dict[str, None] = {}
        self._depth = 0

    @contextmanager
    def within(self, macro: str) -> Iterator[None]:
        """Note a call of ``macro``, but not the calls that it makes itself."""
        if not self._depth:
            self.macros[macro] = None
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1


_scope: ContextVar[Scope | None] = ContextVar("scope", default=None)
_calls: ContextVar[Calls | None] = ContextVar("calls", default=None)
_connection: ContextVar[psycopg.Connection | None] = ContextVar("connection", default=None)
_sending: ContextVar[Callable[[str], str] | None] = ContextVar("sending", default=None)


def current() -> Scope:
    """The rendering that this thread is in."""
    scope = _scope.get()
    if scope is None:
        raise RuntimeError("A macro was called outside of any rendering.")
    return scope


def is_executing() -> bool:
    """Whether what is rendered now counts; False for what is read now and rendered again."""
    scope = _scope.get()
    return scope is None or scope.executing


@contextmanager
def nowhere() -> Iterator[None]:
    """Within, this thread is in no rendering, as while a template is compiled."""
    token = _scope.set(None)
    try:
        yield
    finally:
        _scope.reset(token)


def replaced() -> dict[str, Any]:
    """The macros that take the place of others in this rendering, by name or ``package.name``."""
    scope = _scope.get()
    return scope.replaced if scope is not None else {}


@contextmanager
def entered(scope: Scope) -> Iterator[None]:
    """Within, ``scope`` is the current rendering of this thread."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


def calls() -> Calls | None:
    """Where calls of macros are collected, if they are."""
    return _calls.get()


@contextmanager
def noting(calls: Calls) -> Iterator[None]:
    """Within, the macros that this thread's templates call are collected in ``calls``."""
    token = _calls.set(calls)
    try:
        yield
    finally:
        _calls.reset(token)


def connection() -> psycopg.Connection | None:
    """The connection on which this thread's templates ask; None if there is none."""
    return _connection.get()


@contextmanager
def using(connection: psycopg.Connection) -> Iterator[None]:
    """Within, this thread's templates ask on ``connection``."""
    token = _connection.set(connection)
    try:
        yield
    finally:
        _connection.reset(token)


def sent(statement: str) -> str:
    """What to send for a ``statement`` of this thread's templates."""
    change = _sending.get()
    return statement if change is None else change(statement)


@contextmanager
def sending(change: Callable[[str], str]) -> Iterator[None]:
    """Within, ``change`` decides what is sent for a statement of this thread's templates."""
    token = _sending.set(change)
    try:
        yield
    finally:
        _sending.reset(token)
