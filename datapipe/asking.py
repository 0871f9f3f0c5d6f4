"""What a caller asks of a pipeline, hears on the way, and gets in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from datapipe.frozen import frozen

if TYPE_CHECKING:
    from datapipe.extract import Extracted
    from datapipe.load import Loaded
    from datapipe.transform import NodeResult, Transformed
    from datapipe.warehouse import Warehouse

ALPHA_VANTAGE = "alpha_vantage"
SAMPLE = "sample"


@frozen
class Listener:
    """Who is told how the work goes on; by default nobody."""

    extracted: Callable[[int, int, str], None] = lambda done, total, what: None
    loaded: Callable[[int, int], None] = lambda done, total: None
    transformed: Callable[[int, int, str], None] = lambda done, total, what: None
    node: Callable[[NodeResult, int, int], None] = lambda result, done, total: None
    message: Callable[[str], None] = lambda message: None
    finished: Callable[[Extracted | Loaded | Transformed], None] = lambda result: None


@frozen
class Ran:
    """What ``run_all`` did, step by step."""

    extracted: Extracted
    loaded: Loaded
    transformed: Transformed
    warehouse: Warehouse


@frozen
class Ask:
    """What to extract: ``source`` is alpha_vantage, sample, or a folder of recorded answers.

    Without symbols or endpoints the source has its own. ``options`` are parameters of the API, for
    the endpoints that know them. With ``refresh`` the API is asked also where nothing new can be.
    """

    source: str = ALPHA_VANTAGE
    symbols: Sequence[str] = ()
    symbols_file: Path | None = None
    endpoints: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    refresh: bool = False
