"""One run over one connection: read, build, test, publish, clean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from datapipe.errors import DatapipeError
from datapipe.transform import aside, checks, manifest, project
from datapipe.transform.build import Built, build
from datapipe.transform.compile import Compiler
from datapipe.transform.graph import ordered
from datapipe.transform.nodes import Model
from datapipe.transform.publish import Publication
from datapipe.transform.relation import Relation
from datapipe.transform.render import Renderer
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
        on_progress: Callable[[Progress], None],
        on_message: Callable[[str], None],
    ) -> None:
        self.connection = connection
        self.project_dir = project_dir
        self.run_id = run_id
        self.variables = variables
        self.target_schema = target_schema
        self.wait_seconds = wait_seconds
        self.on_progress = on_progress
        self.on_message = on_message

    def run(self) -> Transformed:
        """Do all of it; the result tells what was published."""
        project_ = project.load(self.project_dir, self.variables)
        renderer = Renderer(project_, self._target(), on_log=self.on_message)
        read = manifest.read(project_, renderer)
        models = [model for model in ordered(read.models) if model.materialized != "ephemeral"]

        # As dbt has it, and not as somebody set it for the role.
        self.connection.execute('SET search_path = "$user", public')
        aside.drop(self.connection, aside.left_over(self.connection))
        schemas = {aside.beside(model.relation.schema, aside.BUILD) for model in models}
        aside.create(self.connection, sorted(schemas))

        compiler = Compiler(read, renderer, _aside)
        built = self._build(models, compiler)
        results = self._test(compiler)
        warnings = self._publish(built, Compiler(read, renderer, _published))
        try:
            self.clean()
        except (psycopg.Error, DatapipeError) as error:  # all is published: this can wait
            warnings.append(f"What was left aside is dropped by the next run: {error}")
        return Transformed(
            models=tuple(map(_told, built)),
            tests=results,
            warnings=(*renderer.warnings, *warnings),
        )

    def clean(self) -> None:
        """Drop what was built aside and what publishing has put aside."""
        aside.drop(self.connection, aside.left_over(self.connection))

    def _target(self) -> dict[str, Any]:
        info = self.connection.info
        return {
            "name": "default",
            "profile_name": "datapipe",
            "type": "postgres",
            "schema": self.target_schema,
            "database": info.dbname,
            "dbname": info.dbname,
            "user": info.user,
            "host": info.host,
            "port": info.port,
            "threads": 1,
        }

    def _build(self, models: list[Model], compiler: Compiler) -> list[Built]:
        built = []
        # Losing what lies aside in a crash of the server does no harm: publishing commits in full.
        self.connection.execute("SET synchronous_commit = off")
        for number, model in enumerate(models, 1):
            built.append(build(self.connection, model, compiler))
            self.on_progress(Progress("build", model.name, number, len(models)))
        self.connection.execute("RESET synchronous_commit")
        return built

    def _test(self, compiler: Compiler) -> tuple[TestResult, ...]:
        tests = compiler.manifest.tests
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


def _aside(model: Model) -> Relation:
    return model.relation.within(aside.beside(model.relation.schema, aside.BUILD))


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
