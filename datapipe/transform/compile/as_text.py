"""What SQL names without ``ref``, and where the run has that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property

import psycopg

from datapipe.transform.compile.pieces import Piece, Place, Unbuilt
from datapipe.transform.database import standing
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.standing import Mention, Standing
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import DataTest, Model

# From where to where in a text something else stands, and what.
Instead = tuple[int, int, str]


class AsText:
    """Finds what SQL names as it is published; ``asides`` has the schemas to build in.

    For a node that ``waits``, Unbuilt is raised where that is still to be built.
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
        self._standing = Standing(asides)

    def instead(
        self, connection: psycopg.Connection, node: Model | DataTest, pieces: Sequence[Piece]
    ) -> list[list[Instead]]:
        """For each of ``pieces`` of the SQL of ``node``, what is to stand there instead."""
        named = [self._named(piece) for piece in pieces]
        mentions = [each for of_piece in named for each in of_piece]
        there = standing.aside(connection, mentions)
        if mentions and self._waits(node):
            for each in mentions:
                self._wait_for(each, there, node)
        return [[(each.start, each.end, each.local(there)) for each in found] for found in named]

    def read(self, connection: psycopg.Connection, statement: str) -> str:
        """``statement`` with what it names as published called as it stands aside, if it does."""
        return self._standing.read(connection, statement)

    @cached_property
    def _by_name(self) -> dict[Name, Model]:
        return {model.relation.published: model for model in self._manifest.models.values()}

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
        return self._standing.mentions(piece.text, known)
