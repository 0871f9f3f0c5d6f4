"""What the documentation says of each node: the project's words, and facts from PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime

from datapipe.frozen import frozen
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation
from datapipe.transform.docs.lineage import Lineage, Origin
from datapipe.transform.graph import ordered
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Column, Model, Source, SourceKey
from datapipe.transform.manifest.other_nodes import Exposure
from datapipe.transform.manifest.signature import Signature
from datapipe.transform.manifest.tests import DataTest, UnitTest

Node = Source | Model | Exposure


@frozen
class LastResult:
    """How a test ended when it was last run."""

    status: str
    failures: int | None
    at: datetime  # in UTC, without saying so


@frozen
class TestEntry:
    """A test; ``column`` is empty where it is of the whole relation."""

    __test__ = False  # the name begins like a test class

    name: str
    label: str
    column: str
    sql: str
    last: LastResult | None


@frozen
class ColumnEntry:
    """A column; ``type`` is empty where it was never built."""

    name: str
    type: str
    description: str
    tests: tuple[TestEntry, ...]
    origin: Origin | None
    used_by: tuple[tuple[str, str], ...]


@frozen
class Entry:
    """One node of the project; a function has a ``signature``."""

    node: str
    name: str
    resource_type: str
    materialized: str
    relation: Relation | None
    description: str
    file: str
    tags: tuple[str, ...]
    exists: bool
    rows: int | None
    columns: tuple[ColumnEntry, ...]
    tests: tuple[TestEntry, ...]
    reads: tuple[str, ...]
    read_by: tuple[str, ...]
    code: str
    sql: str
    unknown_lineage: str
    signature: Signature | None = None

    @property
    def group(self) -> str:
        """The heading that it is listed under: the schema, as people look for tables by that."""
        return (self.relation.schema if self.relation else "exposures") or "ephemeral"

    @property
    def all_tests(self) -> tuple[TestEntry, ...]:
        return (*self.tests, *(test for column in self.columns for test in column.tests))


def key_of(node: Node) -> str:
    """The name of a node in the documentation."""
    if isinstance(node, Source):
        return source_key(node.key)
    return node.key if isinstance(node, Model) else f"exposure:{node.name}"


def source_key(source: SourceKey) -> str:
    return ".".join(source)


@frozen
class Facts:
    """What entries are made of beside the project; ``compiled`` and results are by unique id.

    ``functions`` are the names of those that are published.
    """

    states: Mapping[tuple[str, str], RelationState]
    functions: Set[tuple[str, str]]
    rows: Mapping[tuple[str, str], int]
    compiled: Mapping[str, str]
    results: Mapping[str, LastResult]
    lineage: Lineage


def entries(read: Manifest, facts: Facts) -> tuple[Entry, ...]:
    """Sources, seeds, models, snapshots and exposures, each after all that it reads."""
    nodes: list[Node] = [*read.sources.values(), *ordered(read.models), *read.exposures]
    reads = {key_of(node): _reads(node) for node in nodes}
    read_by: dict[str, list[str]] = {name: [] for name in reads}
    for name, read_here in reads.items():
        for each in read_here:
            read_by[each].append(name)
    used_by = _used_by(facts.lineage)
    tests = _tests(read, facts)
    return tuple(
        _entry(node, facts, reads[key_of(node)], read_by[key_of(node)], used_by, tests)
        for node in nodes
    )


def _entry(
    node: Node,
    facts: Facts,
    reads: Sequence[str],
    read_by: Sequence[str],
    used_by: Mapping[tuple[str, str], list[tuple[str, str]]],
    tests: Mapping[str, list[TestEntry]],
) -> Entry:
    key = key_of(node)
    own = tests.get(key, [])
    origins = facts.lineage.columns.get(key, {})
    relation = None if isinstance(node, Exposure) else node.relation
    place = (relation.schema, relation.identifier) if relation else ("", "")
    signature = node.signature if isinstance(node, Model) else None
    state = None if signature else facts.states.get(place)
    columns = () if isinstance(node, Exposure) else _columns(node, state, origins)
    there = {column.name for column, _ in columns}
    described = node.described.get("description", "") if isinstance(node, Exposure) else ""
    return Entry(
        node=key,
        name=node.name if isinstance(node, Source) else key,
        resource_type="source" if isinstance(node, Source) else node.resource_type,
        materialized=node.materialized if isinstance(node, Model) else "",
        relation=relation,
        description=str(described) if isinstance(node, Exposure) else node.description,
        file=node.file,
        tags=tuple(map(str, node.config.get("tags") or ())),
        exists=place in facts.functions if signature else state is not None,
        rows=None if signature else facts.rows.get(place),
        columns=tuple(
            ColumnEntry(
                name=column.name,
                type=type_,
                description=column.description,
                tests=tuple(test for test in own if test.column == column.name),
                origin=origins.get(column.name),
                used_by=tuple(used_by.get((key, column.name), ())),
            )
            for column, type_ in columns
        ),
        tests=tuple(test for test in own if test.column not in there),
        reads=tuple(reads),
        read_by=tuple(read_by),
        code=node.raw_code.strip() if isinstance(node, Model) else "",
        sql=facts.compiled.get(node.unique_id, "").strip(),
        unknown_lineage=facts.lineage.unknown.get(key, ""),
        signature=signature,
    )


def _columns(
    node: Model | Source, state: RelationState | None, origins: Mapping[str, Origin]
) -> tuple[tuple[Column, str], ...]:
    """The columns that PostgreSQL has; of what was never built, those of its query or of YAML."""
    types = dict.fromkeys((*origins, *node.columns), "")
    if state is not None:
        types = {column.name: column.type for column in state.columns}
    described = {name: node.columns.get(name, Column(name)) for name in types}
    return tuple(
        (described[name], type_ or described[name].data_type or "") for name, type_ in types.items()
    )


def _reads(node: Node) -> tuple[str, ...]:
    if isinstance(node, Source):
        return ()
    return (*map(source_key, node.sources), *node.refs)


def _used_by(lineage: Lineage) -> dict[tuple[str, str], list[tuple[str, str]]]:
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for node, columns in lineage.columns.items():
        for name, origin in columns.items():
            for each in origin.columns:
                found.setdefault(each, []).append((node, name))
    return found


def _tests(read: Manifest, facts: Facts) -> dict[str, list[TestEntry]]:
    found: dict[str, list[TestEntry]] = {}
    for test in read.tests:
        for of in _tested(test):
            found.setdefault(of, []).append(_data_test(test, facts))
    for unit_test in read.unit_tests:
        found.setdefault(unit_test.model, []).append(_unit_test(unit_test, facts))
    return found


def _tested(test: DataTest) -> list[str]:
    """The node that the test belongs to; one of the user's own belongs to all that it reads."""
    if test.tested_model is not None:
        return [test.tested_model]
    sources = [source_key(source) for source in test.sources]
    return sources[:1] if test.macro else [*sources, *test.refs]


def _data_test(test: DataTest, facts: Facts) -> TestEntry:
    arguments = {name: value for name, value in test.arguments.items() if name != "column_name"}
    shown = ", ".join(f"{name}: {value}" for name, value in arguments.items())
    bare = test.macro.rpartition("test_")[2] if test.macro else test.name
    return TestEntry(
        name=test.name,
        label=f"{bare} ({shown})" if shown else bare,
        column=(test.column or "").strip('"'),
        sql=facts.compiled.get(test.unique_id, "").strip(),
        last=facts.results.get(test.unique_id),
    )


def _unit_test(test: UnitTest, facts: Facts) -> TestEntry:
    return TestEntry(
        name=test.name,
        label=f"unit test {test.name}",
        column="",
        sql="",
        last=facts.results.get(test.unique_id),
    )
