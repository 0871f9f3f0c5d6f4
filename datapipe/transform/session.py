"""One run: read the project, build it aside, test what was built, publish it, clean up."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from typing import Any

import psycopg

from datapipe.errors import DatapipeError
from datapipe.transform import checks, state
from datapipe.transform.build import (
    Built,
    Cascades,
    aside,
    build,
    growing,
    growth,
    hooks,
    overrides,
)
from datapipe.transform.build.placement import Placement
from datapipe.transform.compile import Compiler, Place
from datapipe.transform.compile.graph import Graph
from datapipe.transform.database import marks
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.session_settings import AS_IN_DBT, renew
from datapipe.transform.database.statements import execute, flush
from datapipe.transform.execution import Doing, Execution, hook_view
from datapipe.transform.execution.outcome import error_of, lines_of, result_of
from datapipe.transform.execution.schedule import Node
from datapipe.transform.execution.steps import planned
from datapipe.transform.execution.telling import Telling
from datapipe.transform.execution.workers import Connections
from datapipe.transform.graph import ordered
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.opening import opened
from datapipe.transform.options import Listener, Options
from datapipe.transform.results import Progress, Transformed
from datapipe.transform.state.published import into_meta_models
from datapipe.warehouse import Warehouse


class Session:
    """One run of a project over ``connection``, which is in autocommit."""

    def __init__(
        self,
        warehouse: Warehouse,
        connection: psycopg.Connection,
        run_id: int,
        options: Options,
        listener: Listener,
    ) -> None:
        self.warehouse = warehouse
        self.connection = connection
        self.run_id = run_id
        self.options = options
        self.listener = listener
        self.warnings: list[str] = []
        found = opened(connection, options, on_log=listener.message)
        self.manifest, self.renderer = found.manifest, found.renderer
        self.selection = found.selection
        self.models = [
            model
            for model in ordered(self.manifest.models)
            if model.materialized != "ephemeral" and model.key in self.selection.models
        ]
        self._schemas = sorted({model.relation.published[0] for model in self.models})
        macros = self.renderer.macros
        self.placement = Placement(self.manifest, self.selection, macros.has_own_ref)
        self.seen = {
            "graph": Graph(self.manifest, self.renderer, stores=options.store_failures),
            "selected_resources": self.selection.resources,
        }
        self.final = self._compiler(lambda model: model.relation)

    def run(self) -> Transformed:
        """Do all of it; the result tells what was published.

        Raises what a failure comes to at the end, when everything that can be done was done.
        """
        with self.renderer.using(self.connection):
            return self._run()

    def _run(self) -> Transformed:
        self.warnings += overrides.warnings(self.renderer, overrides.kinds_of(self.models))
        tests, unread = self.placement.tests(self.connection)
        checks.store.check(tests, self.final)
        nodes: list[Node] = [*self.models, *self.selection.unit_tests, *tests]
        overrides.make_schemas(self.connection, self.final, self._schemas)
        self._hooks("on-run-start", hook_view.BEFORE)
        memory = self._memory()
        execution, compiler = self._prepared(memory, nodes)
        if any(isinstance(step.node, Model) for step in execution.steps):
            # While PostgreSQL builds, there is time to import what comes after.
            threading.Thread(target=import_module, args=["datapipe.transform.publish"]).start()
        with self._connections(min(self.options.threads, len(execution.steps))) as connections:
            execution.run(connections)
            warned = (*self.renderer.warnings, *self.selection.warnings, *unread)
            error = error_of(execution.results, warned, is_published=self.options.per_model)
            if error is None:
                error = self._publish_all(connections.opened, execution.built, memory, warned)
            memory.finish(self.connection, execution.results, succeeded=error is None)
            if error is not None:
                checks.store.views(self.connection, tests, compiler)
                self._failed(error, nodes, execution)
                if self.options.per_model:  # else what was built is there for the user to look at
                    self._clean()
                raise error
        try:
            self._hooks("on-run-end", self._ended(nodes, execution), is_published=True)
        finally:
            if execution.built:
                self._clean()
        self.warnings += checks.store.views(self.connection, tests, self.final)
        warned = (*self.renderer.warnings, *self.selection.warnings, *unread, *self.warnings)
        return Transformed(tuple(execution.results), warned)

    def _failed(self, error: DatapipeError, nodes: Sequence[Node], execution: Execution) -> None:
        """Send ``on-run-end`` of a run that ends with ``error``, which tells if that fails, too."""
        unpublished = None if self.options.per_model else error
        try:
            aside.publish_bodies(self.connection, self._schemas)
            self._hooks("on-run-end", self._ended(nodes, execution, unpublished))
        except (DatapipeError, psycopg.Error) as another:
            error.add_note(str(another))

    def _ended(
        self, nodes: Sequence[Node], execution: Execution, unpublished: DatapipeError | None = None
    ) -> Mapping[str, Any]:
        if not self.manifest.project.hooks("on-run-end"):
            return {}
        return hook_view.after(
            nodes,
            execution.results,
            execution.built,
            self.final,
            tested=execution.tested,
            unpublished=unpublished,
            selected=self.seen["selected_resources"],
        )

    def _hooks(
        self, moment: hooks.Moment, seen: Mapping[str, Any], *, is_published: bool = False
    ) -> None:
        """Send the project's statements of ``moment``; they find every schema, as in dbt."""
        if not self.manifest.project.hooks(moment):
            return
        self._create_schemas()
        is_end = moment == "on-run-end"
        tables = [each.relation.published for each in self.manifest.models.values()]
        before = marks.there(self.connection, tables) if is_end else ()
        try:
            hooks.run(self.connection, moment, self.final, seen, is_published=is_published)
        finally:
            if not self.connection.broken:
                renew(self.connection)
            if is_end and not self.connection.broken:
                marks.mark(self.connection, tables, before)

    def _writes_itself(self, model: Model) -> bool:
        """Whether statements of the project's own take part in building ``model``."""
        return model.has_hooks or self.final.materialization(model) is not None

    def _create_schemas(self) -> None:
        """Create the published schemas before they are, for a project that writes there itself."""
        texts = [f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}" for schema in self._schemas]
        execute(self.connection, "; ".join(texts))

    @contextmanager
    def _connections(self, at_most: int) -> Iterator[Connections]:
        """The connections to build on, which do not wait for the disk.

        Losing what lies aside in a crash of the server does no harm: publishing commits in full.
        """
        with ExitStack() as stack:

            def another() -> psycopg.Connection:
                connection = self.warehouse.new_connection(
                    autocommit=True, session=f"{AS_IN_DBT}; SET synchronous_commit = off"
                )
                stack.enter_context(closing(connection))
                return connection

            self.connection.execute("SET synchronous_commit = off")
            yield Connections(self.connection, another, at_most)
            self.connection.execute("RESET synchronous_commit")

    def _memory(self) -> state.Memory:
        """What need not be done again; all else that earlier runs left aside is dropped."""
        memory = state.begin(
            self.connection,
            self.manifest,
            self.renderer,
            self.selection,
            self.options,
            run_id=self.run_id,
            own=[self.connection.info.backend_pid],
        )
        self._drop_what_is_aside(memory)
        for model in self.models:
            if model.unique_id in memory.reused:
                self.placement.published(model)
        return memory

    def _drop_what_is_aside(self, memory: state.Memory | None = None) -> None:
        """Drop what runs have built aside and what publishing has put aside."""
        left_over = aside.left_over(self.connection)
        if left_over:
            if memory is not None:  # an earlier run was stopped
                aside.publish_bodies(self.connection, self._schemas)
            checks.store.forget(self.connection)
            aside.drop(self.connection, left_over, keep=memory.aside if memory else ())

    def _prepared(self, memory: state.Memory, nodes: Sequence[Node]) -> tuple[Execution, Compiler]:
        """The execution of those of ``nodes`` that are to be done; the others were told."""
        done = memory.reused.keys() | memory.kept.keys()
        left = [node for node in nodes if node.unique_id not in done]
        models = [node for node in left if isinstance(node, Model)]
        if any(map(self._writes_itself, models)):
            self._create_schemas()
        published = growing(self.connection, models, full_refresh=self.options.full_refresh)
        memory.growing = frozenset(published)
        schemas = {aside.beside(each.relation.schema, aside.BUILD) for each in models}
        schemas |= {aside.beside(each.schema, growth.SUFFIX) for each in published.values()}
        aside.create(self.connection, sorted(schemas))
        doing = self._doing(models, published, memory)
        # One by one, the order is all the same; and who is to stop early must be tested early.
        by_length = self.options.threads > 1 and not self.options.fail_fast
        execution = Execution(
            planned(
                self.manifest,
                models,
                [each for each in left if isinstance(each, DataTest)],
                [each for each in left if isinstance(each, UnitTest)],
                tested_first=self.options.per_model,
            ),
            doing,
            seconds=memory.seconds if by_length else None,
            fail_fast=self.options.fail_fast,
            on_result=Telling(self.listener, nodes),
        )
        self._tell_what_is_done(execution, nodes, memory)
        return execution, doing.compiler

    def _doing(
        self, models: Sequence[Model], published: Mapping[str, RelationState], memory: state.Memory
    ) -> Doing:
        """How to build ``models``, of which those that are ``published`` already grow."""
        compiler = self._compiler(
            self.placement, [each.key for each in models if each.key in published]
        )
        # One that is published by itself takes rows of others with it then.
        cascading = {} if self.options.per_model else published
        cascades = Cascades(self.connection, self.manifest, cascading, models)

        def build_(connection: psycopg.Connection, model: Model, compiler: Compiler) -> Built:
            old = published.get(model.key)
            return build(connection, model, compiler, old, witness=memory, cascades=cascades)

        def publish(connection: psycopg.Connection, built: Built) -> None:
            self._publish([connection], [built], memory)
            self.placement.published(built.model)
            aside.discard(connection, built.aside.standing)

        return Doing(compiler, build_, publish if self.options.per_model else None, memory)

    def _tell_what_is_done(
        self, execution: Execution, nodes: Sequence[Node], memory: state.Memory
    ) -> None:
        """Give ``execution`` the results of what need not be done, and what stands aside of it."""
        for node in nodes:
            if node.unique_id in memory.reused:
                rows = memory.rows(node) if isinstance(node, Model) else None
                reason = memory.reused[node.unique_id]
                execution.done(result_of(node, "reused", message=reason, rows=rows))
        for model in self.models:
            if model.unique_id in memory.kept:
                kept = memory.kept[model.unique_id]
                execution.built.append(Built(model, self.placement(model), kept.rows, 0.0))
                execution.done(result_of(model, "success", rows=kept.rows, is_kept=True))

    def _publish_all(
        self,
        connections: Sequence[psycopg.Connection],
        built: Sequence[Built],
        memory: state.Memory,
        warned: Sequence[str],
    ) -> DatapipeError | None:
        """Publish what the run has built, unless each was when it was built; gives the refusal."""
        if not built:
            self._record(self.connection, ())  # a model may have left the project
        elif not self.options.per_model:
            try:
                self._publish(connections, built, memory)
            except DatapipeError as refused:
                for line in lines_of(warned):
                    refused.add_note(line)
                return refused
        return None

    def _publish(
        self,
        connections: Sequence[psycopg.Connection],
        built: Sequence[Built],
        memory: state.Memory,
    ) -> None:
        """Make what was built visible, in one transaction of the first of ``connections``."""
        connection = connections[0]
        for each in connections:
            flush(each)
        memory.compare(connection, [each.model for each in built])
        checks.store.forget(connection, [each.model.relation for each in built])

        def record(connection: psycopg.Connection) -> None:
            self._record(connection, built)
            memory.record(connection, [each.model for each in built])

        from datapipe.transform.publish import Publication  # late: often nothing was built

        publication = Publication(
            connection,
            built,
            self.final,
            record=record,
            recorded_functions=memory.functions,
            wait_seconds=self.options.wait_seconds,
            on_wait=self.listener.message,
        )
        connection.execute("RESET synchronous_commit")
        publication.publish()
        connection.execute("SET synchronous_commit = off")
        self.warnings += publication.warnings
        self.listener.progress(Progress("publish", "", len(built), len(self.models)))

    def _record(self, connection: psycopg.Connection, built: Sequence[Built]) -> None:
        """Write down where reports find the models; those of the past they do not look for."""
        if not self.options.variables.get("as_of"):
            into_meta_models(built, self.manifest, self.run_id)(connection)

    def _clean(self) -> None:
        try:
            self._drop_what_is_aside()
        except (psycopg.Error, DatapipeError) as error:  # all is published: this can wait
            self.warnings.append(f"What was left aside is dropped by the next run: {error}")

    def _compiler(self, place: Place, growing: Sequence[str] = ()) -> Compiler:
        models = self.manifest.models
        return Compiler(
            self.manifest,
            self.renderer,
            place,
            increments=frozenset(
                key for key in growing if models[key].materialized == "incremental"
            ),
            options=self.options,
            own=self.seen,
        )
