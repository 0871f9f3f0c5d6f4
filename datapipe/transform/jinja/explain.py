"""Whatever a template raises, told as a mistake in its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.jinja import blocks, places, wording
from datapipe.transform.jinja.places import Place

_WRITTEN = r"^'(\w+)' is undefined$|takes no keyword argument '(\w+)'"
_NAMED = r"^'(\w+)' is undefined$|takes no keyword argument '(\w+)'|has no attribute '(\w+)'$"
_AT = (
    r"^(?:Encountered unknown tag|No filter named|No test named|unexpected) '([^']+)'"
    r"|, got '((?!(?:string|integer|float)\b)[^' ]+)'$"
)
_UNKNOWN_TAG = r"Encountered unknown tag 'end(\w+)'"
# A text of several lines in a tag, and what ends a tag.
_TEXT = r"""(?x)
    \{[{%] [^'"{}]*? (?: (?:'[^'\n]*' | "[^"\n]*") [^'"{}]*? )*
    ( '[^']*\n[^']*' | "[^"]*\n[^"]*" )
"""
_END_OF_TAG = r"[%}]\}"
# Of a column, only its own name.
_NAME = r'(?:"?\w+"?\.)*+"?(\w+)'

# What templates call of our own: a mistake in how they call it is theirs.
_CALLED = {
    *("adapter.py", "columns.py", "constraints.py", "context.py", "database.py", "exceptions.py"),
    *("functions.py", "modules.py", "relation.py", "tables.py"),
}


@contextmanager
def explained(
    variables: Mapping[str, Any], model: str, path: Path, line: int | None = None
) -> Iterator[None]:
    """Turn what a template raises into a ProjectError that names the file and the line.

    ``path`` and ``line`` are told where the error comes from outside of any template.
    """
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        message, at, at_line = _syntax_error(error, path, line)
        about = _named(_AT, error.message) if at_line == error.lineno else ""
        raise ProjectError(message, path=at, line=at_line, model=model, about=about) from None
    except ProjectError as error:
        if error.path is not None:
            error.model = error.model or model
            raise
        given = _given(error)
        at, at_line = (given and given[0]) or _place_of(error) or (path, line)
        more, about = _called_for(model, at, path, line, error), error.about
        if given:
            more, about = f" It came into the SQL at {given[1][0]}:{given[1][1]}.", given[2]
        message = f"{wording.ended(str(error))}{more}" if more else str(error)
        # The same error, as it may carry more than its message.
        ProjectError.__init__(error, message, path=at, line=at_line, model=model, about=about)
        raise
    except DatapipeError:
        raise
    except Exception as error:
        if _is_bug(error) and not isinstance(error, RecursionError):
            raise
        at, at_line = places.innermost_of(error) or (path, line)
        written = re.search(_WRITTEN, str(error))
        if written and at_line is not None:
            at_line = places.line_with(written[1] or written[2], (at, at_line)) or at_line
        message = wording.of_rendering(error, variables, at, at_line or 0)
        comment = places.comment_left_open(at, at_line or 0)
        if comment is not None and isinstance(error, jinja2.UndefinedError):
            message += f" Is the comment that opens at {at}:{comment} ever closed?"
            at_line = comment
        message += _called_for(model, at, path, line, error)
        about = _named(_NAMED, str(error)) if comment is None else ""
        raise ProjectError(message, path=at, line=at_line, model=model, about=about) from error


def _named(pattern: str, message: str | None) -> str:
    """The word of a message that stands in the line which it is about; empty if there is none."""
    found = re.search(pattern, message or "")
    return next(filter(None, found.groups()), "") if found else ""


def _place_of(error: ProjectError) -> Place | None:
    """The line of a template that is wrong; of a query, the line that PostgreSQL points at."""
    written = getattr(error, "written", "")
    return (written and places.written_at(written, error)) or places.innermost_of(error)


def _given(error: ProjectError) -> tuple[Place, Place, str] | None:
    """Where a macro was given the name that its query asks for in vain, and where that is sent."""
    sql, offset = getattr(error, "sql", ""), getattr(error, "offset", None)
    name = re.match(_NAME, sql[offset:]) if offset is not None else None
    sent = places.innermost_of(error)
    if name is None or sent is None or getattr(error.__cause__, "sqlstate", "") != "42703":
        return None
    if places.written_at(getattr(error, "written", ""), error):  # there it is no argument
        return None
    at = places.given_at(name[1], error)
    return None if at is None or at[0] == sent[0] else (at, sent, name[1])


def _syntax_error(
    error: jinja2.TemplateSyntaxError, path: Path, line: int | None
) -> tuple[str, Path, int | None]:
    """The message and the place of it; for a block that is never closed, where that begins."""
    message = error.message or "This is not valid Jinja"
    filename = error.filename or error.name
    if not filename or filename in {"<unknown>", "<template>"}:
        return wording.of_syntax(message), path, line
    at, at_line = Path(filename), error.lineno
    ends = re.match(_UNKNOWN_TAG, message)
    if error.source is not None and (ends or message.startswith("Unexpected end of template")):
        lines = error.source.split("\n")
        blocks_ = blocks.opened("\n".join(lines[: at_line - 1]) if ends else error.source)
        outer = {tag for tag, _ in blocks_[:-1]}
        if blocks_ and (not ends or ends[1] in outer):
            tag, at_line = blocks_[-1]
            message = f"This {{% {tag} %}} is never closed: {{% end{tag} %}} is missing"
    elif error.source is not None and message.startswith("expected token"):
        quote = _quote_left_open(error.source, at_line)
        if quote is not None:
            return "Is the quote that opens here ever closed?", at, quote
        if "'end of" in message:
            at_line = _left_open(error.source, at_line)
    return wording.of_syntax(message), at, at_line


def _left_open(source: str, line: int) -> int:
    """The line of a tag that begins before ``line`` and is still open there, or else ``line``."""
    before = "\n".join(source.split("\n")[: line - 1])
    for begin, end in (("{{", "}}"), ("{%", "%}")):
        start = before.rfind(begin)
        if start > before.rfind(end):
            return before.count("\n", 0, start) + 1
    return line


def _quote_left_open(source: str, line: int) -> int | None:
    """The line of a quote that was left open, so that the text it begins ends only on ``line``.

    Such a text has swallowed the end of its tag, or it ends where a word follows at once, which
    never happens otherwise.
    """
    for text in re.finditer(_TEXT, source):
        ends = source.count("\n", 0, text.end()) + 1
        swallowed = re.search(_END_OF_TAG, text[1].partition("\n")[0])
        if ends == line and (swallowed or source[text.end() : text.end() + 1].isalnum()):
            return source.count("\n", 0, text.start(1)) + 1
    return None


def _is_bug(error: BaseException) -> bool:
    """Whether ``error`` comes from code of ours that templates do not call."""
    trace = error.__traceback__
    last = Path()
    while trace is not None:
        last = Path(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    ours = Path(__file__).parents[1] in last.parents
    return ours and last.suffix == ".py" and last.name not in _CALLED


def _called_for(model: str, at: Path, path: Path, line: int | None, error: BaseException) -> str:
    """The node for which the template at ``at`` was called, and where; empty if it is its own."""
    if at == path:
        return ""
    line = next((line for each, line in places.passed(error) if each == path), line)
    called = f"{f' for {model}' if model else ''}{f' at {path}:{line}' if line else ''}"
    return f" It was called{called}." if called else ""
