from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.errors import UsageError
from datapipe.symbols import normalise, split


@pytest.mark.parametrize(
    ("typed", "symbol"),
    [
        ("aapl", "AAPL"),
        (" brk.b ", "BRK-B"),
        ("BF/B", "BF-B"),
        ("tsco.lon", "TSCO.LON"),
        ("-p-hiz", "-P-HIZ"),
        ("acwv:bat", "ACWV:BAT"),
        ("NA", "NA"),
        ("nan", "NAN"),
        ("true", "TRUE"),
        ("e", "E"),
    ],
)
def test_a_symbol_has_one_spelling(typed: str, symbol: str) -> None:
    assert normalise(typed) == symbol


@pytest.mark.parametrize("typed", ["", "   ", "no such", "A;B", "--", "A'B", "A" * 40])
def test_what_is_no_symbol_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="not a ticker symbol"):
        normalise(typed)


@given(st.text(ascii_letters + ".-", min_size=1, max_size=8).filter(lambda text: text.strip(".-")))
def test_normalising_twice_changes_nothing(typed: str) -> None:
    assert normalise(normalise(typed)) == normalise(typed)


def test_a_list_keeps_its_order_and_drops_doubles_and_blanks() -> None:
    assert split("msft, AAPL,,msft,\nbrk.b") == ("MSFT", "AAPL", "BRK-B")
