"""What PostgreSQL says of compiled SQL, told in the words and lines of its template."""

from __future__ import annotations

import bisect
import difflib
from dataclasses import dataclass
from pathlib import Path

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.compile import Compiled, Compiler, marked_again
from datapipe.transform.jinja.templates import MARK, Marked
from datapipe.transform.manifest.nodes import DataTest, Model
from datapipe.warehouse.failures import failure

_MARKED: tuple[Marked, ...] = ("all", "body")

# The classes of SQLSTATE that are no fault of the SQL: the connection, other transactions, the
# server and its resources.
_NOT_OURS = {"08", "25", "40", "53", "54", "55", "57", "58", "XX"}


def project_error(
    error: psycopg.Error, compiled: Compiled, sent_at: list[int], compiler: Compiler
) -> DatapipeError:
    """The error to raise for what PostgreSQL said of a statement that holds ``compiled``.

    ``sent_at`` are the offsets at which the compiled SQL begins in what was sent.
    """
    node = compiled.node
    doing = f"building {node.name}" if isinstance(node, Model) else f"the test {node.name}"
    state = error.sqlstate or ""
    if not state or state[:2] in _NOT_OURS or state == "42501":
        return failure(error, doing)
    offset = _offset(error, compiled, sent_at)
    path, line, snippet = node.path, None, ""
    if offset is not None:
        path, line = template_place(compiler, *compiled.origin(offset))
        snippet = _snippet(path, line)
    elif isinstance(node, DataTest):
        line = node.line
    message = _message(error, doing)
    return ProjectError(message + snippet, path=path, line=line, model=node.name)


def with_near_name(
    error: DatapipeError, cause: psycopg.Error, connection: psycopg.Connection, compiled: Compiled
) -> DatapipeError:
    """``error`` with the near name of what PostgreSQL did not find, if there is one."""
    if not isinstance(error, ProjectError):
        return error
    if cause.diag.message_hint and cause.sqlstate != "42883":  # PostgreSQL has a better one
        return error
    said = cause.diag.message_primary or ""
    asked = said.partition('"')[2].partition('"')[0] if '"' in said else ""
    if cause.sqlstate == "42703":
        asked = asked or said.removeprefix("column ").partition(" ")[0].rpartition(".")[2]
        known = _columns(connection, compiled)
    elif cause.sqlstate == "42P01":
        asked, known = asked.rpartition(".")[2], _relations(connection)
    elif cause.sqlstate == "42883":
        asked = said.removeprefix("function ").partition("(")[0].rpartition(".")[2]
        known = _functions(connection)
    else:
        return error
    near = difflib.get_close_matches(asked, known, n=1, cutoff=0.6)
    if not near or near[0] == asked:
        return error
    first, newline, rest = str(error.args[0]).partition("\n")
    error.args = (f"{first} Did you mean {near[0]}?{newline}{rest}",)
    return error


def template_place(
    compiler: Compiler, node: Model | DataTest, offset: int
) -> tuple[Path, int | None]:
    """The file and line of the template that wrote what stands at ``offset`` of its rendering."""
    plain, _ = compiler.rendered(node)
    for marked in _MARKED:
        text, files = marked_again(compiler, node, marked)
        text, marks = _without_marks(text)
        at = offset
        if text != plain:
            # A mark may keep a trim from cutting spaces: count what is not space instead. Where
            # a template's logic looked at the marks, more than that is different.
            if "".join(text.split()) != "".join(plain.split()):
                continue
            at = _same_character(text, len("".join(plain[:offset].split())))
        found = bisect.bisect_right([mark.start for mark in marks], at) - 1
        if found >= 0:
            mark = marks[found]
            further = text.count("\n", mark.start, at) if mark.counts else 0
            return files[mark.file], mark.line + further
    return node.path, node.line if isinstance(node, DataTest) else None


@dataclass(frozen=True)
class _Mark:
    start: int
    file: int
    line: int
    counts: bool


def _without_marks(marked: str) -> tuple[str, list[_Mark]]:
    """The text without its marks, and where they were."""
    pieces, marks = [], []
    end = length = 0
    for found in MARK.finditer(marked):
        pieces.append(marked[end : found.start()])
        length += found.start() - end
        end = found.end()
        marks.append(_Mark(length, int(found[1]), int(found[2]), found[3] == "c"))
    pieces.append(marked[end:])
    return "".join(pieces), marks


def _same_character(text: str, count: int) -> int:
    """The offset of the character of ``text`` that has ``count`` others but spaces before it."""
    for offset, character in enumerate(text):
        if not character.isspace():
            if count == 0:
                return offset
            count -= 1
    return len(text)


def _offset(error: psycopg.Error, compiled: Compiled, sent_at: list[int]) -> int | None:
    """Where in the compiled SQL PostgreSQL points; None if it points nowhere."""
    if error.diag.statement_position is None:
        return None
    position = int(error.diag.statement_position) - 1
    length = len(compiled.sql)
    before = [start for start in sent_at if start <= position]
    if not before:
        return 0
    # Behind its end, something in it was left open: its last line is the best there is to say.
    return min(position - before[-1], length)


def _message(error: psycopg.Error, doing: str) -> str:
    diag = error.diag
    said = diag.message_primary or str(error).strip()
    parts = [f"PostgreSQL stopped {doing}: {said}", diag.message_detail, diag.message_hint]
    return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts if part)


def _snippet(path: Path, line: int | None) -> str:
    if line is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").splitlines()[line - 1]
    except (OSError, IndexError):
        return ""
    return f"\n  {line} | {text}"


def _names(connection: psycopg.Connection, query: str, *values: object) -> list[str]:
    return [str(row[0]) for row in connection.execute(query, values or None)]


def _columns(connection: psycopg.Connection, compiled: Compiled) -> list[str]:
    """The columns of the relations whose names stand in the SQL."""
    return _names(
        connection,
        """
        SELECT DISTINCT a.attname
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
          AND n.nspname NOT IN ('pg_catalog', 'information_schema')
          AND strpos(%s, c.relname) > 0
        """,
        compiled.sql,
    )


def _relations(connection: psycopg.Connection) -> list[str]:
    return _names(
        connection,
        """
        SELECT DISTINCT c.relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
          AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        """,
    )


def _functions(connection: psycopg.Connection) -> list[str]:
    return _names(
        connection, "SELECT DISTINCT proname FROM pg_proc WHERE prokind IN ('f', 'a', 'w')"
    )
