"""Sources as YAML declares them: tables that a project reads and does not build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.database.relation import PARTS, Relation
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.configs import Configs, Layer
from datapipe.transform.manifest.docs import Docs
from datapipe.transform.manifest.nodes import Source, SourceKey
from datapipe.transform.manifest.properties import column_blocks, columns_of, text
from datapipe.transform.manifest.written_tests import WrittenTest, tests_under
from datapipe.transform.manifest.yaml_keys import TABLE_KEYS, near_keys, refuse_other_types
from datapipe.transform.project.blocks import Block, named_blocks

_FRESHNESS = ("warn_after", "error_after", "filter")
_PERIODS = ("minute", "hour", "day")
# What YAML has of a source or of a table, and the ``config`` in it.
_Level = tuple[Block, Mapping[str, Any]]


@frozen
class Sources:
    """The sources of all packages, and the tests that are written under them."""

    found: list[Source] = field(default_factory=list)
    disabled: list[tuple[str, SourceKey]] = field(default_factory=list)
    tests: list[tuple[Source, WrittenTest]] = field(default_factory=list)


class Reader:
    """Reads the ``sources:`` of YAML files."""

    def __init__(self, renderer: Renderer, configs: Configs, docs: Docs) -> None:
        self.project = renderer.project
        self.renderer = renderer
        self.configs = configs
        self.docs = docs
        self.target = renderer.target
        self.sources = Sources()
        self._places: dict[tuple[str, str, str], tuple[Path, int]] = {}

    def read(
        self, package: str, blocks: list[tuple[Path, Block]], overrides: Mapping[Any, Block]
    ) -> None:
        """Add the sources that ``blocks`` declare; ``overrides`` are the root's, by package."""
        for path, block in blocks:
            if "overrides" in block:
                continue
            patch = overrides.get((package, block["name"]))
            for table in self._tables(block, path, package):
                self._add(*_patched(block, table, patch), path, package)

    def _tables(self, block: Block, path: Path, package: str) -> Iterator[Block]:
        for table in named_blocks(block.get("tables"), path, block.line_of("tables"), "tables"):
            if package == self.project.name:
                self.renderer.warnings += near_keys(table, TABLE_KEYS, path)
            yield table

    def _add(self, block: Block, table: Block, path: Path, package: str) -> None:
        source_name, name = str(block["name"]), str(table["name"])
        owner = self.project.package(package)
        file = owner.relative(path)
        place = (package, source_name, name)
        if place in self._places:
            other, line = self._places[place]
            raise ProjectError(
                f"There are two sources called {source_name}.{name}: the other is in {other}, "
                f"line {line}. Remove one of them.",
                path=path,
                line=table.line,
            )
        self._places[place] = path, table.line
        fqn = (package, *Path(owner.inside(path)).parts[:-1], source_name, name)
        for each in (block, table):
            refuse_other_types(each, path)
        settings = _settings(block, table, path)
        given = Layer(settings, path, table.line, table.lines)
        config, _ = self.configs.of("source", package, fqn, given)
        key = (source_name, name)
        columns = column_blocks(table, path)
        description, doc_blocks = self.docs.read(
            text(table.get("description")), package, path, table.line
        )
        source = Source(
            source_name=source_name,
            name=name,
            relation=self._relation(block, table, source_name),
            path=path,
            line=table.line,
            description=description,
            doc_blocks=doc_blocks,
            columns=self.docs.columns(
                columns_of(columns), package, path, {each["name"]: each.line for each in columns}
            ),
            config=config,
            package=package,
            file=file,
            fqn=fqn,
            key=key,
            source_meta={**(block.get("meta") or {}), **(_config(block, path).get("meta") or {})},
            loader=str(table.get("loader") or block.get("loader") or ""),
            external=table.get("external"),
            written=self.configs.as_written("source", package, fqn, given),
            source_description=self.docs.text(
                text(block.get("description")), package, path, block.line
            ),
        )
        written = tests_under((*columns, table), f"{source_name}_{name}", path, is_source=True)
        if not config["enabled"]:
            self.sources.disabled.append((package, key))
            list(written)  # a mistake in them is told all the same
            return
        self.sources.found.append(source)
        self.sources.tests.extend((source, test) for test in written)

    def _relation(self, block: Block, table: Block, source_name: str) -> Relation:
        quoting = {
            **(self.project.settings.get("quoting") or {}),
            **(block.get("quoting") or {}),
            **(table.get("quoting") or {}),
        }
        parts = {
            "database": str(block.get("database") or self.target["dbname"]),
            "schema": str(block.get("schema") or source_name),
            "identifier": str(table.get("identifier") or table["name"]),
        }
        return relation(quoting, **parts)


def relation(quoting: Mapping[str, Any], database: str, schema: str, identifier: str) -> Relation:
    """The relation of these names, quoted as ``quoting`` says; as with dbt it has no type."""
    quoted = tuple(quoting.get(part) is not False for part in PARTS)
    return Relation(database, schema, identifier, quoting=(quoted[0], quoted[1], quoted[2]))


def _patched(block: Block, table: Block, patch: Block | None) -> tuple[Block, Block]:
    """A package's source with what the root project overrides of it."""
    if patch is None:
        return block, table
    tables = {each["name"]: each for each in patch.get("tables") or () if isinstance(each, Block)}
    own = {key: value for key, value in patch.items() if key not in {"tables", "overrides"}}
    return _over(block, own), _over(table, tables.get(table["name"], {}))


def _over(base: Block, own: Mapping[str, Any]) -> Block:
    block = Block({**base, **own})
    block.line, block.lines = base.line, base.lines
    return block


def _settings(block: Block, table: Block, path: Path) -> dict[str, Any]:
    """The settings of source and table: the table's count, tags add up, meta merges."""
    levels = [(level, _config(level, path)) for level in (block, table)]
    given = [each for pair in levels for each in pair]
    settings = {key: value for _, config in levels for key, value in config.items()}
    for level in (table, block):
        if "enabled" in level:  # an older spelling
            settings.setdefault("enabled", level["enabled"])
    settings["meta"] = {
        key: value for each in given for key, value in (each.get("meta") or {}).items()
    }
    tags: dict[str, None] = {}
    for each in given:
        value = each.get("tags")
        tags |= dict.fromkeys(
            map(str, value if isinstance(value, list) else [value] if value else [])
        )
    settings["tags"] = sorted(tags)
    for key in ("loaded_at_field", "loaded_at_query"):
        settings.pop(key, None)
    settings |= _loaded_at(levels, path)
    settings.pop("freshness", None)
    freshness = _freshness(levels, path)
    if freshness != {}:
        settings["freshness"] = freshness
    return settings


def _config(block: Block, path: Path) -> Mapping[str, Any]:
    config = block.get("config") or {}
    if not isinstance(config, dict):
        raise ProjectError("config must be a mapping.", path=path, line=block.line_of("config"))
    return config


def _loaded_at(levels: Sequence[_Level], path: Path) -> dict[str, Any]:
    """What tells how fresh a table is: its own field or query, or else that of its source."""
    for level, settings in reversed(levels):
        both = {
            key: level[key] if level.get(key) is not None else settings.get(key)
            for key in ("loaded_at_field", "loaded_at_query")
        }
        if all(value is not None for value in both.values()):
            raise ProjectError(
                "loaded_at_field and loaded_at_query are two ways to say one thing: keep one.",
                path=path,
                line=level.line_of("loaded_at_query"),
            )
        set_here = any(value is not None for value in both.values())
        if set_here or "loaded_at_field" in level or "loaded_at_query" in level:
            return {key: value for key, value in both.items() if value is not None}
    return {}


def _freshness(levels: Sequence[_Level], path: Path) -> dict[str, Any] | None:
    """Thresholds of source and table, merged key by key; null switches them off."""
    found: dict[str, Any] | None = {}
    places = [(block, given) for block, config in levels for given in (block, config)]
    for level, given in places:
        if "freshness" not in given:
            continue
        own = given["freshness"]
        if own is None:
            found = None
            continue
        line = level.line_of("freshness", "config")
        if not isinstance(own, dict):
            raise ProjectError("freshness must be a mapping.", path=path, line=line)
        lines = getattr(own, "lines", {})
        for key, value in own.items():
            if key not in _FRESHNESS:
                raise ProjectError(
                    f"freshness has no {key}. It may have {', '.join(_FRESHNESS)}.",
                    path=path,
                    line=lines.get(key, line),
                )
            if key != "filter" and value is not None:
                _check_period(key, value, path, lines.get(key, line))
        before = found or {}
        found = {**before, **own}
        for key in ("warn_after", "error_after"):
            if key in own and own[key] is not None and before.get(key):
                found[key] = {**before[key], **own[key]}
    return found


def _check_period(key: str, value: Any, path: Path, line: int) -> None:
    if not isinstance(value, dict) or not {"count", "period"} >= value.keys():
        raise ProjectError(
            f"{key} is a mapping such as {{count: 1, period: day}}.", path=path, line=line
        )
    count = value.get("count", 0)
    is_number = isinstance(count, int | float) or (
        isinstance(count, str) and (count.strip().isdigit() or "{{" in count)
    )
    if not is_number:
        raise ProjectError(f"The count of {key} must be a number.", path=path, line=line)
    if value.get("period", "day") not in _PERIODS:
        raise ProjectError(
            f"The period of {key} must be one of {', '.join(_PERIODS)}, not {value.get('period')}.",
            path=path,
            line=line,
        )
