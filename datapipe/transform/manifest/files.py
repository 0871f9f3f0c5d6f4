"""Blocks of which one file may hold several: snapshots and docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.frozen import frozen

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_RAW = re.compile(r"(\{%-?\s*raw\s*-?%\})(.*?)(\{%-?\s*endraw\s*-?%\})", re.DOTALL)


@frozen
class NamedBlock:
    """What stands between ``{% tag name %}`` and ``{% endtag %}``; ``line`` is the first one's."""

    name: str
    text: str
    line: int

    @property
    def padded(self) -> str:
        """The text after empty lines, so that its lines have the numbers they have in the file."""
        return "\n" * (self.line - 1) + self.text


def blocks_of(tag: str, source: str, path: Path, *, jinja: bool = True) -> Iterator[NamedBlock]:
    """The blocks ``{% tag name %}`` of ``source``; if it is ``jinja``, without those in comments.

    Raises ProjectError for a block that is not closed.
    """
    searched = source
    if jinja:
        for hidden in (_COMMENT, _RAW):
            searched = hidden.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), searched)
    # As dbt does, it passes over what else a tag says, such as the name again at the end.
    opening = re.compile(rf"\{{%[-+]?\s*{tag}\s+(?P<name>\w+)[^%]*%\}}")
    closing = re.compile(rf"\{{%[-+]?\s*end{tag}\b[^%]*%\}}")
    nameless = re.search(rf"\{{%[-+]?\s*{tag}\s*[-+]?%\}}", searched)
    if nameless is not None:
        raise ProjectError(
            f"This {tag} has no name: write {{% {tag} some_name %}}.",
            path=path,
            line=source.count("\n", 0, nameless.start()) + 1,
        )
    position = 0
    while (begin := opening.search(searched, position)) is not None:
        line = source.count("\n", 0, begin.start()) + 1
        end = closing.search(searched, begin.end())
        following = opening.search(searched, begin.end())
        if end is None or (following is not None and following.start() < end.start()):
            raise ProjectError(
                f"The {tag} {begin['name']} is not closed: write {{% end{tag} %}} after it.",
                path=path,
                line=line,
            )
        first = source.count("\n", 0, begin.end()) + 1
        yield NamedBlock(begin["name"], source[begin.end() : end.start()], first)
        position = end.end()
