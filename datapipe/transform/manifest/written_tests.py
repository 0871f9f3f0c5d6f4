"""Generic tests as they are written in YAML, and the names that dbt gives them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.database.relation import LONGEST_NAME
from datapipe.transform.manifest.properties import text
from datapipe.transform.project import merged
from datapipe.transform.project.blocks import Block, Items

# In the older spelling, these settings stand among the arguments of a test.
_SETTINGS = (
    "severity", "tags", "enabled", "where", "limit", "warn_if", "error_if", "fail_calc",
    "store_failures", "store_failures_as", "meta", "database", "schema", "alias",
)  # fmt: skip
_NAME = re.compile(r"(?:(?P<package>[A-Za-z_]\w*)\.)?(?P<test>[A-Za-z_]\w*)")


@frozen
class WrittenTest:
    """One generic test as it is written under a model, a source or a column.

    ``package`` stands before the dot of its name, if there is one. ``name`` is dbt's full name, and
    ``short_name`` is cut to fit PostgreSQL.
    """

    test: str
    package: str
    name: str
    short_name: str
    path: Path
    line: int
    column: str | None
    arguments: Mapping[str, Any]
    config: Mapping[str, Any]
    lines: Mapping[str, int]
    description: str
    tags: tuple[str, ...]

    @property
    def written(self) -> str:
        return f"{self.package}.{self.test}" if self.package else self.test

    def unique_id(self, package: str, model: str) -> str:
        """dbt's id, which hashes the name and the arguments; ``model`` is as dbt writes it."""
        kwargs = {**self.arguments, "model": model}
        metadata = {"namespace": self.package or None, "name": self.test, "kwargs": kwargs}
        hashed = _md5(self.name + repr(_hashable(metadata)))[-10:]
        return f"test.{package}.{self.name}.{hashed}"


def tests_under(
    blocks: tuple[Block, ...], of: str, path: Path, *, is_source: bool
) -> Iterator[WrittenTest]:
    """The tests under each of ``blocks``: those are the columns and, last, the node itself."""
    quotes = bool(blocks[-1].get("quote_columns")) if blocks else False
    for number, block in enumerate(blocks):
        column: str | None = None
        tags: tuple[str, ...] = ()
        if number < len(blocks) - 1:
            column = str(block["name"])
            tags = _tags(block)
            if block.get("quote") or (block.get("quote") is None and quotes):
                column = '"' + column + '"'
        for line, item in _items(block, path):
            yield _written(item, of, column, tags, path, line, is_source=is_source)


def _tags(column: Block) -> tuple[str, ...]:
    given = [column.get("tags"), (column.get("config") or {}).get("tags")]
    return tuple(
        str(tag)
        for tags in given
        for tag in (tags if isinstance(tags, list) else [tags] if tags else [])
    )


def _items(block: Block, path: Path) -> Iterator[tuple[int, Any]]:
    if block.get("tests") and block.get("data_tests"):
        raise ProjectError(
            "tests and data_tests are one thing: write all of them under data_tests.",
            path=path,
            line=max(block.line_of("tests"), block.line_of("data_tests")),
        )
    for key in ("data_tests", "tests"):
        items = block.get(key)
        if items is None:
            continue
        if not isinstance(items, Items):
            raise ProjectError(f"{key} must be a list.", path=path, line=block.line_of(key))
        yield from zip(items.lines, items, strict=True)


def _written(
    item: Any,
    of: str,
    column: str | None,
    tags: tuple[str, ...],
    path: Path,
    line: int,
    *,
    is_source: bool,
) -> WrittenTest:
    given, body = _named(item, path, line)
    read = _NAME.fullmatch(given)
    if read is None:
        raise ProjectError(f"{given!r} is not the name of a test.", path=path, line=line)
    package, test = read["package"] or "", read["test"]
    settings = {key: body[key] for key in _SETTINGS if body.get(key) is not None}
    own = {"name", "description", "config", "arguments", *_SETTINGS}
    arguments = {key: value for key, value in body.items() if key not in own}
    nested = body.get("arguments") or {}
    config = body.get("config") or {}
    for key, value in (("arguments", nested), ("config", config)):
        if not isinstance(value, dict):
            raise ProjectError(
                f"{key} of a test must be a mapping.", path=path, line=_line(body, key, line)
            )
    arguments |= nested
    if "model" in arguments:
        raise ProjectError(
            "A test may not be given an argument model: that is what it tests. Take it out.",
            path=path,
            line=_line(body, "model", line),
        )
    if column is not None:
        arguments["column_name"] = column
    prefix = f"source_{test}" if is_source else test
    full = _name(f"{package}_{prefix}" if package else prefix, of, arguments)
    short = full
    if len(full) > LONGEST_NAME:
        short = f"{f'{package}_{prefix}_{of}' if package else f'{prefix}_{of}':.30}_{_md5(full)}"
    if body.get("name") is not None:
        full = short = str(body["name"])
    given_config = merged(settings, config)
    if short != full and "alias" not in given_config:
        given_config["alias"] = short
    return WrittenTest(
        test=test,
        package=package,
        name=full,
        short_name=short,
        path=path,
        line=line,
        column=column,
        arguments=arguments,
        config=given_config,
        lines={**getattr(body, "lines", {}), **getattr(config, "lines", {})},
        description=text(body.get("description")),
        tags=tags,
    )


def _line(body: Mapping[str, Any], key: str, line: int) -> int:
    return body.line_of(key) if isinstance(body, Block) else line


def _named(item: Any, path: Path, line: int) -> tuple[str, Mapping[str, Any]]:
    """The name of a test and its arguments, in any of dbt's three spellings."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Block) and isinstance(item.get("test_name"), str):
        body = Block({key: item[key] for key in item if key != "test_name"})
        body.line, body.lines = item.line, item.lines
        return item["test_name"], body
    if isinstance(item, Block) and len(item) == 1:
        ((name, body),) = item.items()
        if isinstance(name, str) and (body is None or isinstance(body, Block)):
            return name, body or {}
    raise ProjectError(
        "A test is a name, or one name with a mapping of its arguments. Check the indentation.",
        path=path,
        line=line,
    )


def _name(test: str, of: str, arguments: Mapping[str, Any]) -> str:
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


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hashable(value[key]) for key in sorted(value)}
    return [_hashable(each) for each in value] if isinstance(value, list) else str(value)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
