"""Which source is asked for what: from a caller's words to an extraction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from datapipe import extract
from datapipe.asking import ALPHA_VANTAGE, SAMPLE, Ask, Listener
from datapipe.extract import Extracted, Source, endpoints, planner, universe
from datapipe.extract.day import CalendarDay
from datapipe.extract.endpoints import Request
from datapipe.extract.planner import Plan
from datapipe.extract.quota import Limits, Quota
from datapipe.frozen import frozen
from datapipe.settings import Settings
from datapipe.warehouse import Warehouse, sessions


@frozen
class Extraction:
    """What ``ask`` comes to in one run, over ``connection``."""

    ask: Ask
    settings: Settings
    warehouse: Warehouse
    connection: psycopg.Connection
    run_id: int
    listener: Listener

    def run(self) -> Extracted:
        """Ask the source; every good answer is safe in ``raw.responses`` at once."""
        with self._asked() as (source, requests, plan):
            extracted = extract.run(
                self.connection,
                source,
                requests,
                run_id=self.run_id,
                on_progress=self.listener.extracted,
            )
        if plan is None:
            return extracted
        return replace(extracted, current=plan.current, held=len(plan.held))

    def plan(self) -> Plan:
        """What the API would be asked for, with what need not be; sends nothing."""
        with self._quota() as quota:
            return self._planned(quota, with_gaps=True)

    @contextmanager
    def _asked(self) -> Iterator[tuple[Source, Sequence[Request], Plan | None]]:
        """The source, what to ask it for, and, of the API, the plan that this comes from."""
        source: Source
        if self.ask.source == ALPHA_VANTAGE:
            from datapipe.extract.alpha_vantage import AlphaVantage  # its HTTP client takes long

            url, key = self.settings.api_url, self.settings.api_key or ""
            with self._quota() as quota:
                plan = self._planned(quota)
                source = AlphaVantage(url, key, quota, options=self.ask.options)
                yield source, plan.requests, plan
            return
        file = self.ask.symbols_file
        symbols = (*self.ask.symbols, *(universe.read(file) if file else ()))
        chosen = endpoints.named(self.ask.endpoints)
        if self.ask.source == SAMPLE:
            from datapipe.extract.sample import FIRST_SESSION, Sample

            now = datetime.now(UTC)
            finished = sessions.finished(self.connection, since=FIRST_SESSION, now=now)
            source = Sample(finished, now)
            chosen = chosen or endpoints.SAMPLE
        else:
            from datapipe.extract.recordings import Recordings

            source = Recordings(Path(self.ask.source))
        yield source, source.requests(symbols, chosen), None

    def _planned(self, quota: Quota, *, with_gaps: bool = False) -> Plan:
        chosen = endpoints.named(self.ask.endpoints) or endpoints.DEFAULT
        meant = universe.resolve(
            self.connection,
            named=self.ask.symbols,
            file=self.ask.symbols_file,
            configured=self.settings.symbols,
            endpoints=chosen,
        )
        for warning in meant.warnings:
            self.listener.message(warning)
        return planner.plan(
            self.connection,
            chosen,
            meant.symbols,
            self.ask.options,
            left_today=quota.left_today(),
            per_day=self.settings.requests_per_day,
            key_id=quota.key_id,
            refresh=self.ask.refresh,
            with_gaps=with_gaps,
        )

    @contextmanager
    def _quota(self) -> Iterator[Quota]:
        """The account of the key, over a connection of its own: what it counts, stays counted."""
        settings = self.settings
        limits = Limits(
            settings.requests_per_second, settings.requests_per_minute, settings.requests_per_day
        )
        with self.warehouse.connect(autocommit=True) as connection:
            yield Quota(
                connection,
                settings.api_key or "",
                limits,
                run_id=self.run_id,
                day=CalendarDay(settings.quota_timezone),
            )
