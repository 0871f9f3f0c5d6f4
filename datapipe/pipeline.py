"""The Python API: everything that the command does, as methods that return results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datapipe.errors import ProjectError, SettingsError, UsageError
from datapipe.paths import shipped
from datapipe.settings import Settings
from datapipe.warehouse import Warehouse, ledger, migrate, sessions

if TYPE_CHECKING:
    import psycopg

    from datapipe.extract import Extracted, Source
    from datapipe.load import Loaded
    from datapipe.report import Report
    from datapipe.transform import Transformed

ALPHA_VANTAGE = "alpha_vantage"
SAMPLE = "sample"


@dataclass(frozen=True)
class Listener:
    """Who is told how the work goes on; by default nobody."""

    extracted: Callable[[int, int, str], None] = lambda done, total, what: None
    loaded: Callable[[int, int], None] = lambda done, total: None
    transformed: Callable[[int, int, str], None] = lambda done, total, what: None
    message: Callable[[str], None] = lambda message: None
    finished: Callable[[Extracted | Loaded | Transformed], None] = lambda result: None


@dataclass(frozen=True)
class Ran:
    """What ``run_all`` did, step by step."""

    extracted: Extracted
    loaded: Loaded
    transformed: Transformed
    warehouse: Warehouse


@dataclass(frozen=True)
class _Step:
    """What every step of a run works with."""

    warehouse: Warehouse
    connection: psycopg.Connection
    run: ledger.Run


class Pipeline:
    """Extract, load, transform and report.

    Where a method takes ``source``, it names the warehouse, too: ``sample`` is the one with
    synthetic prices, anything else the real one. Without it the real one is meant, or the sample
    where the real one holds nothing.
    """

    def __init__(self, settings: Settings | None = None, listener: Listener | None = None) -> None:
        self.settings = settings or Settings.load()
        self._listener = listener or Listener()

    def extract(
        self,
        symbols: Sequence[str] = (),
        endpoints: Sequence[str] = (),
        *,
        source: str = ALPHA_VANTAGE,
        options: Mapping[str, str] | None = None,
    ) -> Extracted:
        """Ask ``source`` and keep the good answers in ``raw.responses``; each is safe at once."""
        self._check(source)
        with self._begin("extract", source) as step:
            return self._extract(step, symbols, endpoints, source, options or {})

    def load(self, files: Sequence[Path] = (), *, source: str | None = None) -> Loaded:
        """Load what is not loaded yet into the typed tables; with ``files``, their prices."""
        if files and source is None:
            source = ALPHA_VANTAGE  # a user's own prices are real ones
        with self._begin("load", source) as step:
            return self._load(step, files)

    def transform(
        self, *, source: str | None = None, variables: Mapping[str, Any] | None = None
    ) -> Transformed:
        """Build, test and publish the models of the SQL project; all of them or none."""
        with self._begin("transform", source) as step:
            return self._transform(step, variables or {})

    def report(
        self, name: str = "market", symbols: Sequence[str] = (), *, source: str | None = None
    ) -> Report:
        """The rows of a report of the SQL project."""
        from datapipe import report

        warehouse = self.warehouse(source)
        return report.run(warehouse, self.project_dir(), name=name, symbols=symbols)

    def run_all(
        self,
        symbols: Sequence[str] = (),
        endpoints: Sequence[str] = (),
        *,
        source: str = ALPHA_VANTAGE,
        options: Mapping[str, str] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Ran:
        """Extract, load and transform in one run.

        What could be extracted is loaded and published even where some requests failed:
        ``ran.extracted.error()`` tells.
        """
        self._check(source)
        with self._begin("run-all", source) as step, self._locked(step, "run-all"):
            extracted = self._extract(step, symbols, endpoints, source, options or {})
            self._listener.finished(extracted)
            loaded = self._load(step, ())
            self._listener.finished(loaded)
            transformed = self._transform(step, variables or {})
            self._listener.finished(transformed)
            return Ran(extracted, loaded, transformed, step.warehouse)

    def warehouse(self, source: str | None = None) -> Warehouse:
        """The warehouse that ``source`` names; it may not exist yet."""
        real = Warehouse.of(self.settings)
        sample = Warehouse.of(self.settings, sample=True)
        if source is not None:
            return sample if source == SAMPLE else real
        return sample if not _holds_anything(real) and _holds_anything(sample) else real

    def project_dir(self) -> Path:
        """The SQL project: the one named, ``sql_models`` in this folder, or the shipped one."""
        named = self.settings.project_dir
        if named is None:
            own = Path.cwd() / "sql_models"
            named = own if own.is_dir() else shipped("sql_models")
        for folder in (named, named / "sql_models"):
            if (folder / "dbt_project.yml").is_file():
                return folder
        raise ProjectError(
            f"There is no dbt_project.yml in {named}. `datapipe init` writes a project that works."
        )

    def _check(self, source: str) -> None:
        if source == ALPHA_VANTAGE and self.settings.api_key is None:
            raise SettingsError(
                "ALPHA_VANTAGE_API_KEY is not set. Get a free key at "
                "https://www.alphavantage.co/support/#api-key and put it into .env, or try "
                "`datapipe run-all --source sample`, which needs no key.",
                variable="ALPHA_VANTAGE_API_KEY",
            )

    @contextmanager
    def _begin(self, command: str, source: str | None) -> Iterator[_Step]:
        warehouse = self.warehouse(source)
        with warehouse.connect(autocommit=True) as connection:
            migrate.upgrade(warehouse, connection)
            with ledger.recorded(connection, command) as run:
                yield _Step(warehouse, connection, run)

    @contextmanager
    def _locked(self, step: _Step, name: str) -> Iterator[None]:
        with ledger.locked(
            step.connection,
            name,
            self.settings.lock_wait_seconds,
            on_wait=self._listener.message,
        ):
            yield

    def _extract(
        self,
        step: _Step,
        symbols: Sequence[str],
        endpoints: Sequence[str],
        source_name: str,
        options: Mapping[str, str],
    ) -> Extracted:
        from datapipe import extract
        from datapipe.extract import endpoints as known

        chosen = known.named(endpoints)
        if source_name == ALPHA_VANTAGE:
            chosen = chosen or known.FREE
            symbols = symbols or self.settings.symbols or extract.known_symbols(step.connection)
            if not symbols:
                raise UsageError(
                    "No symbols are named. Give --symbols AAPL,MSFT, or set DATAPIPE_SYMBOLS."
                )
        elif source_name == SAMPLE:
            chosen = chosen or known.ENDPOINTS
        with self._source(step, source_name, options) as source:
            extracted = extract.run(
                step.connection,
                source,
                source.requests(symbols, chosen),
                run_id=step.run.run_id,
                on_progress=self._listener.extracted,
            )
        step.run.summary["extract"] = {
            "stored": extracted.stored,
            "unchanged": extracted.unchanged,
            "empty": len(extracted.empty),
            "failed": len(extracted.failures),
            "waiting": len(extracted.waiting),
        }
        return extracted

    @contextmanager
    def _source(self, step: _Step, name: str, options: Mapping[str, str]) -> Iterator[Source]:
        if name == SAMPLE:
            from datapipe.extract.sample import FIRST_SESSION, Sample

            now = datetime.now(UTC)
            yield Sample(sessions.finished(step.connection, since=FIRST_SESSION, now=now), now)
            return
        if name != ALPHA_VANTAGE:
            from datapipe.extract.recordings import Recordings

            yield Recordings(Path(name))
            return
        from datapipe.extract.alpha_vantage import AlphaVantage
        from datapipe.extract.quota import Limits, Quota

        settings = self.settings
        key = settings.api_key or ""
        limits = Limits(
            settings.requests_per_second, settings.requests_per_minute, settings.requests_per_day
        )
        with step.warehouse.connect(autocommit=True) as connection:
            quota = Quota(connection, key, limits, run_id=step.run.run_id)
            yield AlphaVantage(settings.api_url, key, quota, options=options)

    def _load(self, step: _Step, files: Sequence[Path]) -> Loaded:
        from datapipe import load

        with self._locked(step, "load"):
            loaded = load.run(
                step.connection, files, run_id=step.run.run_id, on_progress=self._listener.loaded
            )
        step.run.summary["load"] = {"read": loaded.documents, "versions": loaded.versions}
        return loaded

    def _transform(self, step: _Step, variables: Mapping[str, Any]) -> Transformed:
        from datapipe import transform

        with self._locked(step, "transform"):
            transformed = transform.run(
                step.warehouse,
                self.project_dir(),
                run_id=step.run.run_id,
                variables=variables,
                wait_seconds=self.settings.lock_wait_seconds,
                on_progress=lambda progress: self._listener.transformed(
                    progress.done, progress.total, f"{progress.stage} {progress.name}"
                ),
                on_message=self._listener.message,
            )
        step.run.summary["transform"] = {"models": len(transformed.models)}
        return transformed


def _holds_anything(warehouse: Warehouse) -> bool:
    """Whether any data ever came into ``warehouse``."""
    with warehouse.connect_if_there() as connection:
        if connection is None or migrate.current(connection) is None:
            return False
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM raw.responses) OR EXISTS (SELECT FROM raw.daily_prices) "
            "OR EXISTS (SELECT FROM raw.intraday_prices)"
        ).fetchone()
    return bool(row and row[0])
