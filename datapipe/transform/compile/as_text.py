"""Finds the relations and functions of a run that SQL names as text, and not by ``ref``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property

import psycopg

from datapipe.transform.compile.pieces import Piece, Place, Unbuilt
from datapipe.transform.database import definitions, functions, mentions
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.mentions import Mention, Mentions
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest

# From where to where in a text something else stands, and what.
Instead = tuple[int, int, str]


class AsText:
    """Puts the names aside in place of published ones; ``asides`` maps published schemas to those.

    For a node that ``waits``, Unbuilt is raised for what the run has still to build.
    """

    def __init__(
        self,
        manifest: Manifest,
        place: Place,
        asides: Mapping[str, str],
        waits: Callable[[Model | DataTest], bool],
    ) -> None:
        self._manifest = manifest
        self._place = place
        self._waits = waits
        self._mentions = Mentions(asides)

    def instead(
        self, connection: psycopg.Connection, node: Model | DataTest, pieces: Sequence[Piece]
    ) -> list[list[Instead]]:
        """For each of the ``pieces`` of the SQL of ``node``, what to put in place of what."""
        named = [self._named(piece) for piece in pieces]
        found = [each for of_piece in named for each in of_piece]
        there = mentions.aside(connection, found)
        if found and self._waits(node):
            for each in found:
                self._wait_for(each, there, node)
        calls = self._calls(connection, node, pieces)
        return [
            [*((each.start, each.end, each.local(there)) for each in of_piece), *called]
            for of_piece, called in zip(named, calls, strict=True)
        ]

    def replaced(self, connection: psycopg.Connection, statement: str) -> str:
        """``statement`` with names aside for the published names of what stands aside."""
        return self._mentions.replaced(connection, statement, self._is_aside)

    def _is_aside(self, published: Name) -> bool:
        """Whether the relation may stand aside: a model that the run does not build does not."""
        model = self._by_name.get(published)
        return model is None or self._place(model).standing != published

    @cached_property
    def _by_name(self) -> dict[Name, Model]:
        models = self._manifest.models.values()
        return {each.relation.published: each for each in models if not each.is_function}

    @cached_property
    def _functions(self) -> dict[Name, list[Model]]:
        """The functions by name; several may have the same name and take other arguments."""
        found: dict[Name, list[Model]] = {}
        for model in self._manifest.models.values():
            if model.is_function:
                found.setdefault(model.relation.published, []).append(model)
        return found

    def _wait_for(self, named: Mention, there: Set[Name], node: Model | DataTest) -> None:
        model = self._by_name.get(named.published)
        if model is None or model is node or named.aside in there:
            return
        if self._place(model).standing == named.aside:
            raise Unbuilt(node, model)

    def _named(self, piece: Piece) -> list[Mention]:
        if (node := piece.node) is None:
            return []
        known = {self._place(self._manifest.models[key]).standing for key in node.refs}
        if isinstance(node, Model):
            known.add(node.relation.published)
        return self._mentions.find(piece.text, known)

    def _calls(
        self, connection: psycopg.Connection, node: Model | DataTest, pieces: Sequence[Piece]
    ) -> list[list[Instead]]:
        """For each of the ``pieces``, its calls of functions that stand aside, and what to put in.

        Where several have the name, the one is taken that the SQL has by ``function`` elsewhere.
        """
        if not self._functions:
            return [[] for _ in pieces]
        by_function = {key for piece in pieces for key in (piece.node.refs if piece.node else ())}
        meant = {
            name: next((each for each in models if each.key in by_function), models[0])
            for name, models in self._functions.items()
        }
        others = {
            name: model for name, model in meant.items() if self._place(model).standing != name
        }
        found = [
            list(definitions.calls(piece.text, others)) if piece.node else [] for piece in pieces
        ]
        named = {name: others[name] for calls in found for *_, name in calls}
        places = {name: self._place(model) for name, model in named.items()}
        asides = [place.standing for place in places.values()]
        there = {state.standing for state in functions.states(connection, asides)}
        for name, model in named.items():
            if places[name].standing not in there and model is not node and self._waits(node):
                raise Unbuilt(node, model)
        return [
            [
                (start, end, places[name].local)
                for start, end, name in calls
                if places[name].standing in there
            ]
            for calls in found
        ]
