"""Decides what has to be done again, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import psycopg

from datapipe.errors import DatapipeError
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.session_settings import unusual
from datapipe.transform.database.statements import execute
from datapipe.transform.graph import ordered
from datapipe.transform.graph.select import Selection
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.options import Options
from datapipe.transform.state import hooked, records
from datapipe.transform.state.fingerprint import Fingerprints
from datapipe.transform.state.look import Look, look
from datapipe.transform.state.records import NodeState
from datapipe.transform.state.tokens import FUNCTION_KIND, Token

UNCHANGED = "nothing changed"
_NO_ROWS = frozenset({"v", FUNCTION_KIND})
_UNTOLD = "{} cannot be told to be unchanged while other sessions are at work"


def decided(
    connection: psycopg.Connection,
    manifest: Manifest,
    renderer: Renderer,
    selection: Selection,
    options: Options,
    *,
    own: Iterable[int] = (),
) -> Decisions:
    """Decide what need not be done; changes nothing."""
    packages = manifest.project.all_packages
    recorded = records.states(connection, options.target_schema, packages)
    known = {
        *(manifest.models[key].unique_id for key in selection.models),
        *(test.unique_id for test in selection.tests),
        *(test.unique_id for test in selection.unit_tests),
    }
    compared = [state for key, state in recorded.items() if key in known]
    if options.resume:
        compared += [each.state for each in records.lying_aside(connection).values()]
    functions = [each.relation.published for each in manifest.models.values() if each.is_function]
    seen = look(connection, own, compared, functions)
    return Decisions(connection, manifest, renderer, selection, options, recorded, seen)


class Decisions:
    """Decides about the nodes of one selection; ``reused`` and ``why`` are by unique id.

    ``built`` are the relations that the run makes anew, with their models. A model is decided on
    after all that it reads: if any of that is built, the model is, too.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        manifest: Manifest,
        renderer: Renderer,
        selection: Selection,
        options: Options,
        recorded: Mapping[str, NodeState],
        seen: Look,
    ) -> None:
        self.manifest = manifest
        self.selected = selection.nodes
        self.tests = selection.tests
        self.unit_tests = selection.unit_tests
        self.fingerprints = Fingerprints(manifest, renderer, options, unusual(connection))
        self.recorded = recorded
        self.seen = seen
        self.reused: dict[str, str] = {}
        self.why: dict[str, str] = {}
        self._forced = ""
        if options.variables.get("as_of"):
            self._forced = "the past is built, not the present"
        elif options.full_refresh:
            self._forced = "a full refresh was asked for"
        elif options.rebuild:
            self._forced = "a rebuild was asked for"
        elif seen.is_distributed:
            self._forced = "what is in distributed tables cannot be told to be unchanged"
        incremental = frozenset(
            key for key, model in manifest.models.items() if model.materialized == "incremental"
        )
        self._event_time = options.event_time
        chosen = {"selected_resources": selection.resources}
        self._whole = Compiler(manifest, renderer, _published, options=options, own=chosen)
        self._increment = self._whole.growing(incremental)
        self.built: dict[str, str] = {}
        self._built_functions: dict[str, str] = {}  # the same by name
        self._new = ""  # a model that has no relation yet
        self._looking: set[str] = set()  # what looks around for relations
        self.in_order = [
            model
            for model in ordered(manifest.models)
            if model.key in selection.models and model.materialized != "ephemeral"
        ]
        held: dict[str, list[Callable[[], None]]] = {}
        with renderer.using(connection), _only_read(connection):
            for model in self.in_order:
                with renderer.holding() as held[model.unique_id]:
                    self._decide(model.unique_id, self._reason(model), model)
            self._decide_again()
            for test in selection.tests:
                with renderer.holding() as held[test.unique_id]:
                    self._decide(test.unique_id, self._reason_to_test(test))
            for unit in selection.unit_tests:
                self._decide(unit.unique_id, self._reason_to_unit_test(unit))
        for unique_id, calls in held.items():
            for tell in calls if unique_id in self.reused else ():  # others tell it when built
                tell()

    def form(self, model: Model) -> str:
        """How a run would build the published ``model``: as a "whole" or by an "increment"."""
        grows = model.materialized == "incremental" and not refreshes_fully(model, False)
        return "increment" if grows else "whole"

    def compiler(self, form: str) -> Compiler:
        """A compiler for builds of this form, over what is published."""
        return self._increment if form == "increment" else self._whole

    def _compiler_of(self, model: Model) -> Compiler:
        return self.compiler(self.form(model))

    def sql(self, node: Model | DataTest, form: str) -> Compiled:
        """The SQL of ``node`` in a build of this form."""
        compiler = self.compiler(form)
        return compiler.model(node) if isinstance(node, Model) else compiler.test(node)

    def _decide(self, unique_id: str, reason: str, model: Model | None = None) -> None:
        if not reason:
            self.reused[unique_id] = UNCHANGED
            return
        self.why[unique_id] = reason
        if model is not None and model.is_function:
            self._built_functions[model.relation.published[1]] = model.name
        elif model is not None:
            self.built[model.relation.local] = model.name
            if model.relation.local not in self.seen.tokens:
                self._new = self._new or model.name

    def _decide_again(self) -> None:
        """Build also what depends, without ``ref``, on models that were decided on after it."""
        late = [model for model in self.in_order if model.unique_id in self.reused]
        found = bool(late)
        partners = {}
        if late and self.why:
            partners = hooked.partners(self.in_order, self.recorded, self._compiler_of)
        while found:
            found = False
            for model in late:
                before = self.recorded[model.unique_id]
                why = self._rebuilt_parent(model.refs, before) or self._finds_more(model)
                for partner, reason in partners.get(model.unique_id, ()):
                    why = why or (reason if partner in self.why else "")
                if why and self.reused.pop(model.unique_id, ""):
                    self._decide(model.unique_id, why, model)
                    found = True

    def _reason(self, model: Model) -> str:
        """Why ``model`` has to be built; empty if it has not."""
        if self._forced:
            return self._forced
        if self._event_time is not None and model.is_batched:
            return "batches of it were asked for"
        before = self.recorded.get(model.unique_id)
        if before is None or before.output is None:
            return "it was not published yet"
        if not is_named(before, model):
            return f"it was published as {_plain(before.relation or '')}"
        if model.materialized == "incremental" and before.form != self.form(model):
            return "its first increment is due"
        by_hand = self._by_hand(before.relation or "", before.output)
        if by_hand:
            return by_hand
        if before.unsteady:
            return f"it {before.unsteady}"
        return self._rebuilt_parent(model.refs, before) or self.reason_to_repeat(model, before)

    def reason_to_repeat(self, model: Model, before: NodeState) -> str:
        """Why a build that was like ``before`` would have another result today; empty if not."""
        return (
            self._other_settings(before.settings, self._settings(model, before.form))
            or self._other_input(
                before, shape_only=before.output is not None and before.output.kind in _NO_ROWS
            )
            or self._other_sql(model, before)
        )

    def _by_hand(self, relation: str, before: Token) -> str:
        """How somebody else has changed what was published; empty if nobody has."""
        how = self.seen.changed(relation, before)
        what = "function" if before.kind == FUNCTION_KIND else "relation"
        if not how:
            now = self.seen.tokens[relation]
            return "" if set(before.indexes) <= set(now.indexes) else "an index of it was dropped"
        if how == "untold":
            return _UNTOLD.format("its table")
        if how == "is gone":
            return f"its {what} was dropped"
        return f"its {what} {how}, which this project did not do"

    def _rebuilt_parent(self, refs: Iterable[str], before: NodeState) -> str:
        for model in self._parents(refs):
            if model.unique_id in self.why:
                return f"{model.name} is built"
        for key in before.inputs:
            if key in self.built and key != before.relation:
                return f"{self.built[key]} is built"
        for name in before.functions:
            if name in self._built_functions and not before.is_of_a_function:
                return f"{self._built_functions[name]} is built"
        return ""

    def _finds_more(self, node: Model | DataTest) -> str:
        if not self._new or node.unique_id not in self._looking:
            return ""
        return f"it looks for relations, and {self._new} is a new one"

    def _parents(self, refs: Iterable[str]) -> Iterator[Model]:
        for key in refs:
            model = self.manifest.models[key]
            if model.materialized == "ephemeral":
                yield from self._parents(model.refs)
            else:
                yield model

    def functions_of(self, unique_id: str) -> Iterator[Model]:
        """The project's functions that a model calls, directly or through ephemeral models."""
        refs = next(each.refs for each in self.in_order if each.unique_id == unique_id)
        return (each for each in self._parents(refs) if each.is_function)

    @property
    def functions(self) -> dict[str, str]:
        """The functions that the project has published, with their types, by unique id."""
        return {
            each.unique_id: each.relation or ""
            for each in self.recorded.values()
            if each.is_of_a_function
        }

    def _settings(self, model: Model, form: str) -> dict[str, str]:
        """The settings of ``model`` today, and what its hooks come to."""
        return self.fingerprints.settings(model, hooked.rendered(model, self.compiler(form)))

    def _other_settings(self, before: Mapping[str, str], now: Mapping[str, str]) -> str:
        changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        return f"{', '.join(changed).replace('_', ' ')} changed" if changed else ""

    def _other_input(self, before: NodeState, *, shape_only: bool = False) -> str:
        for key, token in before.inputs.items():
            how = self.seen.changed(key, token, shape_only=shape_only)
            if how == "untold":
                return _UNTOLD.format(_plain(key))
            if how:
                return f"{_plain(key)} {how}"
        for name, state in before.functions.items():
            if self.seen.functions.state(name) != state:
                return f"the function {name} has changed"
        return ""

    def _other_sql(self, node: Model | DataTest, before: NodeState) -> str:
        if isinstance(node, Model) and node.is_seed:
            return ""
        compiler = self.compiler(before.form)
        looks = compiler.looks
        try:
            compiled = self.sql(node, before.form)
        except DatapipeError:
            return "its SQL has changed"  # and has a mistake in it, which the build will tell
        if compiler.looks > looks:
            self._looking.add(node.unique_id)
        return (
            "" if self.fingerprints.sql(compiled.sql) == before.sql_hash else "its SQL has changed"
        )

    def _reason_to_test(self, test: DataTest) -> str:
        if self._forced:
            return self._forced
        before = self.recorded.get(test.unique_id)
        if before is None:
            return "it has not passed yet"
        if before.unsteady:
            return f"it {before.unsteady}"
        if self._whole.materialization(test) is not None:
            return "a materialization of the project's own runs it"
        return (
            self._rebuilt_parent(test.refs, before)
            or self._other_settings(before.settings, self.fingerprints.test_settings(test))
            or self._other_input(before)
            or self._other_sql(test, before)
            or self._finds_more(test)
        )

    def _reason_to_unit_test(self, test: UnitTest) -> str:
        if self._forced:
            return self._forced
        model = self.manifest.models[test.model]
        if model.unique_id in self.why:
            return f"{model.name} is built"
        before = self.recorded.get(test.unique_id)
        if before is None:
            return "it has not passed yet"
        same = before.sql_hash == self.fingerprints.unit_test(test)
        return self._other_input(before) if same else "it has changed, or what it tests"


@contextmanager
def _only_read(connection: psycopg.Connection) -> Iterator[None]:
    """Within, statements of templates that write are refused: only a build may send those."""
    execute(connection, "SET default_transaction_read_only = on")
    try:
        yield
    finally:
        execute(connection, "RESET default_transaction_read_only")


def is_named(before: NodeState, model: Model) -> bool:
    """Whether what is recorded has the name of ``model``; a function's has its types behind it."""
    recorded, name = before.relation or "", model.relation.local
    return recorded.startswith(f"{name}(") if model.is_function else recorded == name


def _published(model: Model) -> Relation:
    return model.relation


def _plain(local: str) -> str:
    """A quoted name as people write it."""
    return local.replace('"."', ".").strip('"')
