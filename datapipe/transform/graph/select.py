"""dbt's selection: which models and tests of a project a run is about.

``--select`` and ``--exclude`` take names, folders and ``method:value``; ``+`` and ``@`` add what
comes before and after. A space unites, a comma intersects. A test is selected with any model that
it reads, unless another way of indirect selection is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from datapipe.errors import UsageError
from datapipe.frozen import frozen
from datapipe.transform.graph.asked import Asked
from datapipe.transform.graph.methods import METHODS, Earlier, Facts, matching
from datapipe.transform.graph.nodes import TESTS, Graph, Node, graph_of
from datapipe.transform.graph.spec import Criterion, Spec
from datapipe.transform.jinja.context import near
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.tests import DataTest, UnitTest
from datapipe.transform.options import Indirect

__all__ = ["Earlier", "Facts", "Node", "Selection", "select"]

# What dbt's build has among its selected resources.
_RESOURCES = frozenset({"model", "seed", "snapshot", "test", "function", "exposure", "saved_query"})


@frozen
class Selection:
    """What was selected, in the order of the project; ``warnings`` tell what matched nothing.

    ``models`` are keys of the manifest's models. A model or a test whose file is empty is a node
    and nothing more: as with dbt there is nothing to run.
    """

    nodes: tuple[Node, ...]
    models: frozenset[str]
    tests: tuple[DataTest, ...]
    warnings: tuple[str, ...] = ()
    unit_tests: tuple[UnitTest, ...] = ()

    @property
    def resources(self) -> list[str]:
        """The unique ids that templates have as ``selected_resources``."""
        return [node.unique_id for node in self.nodes if node.resource_type in _RESOURCES]


def select(manifest: Manifest, asked: Asked, *, earlier: Earlier | None = None) -> Selection:
    """Select what is ``asked`` for.

    Raises UsageError for a criterion with an unknown value, and for one that asks about earlier
    runs when nothing is known of them.
    """
    found = _Selecting(manifest, graph_of(manifest), earlier or Earlier())
    selected = set(found.graph.nodes)
    if asked.include is not None:
        selected, _ = found.of(asked.include)
    if asked.exclude is not None:
        selected -= found.of(asked.exclude)[0]
    return Selection(
        nodes=tuple(node for key, node in found.graph.nodes.items() if key in selected),
        models=frozenset(
            key
            for key, model in manifest.models.items()
            if model.unique_id in selected and model.has_sql
        ),
        tests=tuple(
            test
            for test in manifest.tests
            if test.unique_id in selected and (test.macro or test.raw_code.strip())
        ),
        warnings=tuple(found.warnings),
        unit_tests=tuple(test for test in manifest.unit_tests if test.unique_id in selected),
    )


class _Selecting:
    """Works out what a selection names: nodes, and tests that may come along with others."""

    def __init__(self, manifest: Manifest, graph: Graph, earlier: Earlier) -> None:
        self.manifest = manifest
        self.graph = graph
        self.earlier = earlier
        self.warnings: list[str] = []

    def of(self, spec: Spec) -> tuple[set[str], set[str]]:
        if isinstance(spec, Criterion):
            return self._criterion(spec)
        found = [self.of(part) for part in spec.parts]
        if not found:
            return set(), set()
        combine: Callable[..., set[str]] = getattr(set, spec.how)
        direct = combine(*(each for each, _ in found))
        indirect = combine(*(each | more for each, more in found))
        direct = self._incorporated(direct, indirect, spec.indirect)
        if spec.expected and not direct:
            self.warnings.append(
                f"The selection criterion '{spec.expected}' does not match any enabled nodes."
            )
        return direct, indirect

    def _criterion(self, asked: Criterion) -> tuple[set[str], set[str]]:
        if asked.method not in METHODS:
            raise UsageError(
                f"{asked.place}In '{asked.raw}', {asked.method} is no method of selection."
                f"{near(asked.method, METHODS)} There are {', '.join(METHODS)}."
            )
        graph = self.graph
        try:
            found = matching(
                self.manifest, graph, asked.method, asked.argument, asked.value, self.earlier
            )
        except UsageError as error:
            raise UsageError(f"{asked.place}{error}") from None
        reached = set(found)
        if asked.whole:
            reached |= graph.reached(graph.reached(found, graph.children), graph.parents)
        if asked.parents:
            reached |= graph.reached(found, graph.parents, asked.before)
        if asked.children:
            reached |= graph.reached(found, graph.children, asked.after)
        return self._expanded(reached, asked.indirect)

    def _expanded(self, selected: set[str], how: Indirect) -> tuple[set[str], set[str]]:
        """``selected`` with its tests, and apart from it the tests that read still more."""
        direct, indirect = set(selected), set[str]()
        if how == "empty":
            return direct, indirect
        enough = self._enough(selected, how)
        for key in selected:
            for child in self.graph.children.get(key, ()):
                if self.graph.nodes[child].resource_type not in TESTS:
                    continue
                if how == "eager" or self.graph.parents[child] <= enough:
                    direct.add(child)
                else:
                    indirect.add(child)
        return direct, indirect

    def _enough(self, selected: Set[str], how: Indirect) -> set[str]:
        """All that a test may read to come along with ``selected``."""
        if how != "buildable":
            return set(selected)
        sources = {key for key, node in self.graph.nodes.items() if node.resource_type == "source"}
        return self.graph.reached(selected, self.graph.parents) | sources

    def _incorporated(self, direct: set[str], indirect: set[str], how: Indirect) -> set[str]:
        """``direct`` with those tests whose parents are all selected by now."""
        if how not in {"cautious", "buildable"}:
            return direct
        enough = self._enough(direct, how)
        return direct | {
            key
            for key in indirect - direct
            if self.graph.nodes[key].resource_type == "test"
            and self.graph.parents.get(key, set()) <= enough
        }
