"""Reads YAML text, and says where it is wrong. Importing this takes longer than most files do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from datapipe.errors import ProjectError
from datapipe.transform.project.blocks import Block, File, Items
from datapipe.transform.snippet import snippet

try:  # about eight times as fast, where PyYAML was built with libyaml
    from yaml import CSafeLoader as _SafeLoader
except ImportError:
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]  # of one shape


class _Loader(_SafeLoader):
    repeated: list[tuple[int, str]]


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Block:
    own = len(node.value)
    if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
        loader.flatten_mapping(node)
        own = 0  # what stands here and what was merged cannot be told apart any more
    block = Block()
    block.line = node.start_mark.line + 1
    lines = block.lines = {}
    construct = loader.construct_object
    for key_node, value_node in node.value:
        key = construct(key_node, deep=True)
        if own and key in lines:
            loader.repeated.append((key_node.start_mark.line + 1, str(key)))
        try:
            block[key] = construct(value_node, deep=True)
        except TypeError:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                "a key is text or a number, not a list or a mapping",
                key_node.start_mark,
            ) from None
        lines[key] = key_node.start_mark.line + 1
    return block


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> Items:
    construct = loader.construct_object
    items = Items([construct(child, deep=True) for child in node.value])
    items.line = node.start_mark.line + 1
    items.lines = [child.start_mark.line + 1 for child in node.value]
    return items


def _timestamp(loader: _Loader, node: yaml.ScalarNode) -> Any:
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError as error:  # a date that is none
        raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _sequence)


def parse(text: str, path: Path) -> File:
    """The mapping that ``text``, of the file at ``path``, holds; an empty one for an empty file."""
    loader: Any = None
    try:
        loader = _Loader(text)
        loader.repeated = []
        found = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = _line(error, text)
        mark = error.problem_mark
        column = mark.column if mark is not None and mark.line + 1 == line else None
        said = _explained(error, text, line) + snippet(path, line, column=column)
        raise ProjectError(said, path=path, line=line) from None
    except (yaml.YAMLError, ValueError) as error:
        position = getattr(error, "position", None)
        line = None if position is None else text.count("\n", 0, position) + 1
        raise ProjectError(f"This is not valid YAML: {error}.", path=path, line=line) from None
    finally:
        if loader is not None:
            loader.dispose()
    if found is None:
        found = Block()
        found.lines = {}
    if not isinstance(found, Block):
        raise ProjectError("The file must hold a mapping of keys to values.", path=path, line=1)
    file = File(found)
    file.lines, file.line, file.repeated = found.lines, found.line, loader.repeated
    return file


def _line(error: yaml.MarkedYAMLError, text: str) -> int | None:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return None
    quote = _quote_left_open(text, mark.line)
    if quote is not None:
        return quote
    opened = error.context_mark
    if opened is not None and "could not find expected ':'" in str(error.problem):
        return opened.line + 1
    if opened is not None and _is_left_open(error, opened.line, mark.line, text):
        return opened.line + 1
    if "mapping values are not allowed" in str(error.problem) and mark.line > 0:
        before, here = (each.strip() for each in text.splitlines()[mark.line - 1 : mark.line + 1])
        has_key = before.startswith("#") or ": " in before or before.endswith(":")
        if before and not has_key and not here.startswith("-"):
            return mark.line  # that line lacks its colon: only then this one makes no sense
    return mark.line + 1


def _quote_left_open(text: str, stopped: int) -> int | None:
    """The line of a quote that was left open, so that a quote on the line ``stopped`` closes it.

    What was meant to stand within that second quote then stands outside, where it makes no sense.
    """
    opens: int | None = None
    try:
        for token in yaml.scan(text, Loader=_SafeLoader):
            if isinstance(token, yaml.ScalarToken) and token.style in {"'", '"'}:
                spans = token.end_mark.line > token.start_mark.line
                if spans and token.end_mark.line == stopped and "\n" not in token.value:
                    opens = token.start_mark.line + 1
    except yaml.YAMLError:
        pass
    return opens


def _is_left_open(error: yaml.MarkedYAMLError, opened: int, stopped: int, text: str) -> bool:
    """Whether a quote or a bracket of the line ``opened`` is not closed, to judge by the lines.

    A list of several lines that lacks a comma is another thing: it goes on indented.
    """
    if "quoted scalar" in str(error.context):
        return stopped > opened
    lines = text.split("\n")
    if "flow" not in str(error.context) or stopped <= opened:
        return False
    after = lines[stopped] if stopped < len(lines) else ""
    return len(after) - len(after.lstrip()) <= len(lines[opened]) - len(lines[opened].lstrip())


def _explained(error: yaml.MarkedYAMLError, text: str, line: int | None) -> str:
    lines = text.splitlines()
    written = lines[line - 1] if line is not None and line <= len(lines) else ""
    said = f"This is not valid YAML: {error.problem or error.context}."
    if error.problem_mark is not None and _quote_left_open(text, error.problem_mark.line) == line:
        return "Is the quote that opens here ever closed?"
    if "\t" in written[: len(written) - len(written.lstrip())]:
        said += " Indent with spaces, not with tabs."
    elif "{{" in written or "{%" in written:
        said += ' Put quotes round what is Jinja: "{{ ... }}".'
    elif "mapping values are not allowed" in said:
        said += " Check the indentation and the colons; put quotes round text that has a colon."
    return said
