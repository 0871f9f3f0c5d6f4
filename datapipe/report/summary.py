"""The market in a few figures."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from datapipe.frozen import frozen
from datapipe.report.figures import known
from datapipe.report.result import Report


@frozen
class Mover:
    """A symbol and its change, in per cent."""

    symbol: str
    change_percent: Decimal


@frozen
class Summary:
    """What the market did in its last session; symbols that ended earlier are only counted.

    ``traded_value`` has a sum for each currency; None stands for one that is not known.
    """

    through: date
    symbols: int
    advancers: int
    decliners: int
    unchanged: int
    behind: int
    without_prices: int
    traded_value: dict[str | None, Decimal]
    gainer: Mover | None
    loser: Mover | None


def summary(report: Report) -> Summary | None:
    """The summary of a report on symbols and their sessions; None of any other."""
    if report.as_of is None or not report.has("symbol", "session_date", "change_percent"):
        return None
    sessions = report.values("session_date")
    rows = zip(
        sessions,
        report.values("symbol"),
        map(known, report.values("change_percent")),
        map(known, report.values("traded_value")),
        report.values("currency"),
        strict=True,
    )
    today = [row for row in rows if row[0] == report.as_of]
    movers = [Mover(row[1], row[2]) for row in today if row[2] is not None]
    best = max(movers, key=lambda mover: mover.change_percent, default=None)
    worst = min(movers, key=lambda mover: mover.change_percent, default=None)
    traded: dict[str | None, Decimal] = {}
    for _, _, _, value, currency in today:
        if value is not None:
            traded[currency] = traded.get(currency, Decimal(0)) + value
    return Summary(
        through=report.as_of,
        symbols=len(sessions),
        advancers=sum(mover.change_percent > 0 for mover in movers),
        decliners=sum(mover.change_percent < 0 for mover in movers),
        unchanged=sum(mover.change_percent == 0 for mover in movers),
        behind=sum(session is not None and session < report.as_of for session in sessions),
        without_prices=sum(session is None for session in sessions),
        traded_value=traded,
        gainer=best if best is not None and best.change_percent > 0 else None,
        loser=worst if worst is not None and worst.change_percent < 0 else None,
    )
