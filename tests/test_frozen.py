"""Frozen values behave as those that dataclass(frozen=True) makes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from inspect import signature
from typing import Any, ClassVar

import pytest

from datapipe.frozen import frozen


@frozen
class Price:
    """A price."""

    symbol: str
    close: float = 0.0
    key: str = field(default="", repr=False, compare=False)
    notes: list[str] = field(default_factory=list, compare=False)


@frozen(kw_only=True)
class Dated(Price):
    """A price of a day."""

    day: str

    def __repr__(self) -> str:
        return f"<{self.symbol} of {self.day}>"


@frozen
class Nothing:
    """A value without fields."""


def test_a_value_cannot_be_changed() -> None:
    price: Any = Price("AAPL", 1.5)
    with pytest.raises(FrozenInstanceError, match="close"):
        price.close = 2.5
    with pytest.raises(FrozenInstanceError, match="close"):
        del price.close
    assert price == Price("AAPL", 1.5)


def test_values_are_equal_by_the_fields_that_are_compared() -> None:
    price = Price("AAPL", 1.5, key="one", notes=["seen"])
    assert price == Price("AAPL", 1.5, key="another")
    assert hash(price) == hash(Price("AAPL", 1.5))
    assert price != Price("AAPL", 2.5)
    assert {price, Price("AAPL", 1.5)} == {price}
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_a_value_of_another_class_is_another() -> None:
    dated = Dated("AAPL", 1.5, day="2026-05-15")
    assert dated != Price("AAPL", 1.5)
    assert dated != Dated("AAPL", 1.5, day="2026-05-16")
    assert dated == Dated("AAPL", 1.5, day="2026-05-15")


def test_a_value_shows_itself_as_it_is_written() -> None:
    assert repr(Price("AAPL", 1.5, key="secret")) == "Price(symbol='AAPL', close=1.5, notes=[])"
    assert repr(Dated("AAPL", day="2026-05-15")) == "<AAPL of 2026-05-15>"
    assert repr(Nothing()) == "Nothing()"


def test_the_functions_of_dataclasses_know_it() -> None:
    price = replace(Price("AAPL", 1.5, key="one"), close=2.5)
    assert asdict(price) == {"symbol": "AAPL", "close": 2.5, "key": "one", "notes": []}
    assert price.notes is not Price("AAPL").notes
    assert is_dataclass(Nothing)
    assert [each.name for each in fields(Dated)] == ["symbol", "close", "key", "notes", "day"]


def test_what_belongs_to_the_class_is_no_field() -> None:
    @frozen
    class Quoted:
        """A price that knows its currency."""

        currency: ClassVar[str] = "USD"
        symbol: str = ""

    assert Quoted("AAPL").symbol == "AAPL"
    assert repr(Quoted("AAPL")).endswith("Quoted(symbol='AAPL')")


def test_a_value_is_matched_by_position() -> None:
    match Price("AAPL", 1.5):
        case Price(symbol, close):
            assert (symbol, close) == ("AAPL", 1.5)


def test_it_differs_from_a_dataclass_in_nothing_that_is_public() -> None:
    @dataclass(frozen=True)
    class Theirs:
        """A price."""

        symbol: str
        close: float = 0.0

    @frozen
    class Ours:
        """A price."""

        symbol: str
        close: float = 0.0

    assert [each.name for each in fields(Ours)] == [each.name for each in fields(Theirs)]
    assert set(vars(Ours)) ^ set(vars(Theirs)) == {"__form__", "__signature__"}
    assert signature(Ours) == signature(Theirs)


@pytest.mark.parametrize(
    ("given", "named", "wrong"),
    [
        ((), {}, "missing a required argument: 'symbol'"),
        (("AAPL",), {"colse": 1.5}, "unexpected keyword argument 'colse'"),
        (("AAPL",), {"symbol": "MSFT"}, "multiple values for argument 'symbol'"),
        (("AAPL", 1.5, "", [], "2026-05-15"), {}, "too many positional arguments"),
        (("AAPL",), {}, "missing a required .*'day'"),
    ],
)
def test_what_is_wrong_with_a_call_is_told(
    given: tuple[Any, ...], named: dict[str, Any], wrong: str
) -> None:
    kind = Price if "day" not in wrong else Dated
    with pytest.raises(TypeError, match=wrong):
        kind(*given, **named)
