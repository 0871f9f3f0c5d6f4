"""Which warehouse is meant, where a command may leave it open: the real one, or the sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from datapipe.settings import Settings
from datapipe.warehouse import Warehouse


def chosen(settings: Settings, *, sample: bool | None) -> Warehouse:
    """The real warehouse or its sample; it may not exist yet.

    Where ``sample`` is None it is the real one, or the sample if that alone holds anything.
    """
    with _looked_at(settings, sample) as (warehouse, _):
        return warehouse


@contextmanager
def connected(
    settings: Settings, *, sample: bool | None
) -> Iterator[tuple[Warehouse, psycopg.Connection]]:
    """The warehouse that is ``chosen``, and a connection to it in autocommit."""
    with ExitStack() as stack:
        warehouse, connection = stack.enter_context(_looked_at(settings, sample))
        yield warehouse, connection or stack.enter_context(warehouse.connect(autocommit=True))


@contextmanager
def _looked_at(
    settings: Settings, sample: bool | None
) -> Iterator[tuple[Warehouse, psycopg.Connection | None]]:
    """The warehouse that is meant, and the connection to it if one was needed to find out."""
    real, synthetic = Warehouse.of(settings), Warehouse.of(settings, sample=True)
    if sample is not None:
        yield synthetic if sample else real, None
        return
    with real.connect_if_there() as connection:
        if _is_sample_meant(synthetic, connection):
            yield synthetic, None
        else:
            yield real, connection


def _is_sample_meant(sample: Warehouse, real: psycopg.Connection | None) -> bool:
    """Whether only the sample holds anything; ``real`` is None where that database is not there."""
    if real is not None and (_holds_anything(real) or not sample.is_beside(real)):
        return False
    with sample.connect_if_there() as connection:
        return connection is not None and _holds_anything(connection)


def _holds_anything(connection: psycopg.Connection) -> bool:
    """Whether any data ever came into a warehouse; ``connection`` is in autocommit."""
    try:
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM raw.responses) OR EXISTS (SELECT FROM raw.daily_prices) "
            "OR EXISTS (SELECT FROM raw.intraday_prices)"
        ).fetchone()
    except psycopg.errors.UndefinedTable:  # it was never upgraded
        return False
    return bool(row and row[0])
