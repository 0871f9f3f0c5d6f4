"""What stands in the file of a template, looked up as text when something is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from datapipe.transform.source_text import text_of

_JOINED = re.compile(r"""(['"])(\w+)\1\s+(['"])(\w+)\3""")
# A block that is set is one with its text, which a macro may be given.
_TAG = re.compile(
    r"\{%[-+]?\s*set\s+\w+\s*[-+]?%\}.*?\{%[-+]?\s*endset\b|\{[{%].*?[}%]\}", re.DOTALL
)


def has_word(line: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", line) is not None


def lines_in_tags(path: Path, word: str) -> set[int]:
    """The lines of the file on which ``word`` stands within Jinja."""
    return {line for _, line in _in_tags(text_of(path), rf"\b{re.escape(word)}\b")}


def line_of_part(path: Path, name: str, known: Iterable[str]) -> int | None:
    """The line on which a part of ``name`` is written that makes it no name.

    A template may put names together from texts in its Jinja, such as the items of a list. One of
    them is wrong where another one in its place, or one much like it, gives a ``known`` name.
    """
    written = {found[1]: line for found, line in _in_tags(text_of(path), r"['\"](\w{2,})['\"]")}
    for part in filter(name.__contains__, written):
        before, _, after = name.partition(part)
        for each in known:
            other = each[len(before) : len(each) - len(after)]
            if each != f"{before}{other}{after}" or other.strip("_") == part.strip("_"):
                continue
            if other in written or difflib.SequenceMatcher(None, part, other).ratio() > 0.6:
                return written[part]
    return None


def line_without_comma(path: Path, word: str) -> int | None:
    """The line on which two texts in Jinja lack the comma between them, and so make ``word``."""
    joined = _in_tags(text_of(path), _JOINED)
    return next((line for found, line in joined if found[2] + found[4] in word), None)


def _in_tags(text: str, pattern: str | re.Pattern[str]) -> Iterator[tuple[re.Match[str], int]]:
    """What of the Jinja in ``text`` is like ``pattern``, each with its line."""
    for tag in _TAG.finditer(text):
        for found in re.finditer(pattern, tag[0]):
            yield found, text.count("\n", 0, tag.start() + found.start()) + 1
