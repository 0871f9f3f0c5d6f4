"""The YAML files of a project: what they say of models, sources and their tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.manifest.nodes import Column
from datapipe.transform.project import Project, merged, yaml_file
from datapipe.transform.project.yaml_file import Block, Items

# Beside a test's arguments, the older spelling of a project has its settings, too.
_TEST_SETTINGS = {
    "alias", "database", "enabled", "error_if", "fail_calc", "group", "limit", "meta", "schema",
    "severity", "store_failures", "store_failures_as", "tags", "warn_if", "where",
}  # fmt: skip


@dataclass(frozen=True)
class ModelProperties:
    """What YAML says of one model or seed."""

    name: str
    path: Path
    line: int
    description: str
    config: Mapping[str, Any]
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class SourceProperties:
    """What YAML says of one table of a source."""

    source_name: str
    name: str
    path: Path
    line: int
    schema: Any
    identifier: Any
    description: str
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class TestProperties:
    """One generic test as it is written under a model, a source or a column of theirs."""

    __test__ = False  # the name begins like a test class

    test: str
    name: str
    of: str
    source: tuple[str, str] | None
    path: Path
    line: int
    arguments: Mapping[str, Any]
    config: Mapping[str, Any]


@dataclass
class Properties:
    """What all the YAML files of a project say together."""

    models: dict[str, ModelProperties] = field(default_factory=dict)
    seeds: dict[str, ModelProperties] = field(default_factory=dict)
    sources: list[SourceProperties] = field(default_factory=list)
    tests: list[TestProperties] = field(default_factory=list)
    singular_tests: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def read_all(project: Project) -> Properties:
    """Read every YAML file under the paths for models, seeds and tests."""
    properties = Properties()
    paths = [
        path
        for folder in ("model-paths", "seed-paths", "test-paths")
        for path, _ in project.files(folder, ".yml", ".yaml")
    ]
    for path in dict.fromkeys(paths):  # two kinds of paths may name one folder
        _read(path, properties)
    return properties


def _read(path: Path, properties: Properties) -> None:
    file = yaml_file.read(path)
    for model in yaml_file.blocks(file.get("models"), path, file.line_of("models"), "models"):
        if "versions" in model:
            raise ProjectError(
                "Versions of models are not supported yet.",
                path=path,
                line=model.line_of("versions"),
            )
        _read_model(model, "model", properties.models, path)
        properties.tests += _tests_of(model, model["name"], None, path)
    for seed in yaml_file.blocks(file.get("seeds"), path, file.line_of("seeds"), "seeds"):
        _read_model(seed, "seed", properties.seeds, path)
        properties.tests += _tests_of(seed, seed["name"], None, path)
    for source in yaml_file.blocks(file.get("sources"), path, file.line_of("sources"), "sources"):
        _read_source(source, path, properties)
    for key in ("data_tests", "tests"):
        for test in yaml_file.blocks(file.get(key), path, file.line_of(key), key):
            properties.singular_tests[test["name"]] = _config(test, path)


def _read_model(block: Block, kind: str, known: dict[str, ModelProperties], path: Path) -> None:
    name = block["name"]
    other = known.get(name)
    if other is not None:
        raise ProjectError(
            f"The {kind} {name} is described twice: also in {other.path}, line {other.line}.",
            path=path,
            line=block.line,
            model=name,
        )
    known[name] = ModelProperties(
        name=name,
        path=path,
        line=block.line,
        description=_text(block.get("description")),
        config=_config(block, path),
        columns=_columns(block, path),
    )


def _read_source(source: Block, path: Path, properties: Properties) -> None:
    source_name = source["name"]
    if _config(source, path).get("enabled", True) is False:
        return
    lines = source.line_of("tables")
    for table in yaml_file.blocks(source.get("tables"), path, lines, "tables"):
        if _config(table, path).get("enabled", True) is False:
            continue
        name = table["name"]
        properties.sources.append(
            SourceProperties(
                source_name=source_name,
                name=name,
                path=path,
                line=table.line,
                schema=source.get("schema", source_name),
                identifier=table.get("identifier", name),
                description=_text(table.get("description")),
                columns=_columns(table, path),
            )
        )
        properties.tests += _tests_of(table, f"{source_name}.{name}", (source_name, name), path)


def _columns(block: Block, path: Path) -> dict[str, Column]:
    columns = {}
    for column in _column_blocks(block, path):
        data_type = column.get("data_type")
        columns[column["name"]] = Column(
            column["name"],
            _text(column.get("description")),
            None if data_type is None else str(data_type),
        )
    return columns


def _column_blocks(block: Block, path: Path) -> list[Block]:
    return yaml_file.blocks(block.get("columns"), path, block.line_of("columns"), "columns")


def _tests_of(
    block: Block, of: str, source: tuple[str, str] | None, path: Path
) -> Iterator[TestProperties]:
    for line, item in _test_items(block, path):
        yield _test(item, of, None, source, path, line)
    for column in _column_blocks(block, path):
        name = column["name"]
        written = f'"{name}"' if column.get("quote") else name
        for line, item in _test_items(column, path):
            yield _test(item, of, written, source, path, line)


def _test_items(block: Block, path: Path) -> Iterator[tuple[int, Any]]:
    for key in ("data_tests", "tests"):
        items = block.get(key)
        if items is None:
            continue
        if not isinstance(items, Items):
            raise ProjectError(f"{key} must be a list.", path=path, line=block.line_of(key))
        yield from zip(items.lines, items, strict=True)


def _test(
    item: Any,
    of: str,
    column: str | None,
    source: tuple[str, str] | None,
    path: Path,
    line: int,
) -> TestProperties:
    test, body = _named(item, path, line)
    settings = {key: body[key] for key in body if key in _TEST_SETTINGS}
    arguments = {
        key: value
        for key, value in body.items()
        if key not in _TEST_SETTINGS and key not in {"arguments", "config", "name", "description"}
    }
    arguments |= body.get("arguments") or {}
    if column is not None:
        arguments["column_name"] = column
    of_name = of if source is None else "_".join(source)
    prefix = test.replace(".", "_") if source is None else f"source_{test.replace('.', '_')}"
    return TestProperties(
        test=test,
        name=str(body.get("name") or _test_name(prefix, of_name, arguments)),
        of=of,
        source=source,
        path=path,
        line=line,
        arguments=arguments,
        config=merged(settings, body.get("config") or {}),
    )


def _named(item: Any, path: Path, line: int) -> tuple[str, Mapping[str, Any]]:
    """The test's name and what is set for it, in any of dbt's three spellings."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Block) and isinstance(item.get("test_name"), str):
        return item["test_name"], {key: item[key] for key in item if key != "test_name"}
    if isinstance(item, Block) and len(item) == 1:
        ((name, body),) = item.items()
        if body is None or isinstance(body, dict):
            return name, body or {}
    raise ProjectError(
        "A test is a name, or one name with a mapping of its arguments. Check the indentation.",
        path=path,
        line=line,
    )


def _test_name(test: str, of: str, arguments: Mapping[str, Any]) -> str:
    """The name that dbt gives a test which has none of its own."""
    parts: list[str] = []
    for key in sorted(arguments):
        value = arguments[key]
        values = (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, list)
            else [value]
        )
        parts += [re.sub("[^0-9a-zA-Z_]+", "_", str(each)) for each in values]
    return f"{test}_{of}_{'__'.join(parts)}"


def _config(block: Block, path: Path) -> dict[str, Any]:
    config = block.get("config") or {}
    if not isinstance(config, dict):
        raise ProjectError("config must be a mapping.", path=path, line=block.line_of("config"))
    outside = {key: block[key] for key in ("meta", "tags", "enabled", "docs") if key in block}
    return merged(outside, config)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
