"""What a run remembers of the runs before it, and leaves to those after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import psycopg

from datapipe.transform.build import aside
from datapipe.transform.compile import Compiled
from datapipe.transform.database.relation import quoted
from datapipe.transform.graph.select import Selection
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.options import Options
from datapipe.transform.results import NodeResult
from datapipe.transform.state import (
    definitions,
    digests,
    reading,
    records,
    resume,
    tokens,
    unsteady,
)
from datapipe.transform.state.decide import Decisions, decided
from datapipe.transform.state.functions import Calls
from datapipe.transform.state.present import Present
from datapipe.transform.state.records import Aside, NodeState
from datapipe.transform.state.resume import Kept
from datapipe.transform.state.seen import Seen

__all__ = ["Kept", "Memory", "begin"]

_AT_LEAST = 0.5  # seconds between two notes of what lies aside: what a kill may cost


def begin(
    connection: psycopg.Connection,
    manifest: Manifest,
    renderer: Renderer,
    selection: Selection,
    options: Options,
    *,
    run_id: int,
    own: Collection[int] = (),
) -> Memory:
    """Decide what need not be done, and write down that a run begins.

    Before anything is built, and after what ``on-run-start`` did. ``own`` are the server processes
    of the run's connections; ``connection`` is in autocommit.
    """
    decisions = decided(connection, manifest, renderer, selection, options, own=own)
    records.begin_run(connection, run_id, manifest.project.name, options)
    left = resume.kept(connection, decisions) if options.resume else resume.Left()
    records.nothing_aside(connection, but=left.kept)
    digests.take(connection, manifest, decisions)
    return Memory(manifest, decisions, left, options, run_id)


class Memory:
    """The memory of one run, which starts from what earlier runs recorded.

    Nodes are known by their unique ids. ``reused`` are those that need not be done, and ``why`` has
    the reasons to do the others. ``seconds`` is how long nodes took when they were last done.
    ``kept`` are the tables that an earlier run left aside and this one goes on from, and ``aside``
    their names. ``growing`` are the keys of the models that get an increment. ``functions`` are
    those that were published before, with the types of their arguments.
    """

    def __init__(
        self,
        manifest: Manifest,
        decisions: Decisions,
        left: resume.Left,
        options: Options,
        run_id: int,
    ) -> None:
        self.reused: Mapping[str, str] = decisions.reused
        self.why: Mapping[str, str] = decisions.why
        self.seconds: Mapping[str, float] = {
            state.unique_id: state.seconds for state in decisions.recorded.values() if state.seconds
        }
        self.kept: Mapping[str, Kept] = left.kept
        self.aside: Set[tuple[str, str]] = {(each.schema, each.name) for each in left.kept.values()}
        self.growing: Set[str] = frozenset()
        self.functions: Mapping[str, str] = decisions.functions
        self._manifest = manifest
        self._decisions = decisions
        self._present = Present(manifest, decisions.seen)
        self._options = options
        self._run_id = run_id
        self._is_present = not options.variables.get("as_of")
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._out: set[str] = set()
        self._unnoted: list[Aside] = []
        self._noted_at = time.monotonic()
        for unique_id, earlier in left.states.items():
            self._seen[unique_id] = self._as_kept(earlier)

    def rows(self, model: Model) -> int | None:
        """How many rows a build of ``model``, which is reused, would insert, if that is known."""
        if model.materialized in {"incremental", "snapshot"}:
            return 0
        before = self._decisions.recorded[model.unique_id].output
        return before.rows if before is not None and before.kind == "r" else None

    def question(self, model: Model) -> str:
        """SQL that asks what the build of ``model`` has read and made, in its own transaction."""
        return reading.question(aside.place_of(model), is_function=model.is_function)

    def saw(
        self,
        connection: psycopg.Connection,
        model: Model,
        compiled: Compiled | None,
        answer: Sequence[tuple[Any, ...]],
        hooks: Sequence[str] = (),
        changed: Collection[str] = (),
        alone: bool = True,
    ) -> None:
        """Note what the build of ``model`` has read, by the ``answer`` to the question.

        ``hooks`` are what its hooks sent, and ``changed`` the models whose rows it has changed.
        Unless what it made stands aside ``alone``, a resumed run does not go on from it.
        """
        if not self._is_present:
            return
        schema, name = aside.place_of(model)
        local = f"{quoted(schema)}.{quoted(name)}"
        done = reading.done(answer)
        own = self._present.name(model, done.types)
        inputs, pending, oids = self._present.resolved(done.read, self._growing_tables())
        inputs.pop(own, None)
        pending.discard(own)
        texts = [*([] if compiled is None else [compiled.sql]), *hooks]
        form = "increment" if model.key in self.growing else "whole"
        state = NodeState(
            unique_id=model.unique_id,
            form=form,
            sql_hash=self._decisions.fingerprints.sql(compiled.as_written) if compiled else "",
            settings=self._decisions.fingerprints.settings(model, hooks),
            parts=self._decisions.fingerprints.parts(model),
            relation=own,
            changed=tuple(sorted(changed)),
        )
        called = self._present.calls(texts, inputs, connection)
        own_reason = unsteady.by_itself(connection, self._decisions, model, state, texts, hooks)
        if own_reason or model.is_function:
            called = replace(called, unsteady=own_reason)
        state = self._present.with_functions(state, called)
        seen = Seen(state, inputs, pending, called=called)
        if done.token is not None:
            seen.table = local if done.token.has_rows else ""
            others = {key: oid for key, oid in oids.items() if key != local}
            state = replace(state, output=done.token, inputs=inputs)
            if form == "whole" and alone:
                seen.aside = Aside(self._run_id, schema, name, done.oid, state, others)
        with self._lock:
            self._seen[model.unique_id] = seen
        self._note(connection, seen)

    def question_of_tests(self) -> Sequence[str]:
        """SQL that asks what a group of data tests has read, in its own transaction."""
        return reading.QUESTIONS if self._is_present else ()

    def tests_saw(
        self,
        connection: psycopg.Connection,
        tests: Sequence[tuple[DataTest, Compiled]],
        answers: Sequence[Sequence[tuple[Any, ...]]],
    ) -> None:
        """Note what a group of data tests has read, by the ``answers`` to the questions."""
        if not self._is_present:
            return
        read, below = reading.done(answers[0]).read, tokens.lower(answers[1])
        fingerprints, present = self._decisions.fingerprints, self._present
        growing = self._growing_tables()
        for test, compiled in tests:
            by_test = present.read_by(compiled.sql, read, below)
            inputs, pending, _ = present.resolved(by_test, growing)
            state = NodeState(
                unique_id=test.unique_id,
                form="test",
                sql_hash=fingerprints.sql(compiled.as_written),
                settings=fingerprints.test_settings(test),
                parts=fingerprints.parts(test),
            )
            called = present.calls([compiled.sql], inputs, connection)
            state = present.with_functions(state, called)
            with self._lock:
                self._seen[test.unique_id] = Seen(state, inputs, pending, called=called)

    def compare(self, connection: psycopg.Connection, models: Sequence[Model]) -> None:
        """Take digests of the tables aside that are going to be published."""
        if not self._is_present:
            return
        built = [self._seen[each.unique_id] for each in models if each.unique_id in self._seen]
        tables = {each.table: each for each in built if each.table and not each.digest}
        for table, digest in tokens.digests(connection, tables).items():
            tables[table].digest = digest

    def record(self, connection: psycopg.Connection, models: Sequence[Model]) -> None:
        """Note the new tokens of what is published, within the transaction that publishes it.

        What was recorded of it is deleted there; ``finish`` records it anew.
        """
        if not self._is_present or not models:
            return
        digests = {
            each.relation.local: self._seen[each.unique_id].digest
            for each in models
            if each.unique_id in self._seen and each.key not in self.growing
        }
        self._present.renew(connection, models, digests)
        with self._lock:
            self._out |= {each.unique_id for each in models}
        unique_ids = [each.unique_id for each in models]
        records.forget(connection, self._options.target_schema, unique_ids)

    def finish(
        self,
        connection: psycopg.Connection,
        results: Sequence[NodeResult],
        *,
        succeeded: bool,
    ) -> None:
        """Write down how the run and each node ended, and which tests have passed.

        A run has not succeeded, either, where nothing failed but publishing was refused.
        """
        if self._is_present:
            self._present.define(connection, self._seen.values())
        with connection.transaction():
            if self._is_present:
                self._remember(connection, results, succeeded or self._options.per_model)
            records.end_run(connection, self._run_id, results, succeeded=succeeded)
            if succeeded or self._options.per_model:
                records.nothing_aside(connection)
            else:
                all_ = [each.aside for each in self._seen.values() if each.aside]
                records.put_aside(connection, all_)

    def _remember(
        self, connection: psycopg.Connection, results: Sequence[NodeResult], is_out: bool
    ) -> None:
        """Write down the models that were published, and the tests that passed on them."""
        ended = {each.unique_id: each.status for each in results}
        passed = {key for key, status in ended.items() if status == "pass" and is_out}
        warned = {key for key, status in ended.items() if status == "warn" and is_out}
        done = [
            self._present.complete(self._seen[key])
            for key in sorted((passed | warned | self._out) & self._seen.keys())
            if self._present.has_published(self._seen[key].pending)
        ]
        done += self._passed_units(passed)
        took = {each.unique_id: each.seconds for each in results}
        done = [replace(each, seconds=took.get(each.unique_id, 0.0)) for each in done]
        done += definitions.changed(self._decisions) if is_out else ()
        schema = self._options.target_schema
        records.write(connection, self._run_id, schema, done)
        records.doubt(
            connection,
            schema,
            [
                each.unique_id
                for each in results
                if each.resource_type in {"test", "unit_test"}
                and each.status not in {"pass", "reused"}
            ],
        )

    def _note(self, connection: psycopg.Connection, seen: Seen) -> None:
        """Write down now and then what lies aside, for a run that goes on where a kill ended this.

        After a build or in its transaction; what it wrote for others, they write again at the end.
        """
        if seen.aside is None or self._options.per_model:
            return
        with self._lock:
            self._unnoted.append(seen.aside)
            if time.monotonic() - self._noted_at < _AT_LEAST:
                return
            self._noted_at = time.monotonic()
            due, self._unnoted = self._unnoted, []
        # In one order, so that two connections never wait for each other.
        records.put_aside(connection, sorted(due, key=lambda each: each.state.unique_id))

    def _growing_tables(self) -> set[str]:
        return {self._manifest.models[key].relation.local for key in self.growing}

    def _as_kept(self, earlier: Aside) -> Seen:
        pending = self._present.built_on(earlier)
        digest = earlier.state.output.digest if earlier.state.output else ""
        table = f"{quoted(earlier.schema)}.{quoted(earlier.name)}"
        functions = self._decisions.functions_of(earlier.state.unique_id)
        names = {each.relation.published[1] for each in functions}
        called = Calls(frozenset({*earlier.state.functions, *names}), "")
        inputs = dict(earlier.state.inputs)
        return Seen(earlier.state, inputs, pending, table, digest, earlier, called)

    def _passed_units(self, passed: Set[str]) -> Iterable[NodeState]:
        """Unit tests that passed; what they read is in what they are."""
        fingerprints = self._decisions.fingerprints
        for test in self._decisions.unit_tests:
            if test.unique_id in passed:
                hash_ = fingerprints.unit_test(test)
                parts = fingerprints.parts_of_unit_test(test)
                yield NodeState(test.unique_id, "test", hash_, {}, parts)
