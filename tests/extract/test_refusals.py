import pytest

from datapipe.extract.refusals import (
    KeyRefused,
    NotEntitled,
    QuotaSpent,
    RateLimited,
    RequestRefused,
    UnknownNotice,
    classified,
    redacted,
    refusal_in,
    spelled_in_row,
)

# Each text names, beside what it means, words that belong to other classes.
TEXTS = [
    ("Please spread out (1 request per second); premium lifts 25 requests per day", RateLimited),
    ("Burst pattern detected. Query no more than 5 requests per second.", RateLimited),
    ("Minute-level rate limit exceed for your premium subscription", RateLimited),
    ("Our standard API call frequency is 5 calls per minute and 500 calls per day", RateLimited),
    ("Your API key as K and our rate limit is 25 requests per day. Premium!", QuotaSpent),
    ("You are not yet entitled. Plans have 150 or 1200 requests per minute", NotEntitled),
    ("This is a premium endpoint. THE SAMPLE DATA SCHEMA BELOW IS ARTIFICIAL", NotEntitled),
    ("The outputsize=full parameter value is a premium feature for DAILY", NotEntitled),
    ("The **demo** API key is for demo purposes only. Claim your free API key", KeyRefused),
    ("the parameter apikey is invalid or missing. Claim your free API key", KeyRefused),
    ("Invalid API call. Please retry for TIME_SERIES_DAILY.", RequestRefused),
    ("This API function (X) does not exist.", RequestRefused),
    ("if you would like to target a higher API call volume", RateLimited),
    ("The moon is full.", UnknownNotice),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS)
def test_the_text_decides_the_class(text: str, kind: type) -> None:
    assert type(classified(text)) is kind
    assert type(classified(text.upper())) is kind


@pytest.mark.parametrize("key", ["Information", "Note", "Error Message", "information", "Note "])
def test_the_key_does_not_decide(key: str) -> None:
    assert isinstance(refusal_in({key: "25 requests per day"}), QuotaSpent)


def test_only_a_rate_limit_says_how_long_to_wait() -> None:
    assert classified("1 request per second").wait_seconds == 2
    assert classified("Minute-level rate limit").wait_seconds == 60
    assert classified("25 requests per day").wait_seconds == 0


def test_the_meta_datas_own_information_is_no_refusal() -> None:
    assert refusal_in({"Meta Data": {"1. Information": "Daily Prices"}}) is None


def test_a_message_beside_invented_rows_is_a_refusal() -> None:
    document = {"message": "***THE SAMPLE DATA SCHEMA BELOW IS ARTIFICIAL***", "data": [{}]}
    refused = refusal_in(document)
    assert isinstance(refused, NotEntitled)
    assert refused.kind == "sample_data"


def test_a_harmless_message_is_no_refusal() -> None:
    assert refusal_in({"message": "success", "data": [{}]}) is None


@pytest.mark.parametrize(
    "cells", [list("Informa"), list("Inf"), list("ErrorMe"), list("Note"), [*"Note", "", ""]]
)
def test_a_refusal_spelled_out_over_the_columns_is_seen(cells: list[str]) -> None:
    assert isinstance(spelled_in_row(cells), UnknownNotice)


@pytest.mark.parametrize("cells", [["IBM", "International", "2026"], list("ABC"), ["I"], []])
def test_ordinary_rows_spell_nothing(cells: list[str]) -> None:
    assert spelled_in_row(cells) is None


def test_the_key_is_taken_out_of_texts_that_repeat_it() -> None:
    assert redacted("your API key as ABC and", "ABC") == "your API key as [key] and"
    assert redacted("nothing", None) == "nothing"


@pytest.mark.parametrize(
    "text", ["AB+C/DEF", "ab+c/def", "AB%2BC%2FDEF", "ab%2bc/def", "AB\\u002bC/DEF", "AB&#43;C/DEF"]
)
def test_the_key_is_found_in_every_spelling(text: str) -> None:
    assert redacted(f"x{text}y", "AB+C/DEF") == "x[key]y"


def test_a_short_key_is_one_only_as_a_word_and_demo_is_none() -> None:
    assert redacted("KEY or MONKEY", "KEY") == "[key] or MONKEY"
    assert redacted("the **demo** API key", "demo") == "the **demo** API key"
