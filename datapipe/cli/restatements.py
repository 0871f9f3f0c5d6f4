"""datapipe restatements"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict, astuple, fields
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from datapipe import symbols as tickers
from datapipe.cli import console, options
from datapipe.cli.text import aligned
from datapipe.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datapipe.load.restatements import Restatement


def restatements(
    symbols: options.OnlySymbols = None,
    since: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Only what became known since then.")
    ] = None,
    format: options.Format = "table",
    source: options.Source = None,
) -> None:
    """List values that were changed later.

    What they were, what they are, and since when.
    """
    from datapipe.load import restatements as room  # late, for the sake of --help
    from datapipe.pipeline import Pipeline

    warehouse = Pipeline(console.settings()).warehouse(source)
    found = room.run(warehouse, tickers.split(symbols or ""), _date(since))
    names = [each.name for each in fields(room.Restatement)]
    if format == "json":
        console.say(json.dumps([asdict(each) for each in found], indent=1, default=_text))
    elif format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(_texts(found))
    else:
        header = [name.replace("_", " ") for name in names]
        console.say("\n".join(aligned([header, *_texts(found)])))


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since {text!r} is not a date; write it as 2026-05-15.") from None


def _texts(found: Sequence[Restatement]) -> list[list[str]]:
    return [["" if value is None else _text(value) for value in astuple(each)] for each in found]


def _text(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
