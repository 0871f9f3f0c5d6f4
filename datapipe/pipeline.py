"""The Python API: everything that the command does, as methods that return results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from datapipe import paths
from datapipe.asking import ALPHA_VANTAGE, SAMPLE, Ask, Listener, Ran
from datapipe.errors import SettingsError
from datapipe.frozen import frozen
from datapipe.settings import Settings
from datapipe.warehouse import Warehouse, choice, ledger, migrate

if TYPE_CHECKING:
    import psycopg

    from datapipe.extract import Extracted
    from datapipe.extract.planner import Plan
    from datapipe.extraction import Extraction
    from datapipe.load import Loaded
    from datapipe.report import Report
    from datapipe.transform import Options, Transformed
    from datapipe.transform.freshness import SourceFreshness
    from datapipe.transform.graph.select import Node
    from datapipe.transform.listing import CompiledNode
    from datapipe.transform.state import Plan as TransformPlan
    from datapipe.transform.verification import Verified


@frozen
class _Step:
    """What every step of a run works with."""

    warehouse: Warehouse
    connection: psycopg.Connection
    run: ledger.Run


class Pipeline:
    """Extract, load, transform and report.

    A method raises a DatapipeError where it could not do its work. Where it has done some of it,
    as when one of many symbols is unknown, it returns, and ``error()`` of what was extracted or
    loaded tells what is missing.

    Where a method takes ``source``, it names the warehouse, too: ``sample`` is the one with
    synthetic prices, anything else the real one. Without it the real one is meant, or the sample
    where the real one holds nothing; for a project of your own, always the real one.
    """

    def __init__(self, settings: Settings | None = None, listener: Listener | None = None) -> None:
        self.settings = settings or Settings.load()
        self._listener = listener or Listener()

    def extract(self, ask: Ask | None = None) -> Extracted:
        """Ask the source and keep the good answers in ``raw.responses``; each is safe at once."""
        ask = ask or Ask()
        self._check(ask)
        with self._begin("extract", ask.source) as step:
            return self._extract(step, ask)

    def plan(self, ask: Ask | None = None) -> Plan:
        """What ``extract`` would ask the API for, why and when; sends nothing."""
        ask = replace(ask or Ask(), source=ALPHA_VANTAGE)
        self._check(ask)
        with self._begin("plan", ask.source) as step:
            return self._extraction(step, ask).plan()

    def load(self, files: Sequence[Path] = (), *, source: str | None = None) -> Loaded:
        """Load what is not loaded yet into the typed tables; with ``files``, their prices."""
        if files and source is None:
            source = ALPHA_VANTAGE  # a user's own prices are real ones
        with self._begin("load", source) as step:
            return self._load(step, files)

    def rebuild(self, *, source: str | None = None) -> Loaded:
        """Make the typed tables anew from the stored answers and the rows of users' files.

        Readers see the old tables until it is done; asks nobody.
        """
        from datapipe import load

        with self._begin("load --rebuild", source) as step, self._locked(step, "load"):
            loaded = load.rebuild(step.connection, on_progress=self._listener.loaded)
            step.run.summary["load"] = {"read": loaded.documents, "versions": loaded.versions}
            return loaded

    def transform(
        self, options: Options | None = None, *, source: str | None = None
    ) -> Transformed:
        """Build, test and publish the models of the SQL project; all that is selected or none.

        What did not change is not done again.
        """
        with self._begin("transform", self._source_for_project(source)) as step:
            return self._transform(step, self._options(options))

    def plan_transform(
        self, options: Options | None = None, *, source: str | None = None
    ) -> TransformPlan:
        """What ``transform`` would build, reuse and test, and why; changes nothing."""
        from datapipe import transform

        with self._begin("transform --plan", self._source_for_project(source)) as step:
            transform.flush(step.connection)
            return transform.plan(step.warehouse, self._options(options))

    def verify(
        self, options: Options | None = None, *, source: str | None = None
    ) -> tuple[tuple[Verified, ...], tuple[str, ...]]:
        """Each incremental model built in full and by increments, compared; and warnings.

        Raises VerifyFailedError where they differ. Leaves nothing behind.
        """
        from datapipe import transform

        with (
            self._begin("verify", self._source_for_project(source)) as step,
            self._locked(step, "transform"),
        ):
            return transform.verify(step.warehouse, self._options(options))

    def listed(self, options: Options | None = None) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        """What is in the SQL project, as far as it is selected, and warnings."""
        from datapipe import transform

        return transform.listed(
            self._options(options), lambda: self.warehouse(self._source_for_project(None))
        )

    def compiled(
        self, options: Options | None = None, *, source: str | None = None
    ) -> tuple[tuple[CompiledNode, ...], tuple[str, ...]]:
        """The SQL of models and tests over what is published, and warnings; changes nothing."""
        from datapipe import transform

        warehouse = self.warehouse(self._source_for_project(source))
        return transform.compiled(warehouse, self._options(options))

    def documented(
        self, options: Options | None = None, *, source: str | None = None
    ) -> tuple[str, tuple[str, ...]]:
        """The SQL project as one HTML page, and warnings; changes nothing."""
        from datapipe import transform

        warehouse = self.warehouse(self._source_for_project(source))
        return transform.documented(warehouse, self._options(options))

    def source_freshness(
        self, options: Options | None = None, *, source: str | None = None
    ) -> tuple[tuple[SourceFreshness, ...], tuple[str, ...]]:
        """How old the sources are that say how old they may be, and warnings.

        What is found is written down, for source_status: in selections.
        """
        from datapipe import transform

        warehouse = self.warehouse(self._source_for_project(source))
        return transform.source_freshness(warehouse, self._options(options))

    def report(
        self, name: str = "market", symbols: Sequence[str] = (), *, source: str | None = None
    ) -> Report:
        """The rows of a report of the SQL project."""
        from datapipe import report

        warehouse = self.warehouse(self._source_for_project(source))
        return report.run(warehouse, self.project_dir(), name=name, symbols=symbols)

    def run_all(self, ask: Ask | None = None, options: Options | None = None) -> Ran:
        """Extract, load and transform in one run.

        What could be extracted is loaded and published even where some requests failed:
        ``ran.extracted.error()`` tells.
        """
        ask = ask or Ask()
        self._check(ask)
        with self._begin("run-all", ask.source) as step, self._locked(step, "run-all"):
            extracted = self._extract(step, ask)
            self._listener.finished(extracted)
            loaded = self._load(step, ())
            self._listener.finished(loaded)
            transformed = self._transform(step, self._options(options))
            self._listener.finished(transformed)
            return Ran(extracted, loaded, transformed, step.warehouse)

    def warehouse(self, source: str | None = None) -> Warehouse:
        """The warehouse that ``source`` names; it may not exist yet."""
        return choice.chosen(self.settings, sample=_is_sample(source))

    def project_dir(self) -> Path:
        """The SQL project: the one named, ``sql_models`` in this folder, or the shipped one."""
        return paths.project_dir(self.settings.project_dir)

    def _source_for_project(self, source: str | None) -> str | None:
        """``source``, or the real one for a project that is not made for datapipe's own data."""
        if source is not None:
            return source
        return None if paths.is_of_datapipe(self.project_dir()) else ALPHA_VANTAGE

    def _check(self, ask: Ask) -> None:
        if ask.source == ALPHA_VANTAGE and self.settings.api_key is None:
            raise SettingsError(
                "ALPHA_VANTAGE_API_KEY is not set. Get a free key at "
                "https://www.alphavantage.co/support/#api-key and put it into .env, or try "
                "`datapipe run-all --source sample`, which needs no key.",
                variable="ALPHA_VANTAGE_API_KEY",
            )

    @contextmanager
    def _begin(self, command: str, source: str | None) -> Iterator[_Step]:
        sample = _is_sample(source)
        with choice.connected(self.settings, sample=sample) as (warehouse, connection):
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

    def _extraction(self, step: _Step, ask: Ask) -> Extraction:
        from datapipe.extraction import Extraction

        return Extraction(
            ask, self.settings, step.warehouse, step.connection, step.run.run_id, self._listener
        )

    def _extract(self, step: _Step, ask: Ask) -> Extracted:
        extracted = self._extraction(step, ask).run()
        step.run.summary["extract"] = {
            "stored": extracted.stored,
            "unchanged": extracted.unchanged,
            "empty": len(extracted.empty),
            "failed": len(extracted.failures),
            "waiting": len(extracted.waiting),
            "current": extracted.current,
            "held": extracted.held,
        }
        return extracted

    def _load(self, step: _Step, files: Sequence[Path]) -> Loaded:
        from datapipe import load

        with self._locked(step, "load"):
            loaded = load.run(
                step.connection, files, run_id=step.run.run_id, on_progress=self._listener.loaded
            )
        step.run.summary["load"] = {"read": loaded.documents, "versions": loaded.versions}
        return loaded

    def _options(self, options: Options | None) -> Options:
        from datapipe.transform import Options

        return replace(
            options or Options(),
            project_dir=self.project_dir(),
            target_schema=self.settings.target_schema,
            wait_seconds=self.settings.lock_wait_seconds,
            cache_dir=self.settings.data_dir / "cache",
        )

    def _transform(self, step: _Step, options: Options) -> Transformed:
        from datapipe import transform

        with self._locked(step, "transform"):
            transform.flush(step.connection)  # it may have loaded rows just now
            transformed = transform.run(
                step.warehouse,
                options,
                run_id=step.run.run_id,
                listener=transform.Listener(
                    progress=lambda progress: self._listener.transformed(
                        progress.done, progress.total, f"{progress.stage} {progress.name}"
                    ),
                    result=self._listener.node,
                    message=self._listener.message,
                ),
            )
        step.run.summary["transform"] = {"models": len(transformed.models)}
        return transformed


def _is_sample(source: str | None) -> bool | None:
    """Whether ``source`` names the sample; None where it names nothing."""
    return None if source is None else source == SAMPLE
