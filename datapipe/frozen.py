"""Frozen dataclasses that are quick to define."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from threading import RLock
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
    """``dataclass(frozen=True)``, which compiles no methods and looks at fields when asked for.

    A command defines about a hundred such classes every time. To compile seven methods for each
    took a fifth of a run that finds nothing to do, and what ``fields()`` tells of them another
    twentieth. The methods are shared here; a class keeps those that it defines itself.
    """

    def made(cls: type[Any]) -> type[Any]:
        form = _Form.of(cls, kw_only=kw_only)
        of_its_own = {
            "__form__": form,
            "__match_args__": form.positional,
            "__dataclass_fields__": _FieldsOnDemand(cls, kw_only=kw_only),
        }
        for name, value in (_SHARED | of_its_own).items():
            if cls.__dict__.get(name) is None:  # __hash__ is None where __eq__ is defined
                setattr(cls, name, value)
        return cls

    return made if cls is None else made(cls)


_LOOKING = RLock()  # a thread asks a class, and that the class that it is derived from


class _FieldsOnDemand:
    """What makes a class one for the functions of ``dataclasses``, as soon as one of them asks."""

    def __init__(self, cls: type[Any], *, kw_only: bool) -> None:
        self._cls = cls
        self._kw_only = kw_only

    def __get__(self, instance: Any, asked: Any) -> Mapping[str, Field[Any]]:
        cls = self._cls
        with _LOOKING:
            if cls.__dict__["__dataclass_fields__"] is self:
                dataclass(init=False, eq=False, repr=False, kw_only=self._kw_only)(cls)
        found: Mapping[str, Field[Any]] = cls.__dict__["__dataclass_fields__"]
        return found


class _Own(NamedTuple):
    """What the shared methods know of one field."""

    default: Any
    factory: Any
    is_compared: bool
    is_positional: bool

    @classmethod
    def of(cls, given: Any, *, kw_only: bool) -> _Own:
        """The field to which a class sets ``given``: a default, what field() makes, or nothing."""
        if not isinstance(given, Field):
            return cls(given, MISSING, is_compared=True, is_positional=not kw_only)
        is_positional = not (kw_only if given.kw_only is MISSING else given.kw_only)
        return cls(given.default, given.default_factory, bool(given.compare), is_positional)


class _Form(NamedTuple):
    """What the shared methods know of a class."""

    fields: Mapping[str, _Own]
    positional: tuple[str, ...]
    defaults: Mapping[str, Any]
    factories: tuple[tuple[str, Callable[[], Any]], ...]
    compared: Callable[[Any], Any]
    has_more_to_do: bool

    @classmethod
    def of(cls, made: type[Any], *, kw_only: bool) -> _Form:
        found: dict[str, _Own] = {}
        for base in reversed(made.__mro__[1:]):
            if "__form__" in base.__dict__:
                found |= base.__dict__["__form__"].fields
        for name, annotation in made.__annotations__.items():
            if not str(annotation).startswith(("ClassVar", "typing.ClassVar")):
                given = made.__dict__.get(name, MISSING)
                found[name] = _Own.of(given, kw_only=kw_only)
        compared = [name for name, each in found.items() if each.is_compared]
        return cls(
            fields=found,
            positional=tuple([name for name, each in found.items() if each.is_positional]),
            defaults={n: each.default for n, each in found.items() if each.default is not MISSING},
            factories=tuple(
                [(n, each.factory) for n, each in found.items() if each.factory is not MISSING]
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
    if is_twice or len(given) > len(form.positional) or values.keys() != form.fields.keys():
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
