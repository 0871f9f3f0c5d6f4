"""Draws the graph of a project: every node in a layer behind all that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from datapipe.frozen import frozen

_WIDTH, _HEIGHT = 190, 30
_ACROSS, _DOWN = 260, 44
_MARGIN = 16
_PASSES = 4  # after which the order within the layers hardly changes any more


@frozen
class Box:
    """Where a node stands, in pixels from the upper left."""

    node: str
    x: int
    y: int
    width: int = _WIDTH
    height: int = _HEIGHT


@frozen
class Drawing:
    """Boxes, and the lines between them as SVG paths by the nodes that they join."""

    boxes: tuple[Box, ...]
    lines: Mapping[tuple[str, str], str]
    width: int
    height: int


def drawn(reads: Mapping[str, Sequence[str]]) -> Drawing:
    """The drawing of nodes, which are given in an order in which each comes after what it reads."""
    layer_of: dict[str, int] = {}
    for node, read in reads.items():
        layer_of[node] = 1 + max((layer_of[each] for each in read), default=-1)
    layers: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for node, layer in layer_of.items():
        layers[layer].append(node)
    _untangle(layers, reads)
    height = max((len(layer) for layer in layers), default=0)
    boxes = {
        node: Box(
            node,
            _MARGIN + number * _ACROSS,
            # Each layer stands in the middle, so that lines are short.
            _MARGIN + place * _DOWN + (height - len(layer)) * _DOWN // 2,
        )
        for number, layer in enumerate(layers)
        for place, node in enumerate(layer)
    }
    lines = {
        (read, node): _line(boxes[read], boxes[node]) for node in reads for read in reads[node]
    }
    return Drawing(
        tuple(boxes.values()),
        lines,
        2 * _MARGIN + max(0, len(layers) - 1) * _ACROSS + _WIDTH,
        2 * _MARGIN + height * _DOWN,
    )


def _untangle(layers: list[list[str]], reads: Mapping[str, Sequence[str]]) -> None:
    """Order each layer by the mean place of its neighbours, back and forth: fewer lines cross."""
    read_by: dict[str, list[str]] = {node: [] for node in reads}
    for node, read in reads.items():
        for each in read:
            read_by[each].append(node)
    for _ in range(_PASSES):
        for before, layer in pairwise(layers):
            _order(layer, before, reads)
        for after, layer in pairwise(reversed(layers)):
            _order(layer, after, read_by)


def _order(
    layer: list[str], beside: Sequence[str], neighbours: Mapping[str, Sequence[str]]
) -> None:
    places = {node: place for place, node in enumerate(beside)}
    own = {node: place for place, node in enumerate(layer)}

    def mean(node: str) -> float:
        found = [places[each] for each in neighbours[node] if each in places]
        return sum(found) / len(found) if found else own[node]

    layer.sort(key=mean)


def _line(start: Box, end: Box) -> str:
    x, y = start.x + start.width, start.y + start.height // 2
    to_x, to_y = end.x, end.y + end.height // 2
    middle = (x + to_x) // 2
    return f"M{x},{y} C{middle},{y} {middle},{to_y} {to_x},{to_y}"
