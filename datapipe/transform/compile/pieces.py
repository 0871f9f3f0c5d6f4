"""Compiled SQL in pieces that know which template wrote them, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from datapipe.frozen import frozen
from datapipe.transform.database.relation import Relation
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest

# Where a run finds a model.
Place = Callable[[Model], Relation]


@frozen
class Piece:
    """A stretch of compiled SQL that comes from one template, from ``start`` of what that gave.

    ``written`` is what it gave, if the run puts something else in its place.
    """

    text: str
    node: Model | DataTest | None = None
    start: int = 0
    written: str | None = None

    @property
    def as_written(self) -> str:
        return self.text if self.written is None else self.written


@frozen
class Compiled:
    """SQL without any Jinja left; its ``pieces`` tell which template wrote what."""

    node: Model | DataTest
    pieces: tuple[Piece, ...]

    @property
    def sql(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def as_written(self) -> str:
        """The SQL with each relation under the name that the templates have given it."""
        return "".join(piece.as_written for piece in self.pieces)

    def origin(self, offset: int) -> tuple[Model | DataTest, int]:
        """The node that wrote what stands at ``offset``, and where that is in what it renders to.

        Where no node has written it, it is the end of what the node before has: something is
        missing there.
        """
        last = next(piece for piece in self.pieces if piece.node is not None)
        for piece in self.pieces:
            if offset < len(piece.text):
                if piece.node is None:
                    break
                inside = offset if piece.written is None else min(offset, len(piece.written) - 1)
                return piece.node, piece.start + inside
            offset -= len(piece.text)
            last = piece if piece.node is not None else last
        text = last.as_written.rstrip()
        return last.node or self.node, last.start + max(0, len(text) - 1)


class Unbuilt(Exception):
    """The SQL of ``node`` names ``model``, which the run has still to build."""

    def __init__(self, node: Model | DataTest, model: Model) -> None:
        super().__init__(f"{node.name} names {model.name}, which is still to be built.")
        self.node = node
        self.model = model


def parts(piece: Piece, instead: Iterable[tuple[int, int, str]]) -> list[Piece]:
    """``piece`` divided, so that the texts of ``instead`` stand from where to where they say.

    An empty text leaves what is there.
    """
    found, end = [], 0
    for start, stop, text in sorted(each for each in instead if each[2]):
        found.append(Piece(piece.text[end:start], piece.node, piece.start + end))
        found.append(Piece(text, piece.node, piece.start + start, piece.text[start:stop]))
        end = stop
    if not found:
        return [piece]
    rest = piece.text[end:]
    return [*found, Piece(rest, piece.node, piece.start + end)] if rest else found
