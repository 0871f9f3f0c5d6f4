"""Finds the lines on which settings of a model are written, for errors when it is built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from datapipe.transform.manifest.nodes import Model
from datapipe.transform.project import Project
from datapipe.transform.source_text import text_of


def place_of_setting(
    model: Model, *words: str, project: Project | None = None
) -> tuple[Path, int | None]:
    """The file and the line of the last of ``words``, each searched below the one before.

    Searched are the model's own file, the YAML that describes it, and the tree of settings of
    ``project``. The line is None if the first word stands in none of them.
    """
    for path, first, lines in _texts(model, project):
        number = _line(lines, words)
        if number is not None:
            return path, first + number
    return model.path, None


def place_of_item(
    model: Model, setting: str, key: str, number: int, project: Project | None = None
) -> tuple[Path, int | None]:
    """The place of ``key`` in the ``number``-th mapping, from 0, that ``setting`` lists."""
    for path, first, lines in _texts(model, project):
        start = _line(lines, (setting,))
        if start is None:
            continue
        pattern = re.compile(rf"(?<![\w-]){re.escape(key)}(?!\w)")
        found = [n for n in range(start, len(lines)) for _ in pattern.finditer(lines[n])]
        return path, first + (found[number] if number < len(found) else start)
    return model.path, None


def column_above(path: Path, line: int, name: str) -> int | None:
    """The line at or above ``line`` of a YAML file on which the column ``name`` begins."""
    lines = text_of(path).split("\n")[:line]
    pattern = re.compile(rf"\bname:\s*[\"']?{re.escape(name)}[\"']?\s*(?:#|,|\}}|$)")
    return next((n for n in range(len(lines), 0, -1) if pattern.search(lines[n - 1])), None)


def below(path: Path, line: int, *words: str) -> int | None:
    """The line of the last of ``words``, among ``line`` and the lines indented below it."""
    number = _line(_indented(path, line), words)
    return None if number is None else line + number


def first_line(text: str) -> str:
    """The first line of ``text`` that is not empty, without the spaces round it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def written_in(paths: Iterable[Path], text: str) -> tuple[Path, int] | None:
    """The first of ``paths`` whose file has the first line of ``text``, and the number of it."""
    first = first_line(text)
    for path in paths:
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if first and first in line:
                return path, number
    return None


def _texts(model: Model, project: Project | None) -> Iterator[tuple[Path, int, Sequence[str]]]:
    """Texts that may hold settings of ``model``: the file, the first line, and the lines."""
    if model.described_at is None or model.described_at[0] != model.path:
        yield model.path, 1, model.raw_code.split("\n")
    if model.described_at is not None:
        path, line = model.described_at
        yield path, line, _indented(path, line)
    if project is not None:
        levels = [block for _, block in project.config_for(f"{model.resource_type}s", model.fqn)]
        for block in reversed(levels):
            yield project.path, block.line, _indented(project.path, block.line)


def _indented(path: Path, line: int) -> list[str]:
    """A line of a file and what is indented below it, or beside it after a ``-``."""
    lines = text_of(path).split("\n")[line - 1 :]
    least = _indentation(lines[0].replace("-", " ", 1)) if lines else 0
    end = 1
    while end < len(lines) and (not lines[end].strip() or _indentation(lines[end]) >= least):
        end += 1
    return lines[:end]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _line(lines: Sequence[str], words: Sequence[str]) -> int | None:
    """Which of ``lines`` has the last of ``words`` found, each searched below the one before."""
    at: int | None = None
    for word in filter(None, words):
        spelt = re.escape(word).replace("_", "[-_]")
        pattern = re.compile(rf"(?<![\w-]){spelt}(?!\w)" if word[0].isalnum() else spelt, re.I)
        found = (n for n in range(at or 0, len(lines)) if pattern.search(lines[n]))
        number = next(found, None)
        if number is None:
            break
        at = number
    return at
