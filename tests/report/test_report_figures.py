from decimal import Decimal

import pytest

from datapipe.report import figures
from datapipe.report.figures import ASCII, UNICODE


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
        ([Decimal("10.5"), Decimal("9.5"), 10], "█▁▅"),
        ([5, 5, 5], "▄▄▄"),
        ([5], "▄"),
        ([], ""),
        ([1, None, 2], "▁ █"),
        ([None, None], "  "),
        ([-2, 0, 2], "▁▅█"),
    ],
)
def test_a_sparkline_goes_from_the_lowest_to_the_highest(
    values: list[Decimal | int | None], drawn: str
) -> None:
    assert figures.sparkline(values, UNICODE.blocks) == drawn


@pytest.mark.parametrize(
    ("value", "low", "high", "drawn"),
    [
        (10, 10, 20, "●────"),
        (15, 10, 20, "──●──"),
        (20, 10, 20, "────●"),
        (7, 7, 7, "──●──"),
        (99, 10, 20, "────●"),
        (1, 10, 20, "●────"),
    ],
)
def test_the_mark_stands_where_the_close_is_in_its_range(
    value: int, low: int, high: int, drawn: str
) -> None:
    assert figures.position(value, low, high, 5, UNICODE) == drawn


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("999", "999"),
        ("999.6", "1.00K"),
        ("1000", "1.00K"),
        ("12345", "12.3K"),
        ("99949", "99.9K"),
        ("99950", "100K"),
        ("999499", "999K"),
        ("999500", "1.00M"),
        ("41234567890", "41.2B"),
        ("3456789000000000", "3457T"),
        ("-12345", "-12.3K"),
    ],
)
def test_a_count_has_three_digits_and_a_letter(value: str, text: str) -> None:
    assert figures.count(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1234567.891", "1,234,567.89"),
        ("182.5200", "182.52"),
        ("1", "1.00"),
        ("0", "0.00"),
        ("0.0345", "0.0345"),
        ("0.00001234", "0.00001234"),
        ("-0.5", "-0.5000"),
    ],
)
def test_a_price_below_one_shows_more_decimals(value: str, text: str) -> None:
    assert figures.price(Decimal(value)) == text


def test_a_change_has_its_sign_unless_it_is_nothing() -> None:
    assert figures.change(Decimal("1.2")) == "+1.20"
    assert figures.change(Decimal("-1.2")) == "-1.20"
    assert figures.change(Decimal("-0.001")) == "0.00"
    assert figures.change(Decimal("-0.001"), Decimal("0.03")) == "-0.0010"
    assert figures.change_percent(Decimal("0.6612")) == "+0.66%"
    assert figures.change_percent(Decimal(0)) == "0.00%"


def test_a_plain_number_keeps_its_digits_up_to_four_decimals() -> None:
    assert figures.number(1234567) == "1,234,567"
    assert figures.number(Decimal("12.50")) == "12.50"
    assert figures.number(Decimal("182.5200000000000000")) == "182.5200"


def test_drawings_are_plain_where_the_encoding_has_no_others() -> None:
    assert figures.glyphs("utf-8") is UNICODE
    assert figures.glyphs("ascii") is ASCII
    assert figures.glyphs("latin-1") is ASCII
