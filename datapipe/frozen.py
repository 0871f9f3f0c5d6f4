"""Frozen dataclasses that are quick to define."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Any] | None = None, /, *, kw_only: bool = False) -> Any:
    """``dataclass(frozen=True)``, but that it compiles no methods.

    A command defines about a hundred such classes every time, and compiling six methods for each
    took a fifth of a run that finds nothing to do. A class keeps the methods that it defines
    itself.
    """

    def made(cls: type[Any]) -> type[Any]:
        dataclass(init=False, eq=False, repr=False, kw_only=kw_only)(cls)
        compared = [each.name for each in fields(cls) if each.compare]
        cls.__compared__ = attrgetter(*compared or ["__class__"])
        for name, method in {"__init__": _init(cls), **_SHARED}.items():
            if cls.__dict__.get(name) is None:  # __hash__ is None where __eq__ is defined
                setattr(cls, name, method)
        return cls

    return made if cls is None else made(cls)


def _init(cls: type[Any]) -> Callable[..., None]:
    """The ``__init__`` of ``cls``, which goes by its fields and not by code that names them."""
    own = fields(cls)
    names = {each.name for each in own}
    in_order = [each.name for each in own if not each.kw_only]
    defaults = {each.name: each.default for each in own if each.default is not MISSING}
    factories = {
        each.name: each.default_factory for each in own if each.default_factory is not MISSING
    }
    and_then = getattr(cls, "__post_init__", None)

    def init(self: Any, *values: Any, **named: Any) -> None:
        filled = self.__dict__
        filled.update(defaults)
        filled.update(zip(in_order, values, strict=False))
        filled.update(named)
        for name, make in factories.items():
            if name not in filled:
                filled[name] = make()
        if (
            len(filled) != len(names)
            or len(values) > len(in_order)
            or not names.issuperset(named)
            or not named.keys().isdisjoint(in_order[: len(values)])
        ):
            raise TypeError(
                f"{cls.__qualname__} has the fields {', '.join(each.name for each in own)}; given "
                f"were {len(values)} in order, and by name: {', '.join(named) or 'none'}"
            )
        if and_then is not None:
            and_then(self)

    return init


def _is_equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__compared__(self) == self.__compared__(other)


def _hash(self: Any) -> int:
    return hash(self.__compared__(self))


def _shown(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_value(_self: Any, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED = {
    "__eq__": _is_equal,
    "__hash__": _hash,
    "__repr__": _shown,
    "__setattr__": _refuse_value,
    "__delattr__": _refuse_deletion,
}
