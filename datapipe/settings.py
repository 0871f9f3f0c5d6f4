"""Settings: from ``.env``, the environment and the command line, in rising order.

This is the only module that reads the environment or ``.env``.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datapipe import symbols
from datapipe.errors import SettingsError, UsageError
from datapipe.frozen import frozen

_PREFIX = "DATAPIPE_"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("It must be an address that begins with http:// or https://.")
    return text.rstrip("/") + "/query" if parts.path in {"", "/"} else text


def _database_url(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("Write it as postgresql://user:password@host:5432/database.")
    try:
        _ = urlsplit(text).port
    except ValueError:
        raise ValueError(
            "Its port is not a number. Percent-encode special characters in the password."
        ) from None
    return text


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _limit(text: str) -> int | None:
    """A number of requests; ``0`` or ``unlimited`` means that there is no limit."""
    if text.strip().lower() in {"0", "unlimited", "none"}:
        return None
    return _count(text)


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError("It must be a whole number, 0 or more.")
    return number


def _timezone(text: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(text).key
    except (KeyError, OSError, ValueError):
        raise ValueError("There is no such zone. Write it as UTC or America/New_York.") from None


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "datapipe"


def _setting(
    variable: str, read: Callable[[str], Any], *, secret: bool = False, **kwargs: Any
) -> Any:
    return field(repr=not secret, metadata={"variable": variable, "read": read}, **kwargs)


@frozen
class Settings:
    """All that can be set, each from the variable named beside it."""

    api_key: str | None = _setting("ALPHA_VANTAGE_API_KEY", str, secret=True, default=None)
    api_url: str = _setting("DATAPIPE_API_URL", _url, default="https://www.alphavantage.co/query")
    database_url: str | None = _setting(
        "DATAPIPE_DATABASE_URL", _database_url, secret=True, default=None
    )
    data_dir: Path = _setting("DATAPIPE_DATA_DIR", _path, default_factory=_data_home)
    project_dir: Path | None = _setting("DATAPIPE_PROJECT_DIR", _path, default=None)
    target_schema: str = _setting("DATAPIPE_TARGET_SCHEMA", str, default="public")
    symbols: tuple[str, ...] = _setting("DATAPIPE_SYMBOLS", symbols.split, default=())
    requests_per_second: int | None = _setting("DATAPIPE_REQUESTS_PER_SECOND", _limit, default=1)
    requests_per_minute: int | None = _setting("DATAPIPE_REQUESTS_PER_MINUTE", _limit, default=None)
    requests_per_day: int | None = _setting("DATAPIPE_REQUESTS_PER_DAY", _limit, default=25)
    quota_timezone: str = _setting("DATAPIPE_QUOTA_TIMEZONE", _timezone, default="UTC")
    lock_wait_seconds: int = _setting("DATAPIPE_LOCK_WAIT_SECONDS", _count, default=60)

    @classmethod
    def load(
        cls,
        overrides: Mapping[str, str | None] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        dotenv: Path | None = Path(".env"),
    ) -> Settings:
        """The settings of this process; ``overrides`` come from the command line, by variable.

        A blank value counts as not set. Raises SettingsError for a value that cannot be read and
        for an unknown name that begins with ``DATAPIPE_``.
        """
        found: dict[str, str] = {}
        for layer in (_read_dotenv(dotenv), os.environ if environ is None else environ, overrides):
            found.update({name: text for name, text in (layer or {}).items() if text is not None})
        _refuse_unknown(found)
        values: dict[str, Any] = {}
        for each in fields(cls):
            variable = each.metadata["variable"]
            text = found.get(variable, "").strip()
            if not text:
                continue
            try:
                values[each.name] = each.metadata["read"](text)
            except (ValueError, UsageError) as error:
                shown = "" if not each.repr else f" is {text!r}."
                raise SettingsError(
                    f"{variable}{shown or ' is malformed.'} {error}", variable=variable
                ) from None
        return cls(**values)


def variables() -> tuple[str, ...]:
    """The names of all settings, as they stand in ``.env.example``."""
    return tuple(each.metadata["variable"] for each in fields(Settings))


def _read_dotenv(path: Path | None) -> dict[str, str | None]:
    if path is None or not path.is_file():
        return {}
    from dotenv import dotenv_values  # late, for the sake of --help

    try:
        return dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.", variable=str(path)) from None


def _refuse_unknown(names: Mapping[str, str]) -> None:
    known = variables()
    for name in names:
        if name.startswith(_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            cure = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
            raise SettingsError(f"There is no setting {name}. {cure}", variable=name)
