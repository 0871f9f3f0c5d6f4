"""The ephemeral models that a node needs, as common table expressions in front of its SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from datapipe.transform.compile.pieces import Piece
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest

_LEADING = r"(?s)(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_WITH = r"(?i)with\s+(?:recursive\s+)?"


def in_front(
    node: Model | DataTest, text: str, ephemeral: Sequence[tuple[Model, str]]
) -> list[Piece]:
    """The SQL ``text`` of ``node`` with the models as CTEs in front, in the WITH that it has."""
    if not ephemeral:
        return [Piece(text, node)]
    leading = re.match(_LEADING, text)
    start = leading.end() if leading else 0
    with_ = re.match(_WITH, text[start:])
    start += with_.end() if with_ else 0
    pieces = [Piece(text[:start], node), Piece("" if with_ else "with")]
    for number, (model, sql) in enumerate(ephemeral):
        opening = f"{', ' if number else ''} {model.relation} as (\n"
        pieces += [Piece(opening), Piece(sql, model), Piece("\n)")]
    return [*pieces, Piece(", " if with_ else " "), Piece(text[start:], node, start)]
