from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datapipe.cli.asking import asked
from datapipe.errors import UsageError
from datapipe.extract.endpoints import named, requests


def params(endpoint: str, **options: Any) -> dict[str, str]:
    ask = asked(symbols="IBM", endpoints=endpoint, **options)
    (request,) = requests(named(ask.endpoints), ask.symbols, ask.options)
    return dict(request.params)


@pytest.mark.parametrize(
    ("endpoint", "given", "sent"),
    [
        ("intraday", {}, {"adjusted": "false", "extended_hours": "true"}),
        ("intraday", {"adjusted": True}, {"adjusted": "true"}),
        ("intraday", {"extended_hours": False}, {"extended_hours": "false"}),
        ("intraday", {"month": "2026-04"}, {"month": "2026-04"}),
        ("listing-status", {}, {"state": "active"}),
        ("listing-status", {"state": "delisted"}, {"state": "delisted"}),
        ("earnings-calendar", {"horizon": "12month"}, {"horizon": "12month"}),
    ],
)
def test_every_option_of_an_endpoint_can_be_chosen(
    endpoint: str, given: dict[str, Any], sent: dict[str, str]
) -> None:
    assert params(endpoint, **given).items() >= sent.items()


@pytest.mark.parametrize(
    ("endpoint", "given", "said"),
    [
        ("daily", {"adjusted": True}, r"--adjusted is of .*: --endpoints daily,intraday"),
        ("daily", {"extended_hours": False}, "--regular-hours is of the endpoint intraday"),
        ("daily", {"state": "delisted"}, "--endpoints daily,listing-status"),
        ("intraday", {"month": "2026-4"}, "'2026-4' is not a month. Write it as 2026-05"),
        ("intraday", {"month": "1999-12"}, "from 2000-01 until now"),
        ("intraday", {"month": f"{datetime.now(UTC) + timedelta(40):%Y-%m}"}, "until now"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_with_a_cure(
    endpoint: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        params(endpoint, **given)
