"""Frozen dataclasses that are quick to define."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from inspect import Signature

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Any] | None = None, /, *, kw_only: bool = False) -> Any:
    """``dataclass(frozen=True)``, whose methods are not compiled for each class.

    A command defines about a hundred such classes every time, and compiling seven methods for each
    took a fifth of a run that finds nothing to do. They are shared here. A class keeps those that
    it defines itself.
    """

    def made(cls: type[Any]) -> type[Any]:
        dataclass(init=False, eq=False, repr=False, kw_only=kw_only)(cls)
        cls.__form__ = _Form.of(cls)
        for name, method in _SHARED.items():
            if cls.__dict__.get(name) is None:  # __hash__ is None where __eq__ is defined
                setattr(cls, name, method)
        return cls

    return made if cls is None else made(cls)


class _Form(NamedTuple):
    """What the shared methods know of a class."""

    names: frozenset[str]
    positional: tuple[str, ...]
    defaults: Mapping[str, Any]
    factories: tuple[tuple[str, Callable[[], Any]], ...]
    compared: Callable[[Any], Any]
    has_more_to_do: bool

    @classmethod
    def of(cls, made: type[Any]) -> _Form:
        all_ = fields(made)
        compared = [each.name for each in all_ if each.compare]
        return cls(
            names=frozenset([each.name for each in all_]),
            positional=tuple([each.name for each in all_ if not each.kw_only]),
            defaults={each.name: each.default for each in all_ if each.default is not MISSING},
            factories=tuple(
                [
                    (each.name, each.default_factory)
                    for each in all_
                    if each.default_factory is not MISSING
                ]
            ),
            compared=attrgetter(*compared or ["__class__"]),
            has_more_to_do=hasattr(made, "__post_init__"),
        )


def _begin(self: Any, /, *given: Any, **named: Any) -> None:
    form = self.__form__
    values = self.__dict__
    values.update(form.defaults)
    if given:
        values.update(zip(form.positional, given, strict=False))
    values.update(named)
    for name, factory in form.factories:
        if name not in values:
            values[name] = factory()
    is_twice = given and named and not named.keys().isdisjoint(form.positional[: len(given)])
    if is_twice or len(given) > len(form.positional) or values.keys() != form.names:
        self.__class__.__signature__.bind(*given, **named)  # raises what is wrong
    if form.has_more_to_do:
        self.__post_init__()


class _SignatureOnDemand:
    """The signature of a class, for help() and for what tells of a wrong call."""

    def __get__(self, instance: Any, cls: type[Any]) -> Signature:
        from inspect import Parameter, Signature

        parameters = []
        for each in sorted(fields(cls), key=lambda each: bool(each.kw_only)):
            default = each.default
            if each.default_factory is not MISSING:
                default = each.default_factory
            parameters.append(
                Parameter(
                    each.name,
                    Parameter.KEYWORD_ONLY if each.kw_only else Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if default is MISSING else default,
                    annotation=each.type,
                )
            )
        return Signature(parameters, return_annotation=None)


def _is_equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared = self.__form__.compared
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.__form__.compared(self))


def _shown(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _keep(_self: Any, name: str, *_value: object) -> None:
    verb = "assign to" if _value else "delete"
    raise FrozenInstanceError(f"cannot {verb} field {name!r}")


_SHARED = {
    "__init__": _begin,
    "__signature__": _SignatureOnDemand(),
    "__eq__": _is_equal,
    "__hash__": _hash,
    "__repr__": _shown,
    "__setattr__": _keep,
    "__delattr__": _keep,
}
