"""What relations and functions readers find during a run, and which of them nodes have read."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace

import psycopg

from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.state import look, reading, tokens, words
from datapipe.transform.state.functions import Calls, calls
from datapipe.transform.state.look import Look
from datapipe.transform.state.names import Names
from datapipe.transform.state.records import Aside, NodeState
from datapipe.transform.state.seen import Seen
from datapipe.transform.state.tokens import Token

_UNKNOWN = Token(kind="?", shape="it came up during the run")


class Present:
    """The published relations: those from before the run and, later, those that it published.

    Several threads may ask at once.
    """

    def __init__(self, manifest: Manifest, before: Look) -> None:
        self._names = Names(manifest)
        self._by_oid = before.by_oid
        self._functions = before.functions
        self._lock = threading.Lock()
        self._tokens = dict(before.tokens)
        self._published: set[str] = set()

    def name(self, model: Model, types: str) -> str:
        """The published name of ``model``; ``types`` are those of a function's arguments."""
        return self._names.published(model, types)

    def resolved(
        self, read: Sequence[tuple[str, int]], growing: Collection[str]
    ) -> tuple[dict[str, Token], set[str], dict[str, int]]:
        """What was ``read``, in three parts.

        The tokens of what was read as it is published, by name: those from before the run, also of
        what the run is going to replace. The published names of what was read aside. And the oids
        of that, by the names aside. ``growing`` are the tables that grow.
        """
        published, pending, oids = set(), set(), {}
        for key, oid in read:
            if key in self._names.asides:
                pending.add(self._names.asides[key])
                oids[key] = oid
            else:
                published.add(key)
        with self._lock:
            present, is_out = self._tokens, set(self._published)
            all_read = tokens.with_parts(published, present, self._by_oid)
            inputs = {key: present.get(key, _UNKNOWN) for key in all_read}
        for key in pending & inputs.keys():
            if key in growing or key in is_out:
                del inputs[key]  # the view of an increment shows what is published, too
        return inputs, pending - inputs.keys(), oids

    def read_by(
        self, sql: str, read: Sequence[tuple[str, int]], below: Mapping[int, set[int]]
    ) -> list[tuple[str, int]]:
        """The part of what some tests have ``read`` that this one of them has read.

        That is what it names, with what lies below that; or all of it, if it calls a function.
        """
        said = words.read(sql)
        functions, _ = self._functions.reached(said.called)
        if functions or said.called & self._names.functions or tokens.FUNCTION in below:
            return list(read)
        found: set[int] = set()
        edge = [oid for key, oid in read if reading.name_of(key) in said.names]
        while edge:
            oid = edge.pop()
            if oid not in found:
                found.add(oid)
                edge += below.get(oid, ())
        return [(key, oid) for key, oid in read if oid in found]

    def calls(
        self, texts: Sequence[str], inputs: Mapping[str, Token], connection: psycopg.Connection
    ) -> Calls:
        """What SQL calls, and the views of others that it reads."""
        ours = self._names.ours
        views = [key for key, token in inputs.items() if token.kind == "v" and key not in ours]
        return calls(connection, texts, views)

    def with_functions(self, state: NodeState, called: Calls) -> NodeState:
        """``state`` with the functions that are ``called``, as they stand now."""
        functions, why = self._functions.reached(called.names)
        if state.is_of_a_function:
            why = ""  # that is told of those who call it
        return replace(state, unsteady=called.unsteady or why, functions=functions)

    def built_on(self, earlier: Aside) -> set[str]:
        """What an earlier run was going to publish, of what it had built ``earlier`` on."""
        return {self._names.asides[key] for key in earlier.built_on if key in self._names.asides}

    def renew(
        self, connection: psycopg.Connection, models: Sequence[Model], digests: Mapping[str, str]
    ) -> None:
        """Note how what is published stands, within the transaction that publishes it.

        ``digests`` were taken of tables before. Those of others are taken now, if that takes no
        time.
        """
        there = look.of_models(connection, models)
        if any(each.is_function for each in models):
            self._functions = self._functions.again(connection)
        digests = dict(digests)
        in_place = {key for key in there if there[key].has_rows and not digests.get(key)}
        digests |= tokens.digests(connection, tokens.small(connection, in_place))
        with self._lock:
            for key, token in there.items():
                self._tokens[key] = token._replace(digest=digests.get(key, ""))
            self._published |= there.keys()

    def has_published(self, names: Set[str]) -> bool:
        """Whether this run has published all of ``names``."""
        return names <= self._published

    def define(self, connection: psycopg.Connection, seen: Iterable[Seen]) -> None:
        """Add the texts of views to those that were published or read."""
        views = {
            key
            for each in seen
            for key in (*each.inputs, *each.pending, each.state.relation or "")
            if key in self._tokens
            and self._tokens[key].kind == "v"
            and not self._tokens[key].definition
        }
        look.define(connection, self._tokens, views)

    def complete(self, seen: Seen) -> NodeState:
        """What to record of a node, now that what it has read is published."""
        with self._lock:
            inputs = dict(seen.inputs)
            for key, token in inputs.items():
                now = self._tokens.get(key)
                if now is not None and now.rule == token.rule and token.kind == "v":
                    inputs[key] = now
            inputs |= {key: self._tokens[key] for key in seen.pending if key in self._tokens}
            relation = seen.state.relation
            output = self._tokens.get(relation) if relation else None
        state = self.with_functions(seen.state, seen.called)
        return replace(state, output=output, inputs=inputs)
