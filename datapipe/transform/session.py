"""One run over one connection: read, build, test, publish, clean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from datapipe.errors import DatapipeError
from datapipe.transform import checks, manifest, project
from datapipe.transform.build import aside, hooks, incremental
from datapipe.transform.build.placement import Placement
from datapipe.transform.build.table import Built, build
from datapipe.transform.compile import Compiler
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation
from datapipe.transform.graph import ordered
from datapipe.transform.graph.select import select
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.jinja.target import described
from datapipe.transform.manifest.nodes import DataTest, Model
from datapipe.transform.publish import Publication
from datapipe.transform.results import BuiltModel, Progress, TestResult, Transformed


class Session:
    """The state of one run."""

    def __init__(
        self,
        connection: psycopg.Connection,
        project_dir: Path,
        *,
        run_id: int,
        variables: Mapping[str, Any],
        target_schema: str,
        wait_seconds: float,
        include: Sequence[str],
        exclude: Sequence[str],
        full_refresh: bool,
        on_progress: Callable[[Progress], None],
        on_message: Callable[[str], None],
    ) -> None:
        self.connection = connection
        self.project_dir = project_dir
        self.run_id = run_id
        self.variables = variables
        self.target_schema = target_schema
        self.wait_seconds = wait_seconds
        self.include = include
        self.exclude = exclude
        self.full_refresh = full_refresh
        self.on_progress = on_progress
        self.on_message = on_message

    def run(self) -> Transformed:
        """Do all of it; the result tells what was published."""
        project_ = project.load(self.project_dir, self.variables)
        target = described(self.connection, self.target_schema)
        renderer = Renderer(project_, target, on_log=self.on_message)
        read = manifest.read(project_, renderer)
        selection = select(read, self.include, self.exclude)
        models = [
            model
            for model in ordered(read.models)
            if model.materialized != "ephemeral" and model.name in selection.models
        ]
        placement = Placement(read, selection)

        # As dbt has it, and not as somebody set it for the role.
        self.connection.execute('SET search_path = "$user", public')
        aside.drop(self.connection, aside.left_over(self.connection))
        tests, unread = placement.tests(self.connection)
        final = Compiler(read, renderer, _published, full_refresh=self.full_refresh)
        schemas_of_run = sorted({model.relation.schema for model in models})
        known = {
            "schemas": schemas_of_run,
            "database_schemas": [(target["dbname"], schema) for schema in schemas_of_run],
            "results": [],
        }
        hooks.run(self.connection, "on-run-start", final, known)
        growing = incremental.starting(self.connection, models, full_refresh=self.full_refresh)
        schemas = {aside.beside(model.relation.schema, aside.BUILD) for model in models}
        schemas |= {aside.beside(state.schema, incremental.SUFFIX) for state in growing.values()}
        aside.create(self.connection, sorted(schemas))

        compiler = Compiler(
            read,
            renderer,
            placement,
            increments=growing.keys(),
            full_refresh=self.full_refresh,
        )
        built = self._build(models, compiler, growing)
        results = self._test(tests, compiler)
        warnings = self._publish(built, final)
        hooks.run(self.connection, "on-run-end", final, known)
        try:
            self.clean()
        except (psycopg.Error, DatapipeError) as error:  # all is published: this can wait
            warnings.append(f"What was left aside is dropped by the next run: {error}")
        return Transformed(
            models=tuple(map(_told, built)),
            tests=results,
            warnings=(*renderer.warnings, *selection.warnings, *unread, *warnings),
        )

    def clean(self) -> None:
        """Drop what was built aside and what publishing has put aside."""
        aside.drop(self.connection, aside.left_over(self.connection))

    def _build(
        self, models: list[Model], compiler: Compiler, growing: Mapping[str, RelationState]
    ) -> list[Built]:
        built = []
        # Losing what lies aside in a crash of the server does no harm: publishing commits in full.
        self.connection.execute("SET synchronous_commit = off")
        for number, model in enumerate(models, 1):
            if model.name in growing:
                published = growing[model.name]
                built.append(incremental.build(self.connection, model, compiler, published))
            else:
                built.append(build(self.connection, model, compiler))
            self.on_progress(Progress("build", model.name, number, len(models)))
        self.connection.execute("RESET synchronous_commit")
        return built

    def _test(self, tests: Sequence[DataTest], compiler: Compiler) -> tuple[TestResult, ...]:
        done = 0

        def on_done(name: str) -> None:
            nonlocal done
            done += 1
            self.on_progress(Progress("test", name, done, len(tests)))

        return checks.run(self.connection, tests, compiler, on_done=on_done)

    def _publish(self, built: list[Built], final: Compiler) -> list[str]:
        publication = Publication(
            self.connection,
            built,
            final,
            run_id=self.run_id,
            recorded=not self.variables.get("as_of"),
            wait_seconds=self.wait_seconds,
            on_wait=self.on_message,
        )
        publication.publish()
        self.on_progress(Progress("publish", "", len(built), len(built)))
        return publication.warnings


def _published(model: Model) -> Relation:
    return model.relation


def _told(built: Built) -> BuiltModel:
    model = built.model
    return BuiltModel(
        name=model.name,
        schema=model.relation.schema,
        relation=model.relation.identifier,
        materialized=model.materialized,
        rows=built.rows,
        seconds=built.seconds,
    )
