"""Frozen dataclasses that are quick to define."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Any] | None = None, /, *, kw_only: bool = False) -> Any:
    """``dataclass(frozen=True)``, of whose methods only ``__init__`` is compiled for each class.

    A command defines about a hundred such classes every time, and compiling six methods for each
    took a sixth of a run that finds nothing to do. The others are shared here. A class keeps those
    that it defines itself.
    """

    def made(cls: type[Any]) -> type[Any]:
        dataclass(eq=False, repr=False, kw_only=kw_only)(cls)
        compared = [each.name for each in fields(cls) if each.compare]
        cls.__compared__ = attrgetter(*compared or ["__class__"])
        for name, method in _SHARED.items():
            if cls.__dict__.get(name) is None:  # __hash__ is None where __eq__ is defined
                setattr(cls, name, method)
        return cls

    return made if cls is None else made(cls)


def _is_equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__compared__(self) == self.__compared__(other)


def _hash(self: Any) -> int:
    return hash(self.__compared__(self))


def _shown(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _set_once(self: Any, name: str, value: object) -> None:
    # __init__ is the first to set a field, and whoever comes after it is refused.
    if self.__dict__.setdefault(name, value) is not value:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _keep(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED = {
    "__eq__": _is_equal,
    "__hash__": _hash,
    "__repr__": _shown,
    "__setattr__": _set_once,
    "__delattr__": _keep,
}
