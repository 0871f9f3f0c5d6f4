"""The order in which models are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from datapipe.errors import ProjectError
from datapipe.transform.manifest.nodes import Model


def ordered(models: Mapping[str, Model]) -> tuple[Model, ...]:
    """``models``, each after all that it selects from; raises ProjectError for a circle."""
    sorter = TopologicalSorter({name: model.refs for name, model in models.items()})
    try:
        return tuple(models[name] for name in sorter.static_order())
    except CycleError as error:
        circle = error.args[1]
    first = models[circle[-1]]  # graphlib names each before the one that selects from it
    raise ProjectError(
        f"These models select from each other in a circle: {' -> '.join(reversed(circle))}. "
        f"Take one ref out.{_others(models, circle)}",
        path=first.path,
        line=_line_of_ref(first, circle[-2]),
        model=first.name,
    )


def _others(models: Mapping[str, Model], circle: Sequence[str]) -> str:
    """Where all but the first of a circle select from the next."""
    pairs = [(models[one], other) for one, other in pairwise(reversed(circle))][1:]
    places = [f"{model.path}:{_line_of_ref(model, other)}" for model, other in pairs]
    return f" The others are at {', '.join(places)}." if places else ""


def _line_of_ref(model: Model, name: str) -> int:
    for number, text in enumerate(model.raw_code.splitlines(), 1):
        if ("ref" in text or "function" in text) and name.removesuffix("()") in text:
            return number
    return 1
