"""Where the files lie that travel with the package but are not Python.

In a wheel they are inside the package; in a checkout (an editable install) they are beside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The path of ``migrations``, ``sql_models`` or ``.env.example`` as installed."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name
