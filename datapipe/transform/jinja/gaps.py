"""Gaps: places where a template writes a name that nothing sets, so that nothing is written.

As with dbt that is no error, but it may be a mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datapipe.frozen import frozen
from datapipe.transform.jinja import wording
from datapipe.transform.jinja.scope import Scope
from datapipe.transform.jinja.templates import UNKNOWN, unmarked

_BEFORE = 60

# Tells where something is written, when somebody has to know.
Where = Callable[[], tuple[Path, int | None]]


@frozen
class Gap:
    """A name for which nothing was written, and where.

    ``before`` is what was rendered before the gap, without spaces. It is known only where what was
    rendered is marked.
    """

    name: str
    path: Path
    line: int | None
    meant: str
    before: str | None = None

    @property
    def message(self) -> str:
        """What is wrong, and what may have been meant."""
        return f"'{self.name}' is undefined, so nothing is written for it.{self.meant}"

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.message}"

    def is_at(self, text: str, start: int, end: int) -> bool:
        """Whether the gap is in ``text[start:end]``, or only spaces are between the two."""
        return self.before is not None and any(
            squeezed(text[:at]).endswith(self.before) for at in range(start, end + 1)
        )


def gaps(rendering: Scope, where: Where, rendered: Any = None) -> list[Gap]:
    """The gaps that ``rendering`` has left; ``where`` tells where that began."""
    before: dict[int, str] = {}
    if isinstance(rendered, str):
        for found in UNKNOWN.finditer(rendered):
            before[int(found[1])] = squeezed(unmarked(rendered[: found.start()]))[-_BEFORE:]
    made = []
    for number, (name, place) in enumerate(rendering.unknown):
        at, line = place or where()
        meant = wording.unknown(name, rendering.variables, at)
        made.append(Gap(name, at, line, meant, before.get(number)))
    return made


def without_gaps(rendered: Any) -> Any:
    """``rendered`` without the marks that gaps leave."""
    return UNKNOWN.sub("", rendered) if isinstance(rendered, str) else rendered


def squeezed(text: str) -> str:
    """``text`` without its spaces."""
    return "".join(text.split())
