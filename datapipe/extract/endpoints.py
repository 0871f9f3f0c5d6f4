"""What can be asked for: one entry an endpoint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from datapipe.errors import UsageError


@dataclass(frozen=True)
class Endpoint:
    """One function of the API, by the name that ``--endpoints`` knows it by.

    ``options`` are the parameters that a caller may choose, with their defaults. ``premium`` is
    what was true in 2026: the answer decides, not this list.
    """

    name: str
    function: str
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    premium: bool = False


ENDPOINTS = (
    Endpoint("daily", "TIME_SERIES_DAILY", MappingProxyType({"outputsize": "compact"})),
    Endpoint(
        "intraday",
        "TIME_SERIES_INTRADAY",
        # adjusted=false: what was traded; adjusted bars would be restated by every later split.
        MappingProxyType({"interval": "5min", "outputsize": "compact", "adjusted": "false"}),
        premium=True,
    ),
    Endpoint("overview", "OVERVIEW"),
)

FREE = tuple(endpoint for endpoint in ENDPOINTS if not endpoint.premium)


@dataclass(frozen=True)
class Request:
    """One question to a source. ``params`` never holds the key."""

    function: str
    symbol: str
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return self.params.get("file", f"{self.function} {self.symbol}")


def named(names: Iterable[str]) -> tuple[Endpoint, ...]:
    """The endpoints of these names, each once; UsageError for a name that is none."""
    known = {endpoint.name: endpoint for endpoint in ENDPOINTS}
    chosen: dict[str, Endpoint] = {}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
            raise UsageError(f"There is no endpoint {name!r}. {cure}")
        chosen[name] = known[name]
    return tuple(chosen.values())


def requests(
    endpoints: Iterable[Endpoint], symbols: Iterable[str], options: Mapping[str, str]
) -> tuple[Request, ...]:
    """A request for each endpoint and symbol, an endpoint at a time.

    An entry of ``options`` goes to the endpoints that know it.
    """
    symbols = tuple(symbols)
    return tuple(
        Request(
            endpoint.function,
            symbol,
            {name: options.get(name, default) for name, default in endpoint.options.items()},
        )
        for endpoint in endpoints
        for symbol in symbols
    )
