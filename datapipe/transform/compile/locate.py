"""What PostgreSQL says of compiled SQL, told in the words and lines of its template."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace

import psycopg
from psycopg.pq import TransactionStatus

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.compile import Compiled, Compiler, guess, lexer
from datapipe.transform.compile.columns import place_of_column
from datapipe.transform.compile.place import (
    Place,
    WrittenHook,
    composed_at,
    gap_at,
    gap_of_hook,
    hook_place,
    joined_at,
    template_place,
)
from datapipe.transform.jinja import meant, said
from datapipe.transform.jinja.database import QueryError
from datapipe.transform.jinja.gaps import Gap
from datapipe.transform.jinja.places import comment_left_open
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.manifest.written import below, place_of_setting
from datapipe.transform.snippet import snippet
from datapipe.warehouse.failures import failure

_WORD = re.compile(r"""'?([\w."]+)""")
_TOKEN = re.compile(
    r"""(?:"[^"\n]*"|[^\W\d][\w$]*)(?:\.(?:"[^"\n]*"|\w+))*|\d[\w.]*|'[^'\n]*'|[-+*/<>=~!@#%^&|:]+|\S"""
)
_OTHERS_AT_MOST = 3


def project_error(
    error: psycopg.Error,
    compiled: Compiled,
    sent_at: list[int],
    compiler: Compiler,
    connection: psycopg.Connection | None = None,
) -> DatapipeError:
    """The error to raise for what PostgreSQL said of a statement that holds ``compiled``.

    ``sent_at`` are the offsets at which the compiled SQL begins in what was sent. ``connection`` is
    asked for a near name of what PostgreSQL did not find.
    """
    node = compiled.node
    doing = f"building {node.name}" if isinstance(node, Model) else f"the test {node.name}"
    if not said.is_fault_of_sql(error):
        return failure(error, _doing(node))
    offset = _offset(error, sent_at, len(compiled.sql))
    at_end = offset is not None and offset >= len(compiled.sql.rstrip())
    message = said.message(error, doing, at_end=at_end)
    gap = None if offset is None else gap_at(compiler, compiled, offset)
    if gap is not None:
        return _of_gap(gap, message, node.name)
    if connection is not None:
        message += meant.near_name(error, connection, compiled.as_written)
    message += _to_be_loaded(error, compiler)
    about = ""
    # What stands round the SQL asks for its columns: one of them is there twice.
    twice = error.sqlstate == "42702"
    if offset is None and error.diag.statement_position is not None and not twice:
        place, more = _setting(error, node, compiler), ""
    elif offset is None:
        place, more = _guessed(error, compiled, compiler)
    else:
        about = _asked(error, compiled.sql, offset)
        # At a word that makes bad syntax it is seldom the word that is bad, but what is round it.
        word = about if error.sqlstate != "42601" else ""
        place, more = _pointed_at(error, compiled, compiler, offset, word)
        known = meant.columns(connection, compiled.as_written) if connection else []
        place, more = _before_it(error, place, more, word, known)
    return ProjectError(
        message
        + more
        + _through(place)
        + snippet(
            place.path,
            place.line,
            about=place.word or about,
            column=place.column,
            with_line_before="comma missing" in more
            or (offset is not None and _begins_its_line(error, compiled.sql, offset)),
        ),
        path=place.path,
        line=place.line,
        model=node.name,
    )


def _to_be_loaded(error: psycopg.Error, compiler: Compiler) -> str:
    """Where the table that is missing is told of, if it is one of a source: no run makes those."""
    if error.sqlstate != "42P01":
        return ""
    asked = (error.diag.message_primary or "").partition('"')[2].partition('"')[0]
    for source in compiler.manifest.sources.values():
        if asked == ".".join(source.relation.published):
            return (
                f" It is the table {source.name} of the source {source.source_name} "
                f"({source.path}:{source.line}), which has to be loaded before a run."
            )
    return ""


def query_error(
    error: QueryError, compiled: Compiled, compiler: Compiler, connection: psycopg.Connection
) -> DatapipeError:
    """What to raise for a statement of a template: it may hold ``compiled``, and that be wrong."""
    cause, start = error.__cause__, error.sql.find(compiled.sql)
    if start < 0 or not isinstance(cause, psycopg.Error):
        return error
    position, sent_at = cause.diag.statement_position, 0
    if position is not None:
        offset = start - 1 if error.offset is None else error.offset
        if not start <= offset < start + len(compiled.sql):
            return error
        sent_at = int(position) - 1 - (offset - start)
    return project_error(cause, compiled, [sent_at], compiler, connection)


def stray_error(error: psycopg.Error, model: Model, compiler: Compiler) -> DatapipeError:
    """The error to raise for what PostgreSQL said of statements that hold none of the model's SQL.

    They are made of its settings, and of what its query gave.
    """
    if not said.is_fault_of_sql(error):
        return failure(error, _doing(model))
    place = _setting(error, model, compiler)
    message = said.message(error, f"building {model.name}")
    shown = snippet(place.path, place.line)
    return ProjectError(message + shown, path=place.path, line=place.line, model=model.name)


def hook_error(
    error: psycopg.Error,
    doing: str,
    compiler: Compiler,
    hook: WrittenHook,
    statement: str,
    connection: psycopg.Connection,
    *,
    offset: int | None = None,
) -> ProjectError:
    """The error to raise for what PostgreSQL said of the ``statement`` that ``hook`` came to.

    ``offset`` is where it points, where it does not say so itself.
    """
    place, position, gap = hook.place, error.diag.statement_position, None
    offset = offset if position is None else int(position) - 1
    if offset is not None:
        # What the hook's template sends itself was sent once.
        failed = connection.info.transaction_status == TransactionStatus.INERROR
        once: AbstractContextManager[object] = (
            nullcontext() if failed else connection.transaction(force_rollback=True)
        )
        with suppress(DatapipeError, psycopg.Error), once:
            gap = gap_of_hook(compiler, hook, statement, offset)
            place = hook_place(compiler, hook, statement, offset)
    message = said.message(error, doing)
    if gap is not None:
        return _of_gap(gap, message, hook.model)
    message += meant.near_name(error, connection, statement) + _through(place)
    return ProjectError(message, path=place.path, line=place.line, model=hook.model)


def _of_gap(gap: Gap, message: str, model: str) -> ProjectError:
    """The error where PostgreSQL stumbles over nothing, which stands for a name nobody knows."""
    return ProjectError(
        f"{gap.message} {message}", path=gap.path, line=gap.line, model=model, about=gap.name
    )


def _doing(node: Model | DataTest) -> str:
    """What is done, for an error that is not the SQL's fault, which has no place of its own."""
    what = "building" if isinstance(node, Model) else "the test"
    return f"{what} {node.name} ({node.path})"


def _pointed_at(
    error: psycopg.Error, compiled: Compiled, compiler: Compiler, offset: int, word: str
) -> tuple[Place, str]:
    """The place of ``offset``, or of what is wrong before it; and what to say of that."""
    if error.sqlstate == "42601":
        case = lexer.case_as_name(compiled.sql, offset)
        offset = offset if case is None else case
        before = _wrong_before(error, compiled, offset)
        if before is not None:
            return _place(compiler, compiled, before[0]), before[1]
        bracket = lexer.bracket_left_open(compiled.sql, offset)
        if bracket is None:
            return _place(compiler, compiled, offset), _about_commas(compiled, compiler, offset)
        opens, here = (_place(compiler, compiled, at) for at in (bracket, offset))
        if opens.path != here.path:  # a macro closes what it opens
            return opens, " Is the bracket that opens here ever closed?"
        which = "one of this line" if opens.line == here.line else f"the last opens at {opens}"
        return here, f" A bracket is not closed: {which}."
    more = ""
    if error.sqlstate == "42P01" and "FROM-clause" in (error.diag.message_primary or ""):
        join = lexer.join_misspelt(compiled.sql)
        if join is not None:
            return _place(compiler, compiled, join[0]), f" Did you mean {join[1]}?"
    if error.sqlstate == "42702" and "ORDER BY" in (error.diag.message_primary or ""):
        given = guess.likely_offsets(error, compiled.sql)
        if given:
            more = f" It is asked for at {_place(compiler, compiled, offset)}, and given twice."
            return _place(compiler, compiled, given[0]), more
    if error.sqlstate == "42803" and "GROUP BY" in (error.diag.message_primary or ""):
        aggregate = lexer.aggregate_beside(compiled.sql, offset)
        if aggregate is not None:
            at = _place(compiler, compiled, aggregate)
            more = f" The aggregate at {at} makes groups of the rows."
    if error.sqlstate in {"42804", "22P02"}:
        beside = lexer.else_beside(compiled.sql, offset)
        if beside is not None:
            more = f" A CASE is of the type of its ELSE at {_place(compiler, compiled, beside)}."
    return _place(compiler, compiled, offset, word), more


def _before_it(
    error: psycopg.Error, place: Place, more: str, word: str, known: list[str]
) -> tuple[Place, str]:
    """``place`` and ``more``, or what stands elsewhere in the templates and led to that."""
    own = place.called or place
    if error.sqlstate == "42703" and place.through is None:
        line = joined_at(own.path, word)
        if line is not None:
            return Place(own.path, line, place), " Is a comma missing between two texts here?"
        line = composed_at(own.path, word, known)
        if line is not None and (own.path, line) != (place.path, place.line):
            return Place(own.path, line, place), more
    if error.sqlstate == "42601" and place.line is not None:
        line = comment_left_open(place.path, place.line)
        if line is not None:
            return Place(place.path, line), " Is the comment that opens here ever closed?"
    return place, more


def _wrong_before(error: psycopg.Error, compiled: Compiled, offset: int) -> tuple[int, str] | None:
    """Where that is for sure over which PostgreSQL stumbled at ``offset``, and what to say."""
    sql = compiled.sql
    not_sql = lexer.not_sql(sql, offset)
    if not_sql is not None:
        return not_sql
    quote = lexer.quote_left_open(sql, offset)
    if quote is not None:
        return quote, " Is the quote that opens here ever closed?"
    if (error.diag.message_primary or "").startswith("unterminated"):  # a comment
        return offset, ""
    no_as = lexer.as_missing(sql, offset)
    if no_as is not None:
        return no_as, " Is AS missing before the bracket?"
    many = lexer.bracket_too_many(sql, offset)
    if many is not None:
        return many, " This bracket closes none that is open."
    case = lexer.case_left_open(sql, offset)
    if case is not None:
        return offset, " Is END missing, which ends a CASE?"
    if sql.startswith(";", offset):
        return offset, " A template is one query, and ends without a semicolon."
    misspelt = lexer.misspelt(sql, offset)
    return None if misspelt is None else (misspelt[0], f" Did you mean {misspelt[1]}?")


def _about_commas(compiled: Compiled, compiler: Compiler, offset: int) -> str:
    """What to ask of a comma or a bracket before ``offset``, or of a comma that there is not."""
    many = lexer.bracket_before(compiled.sql, offset)
    if many is not None:
        return f" Is the bracket that closes at {_place(compiler, compiled, many)} one too many?"
    comma = lexer.comma_too_much(compiled.sql, offset)
    if comma is not None:
        return f" Is the comma at {_place(compiler, compiled, comma)} one too many?"
    comma = lexer.comma_missing(compiled.sql, offset)
    if comma is not None:
        return f" Is a comma missing at the end of {_place(compiler, compiled, comma)}?"
    return ""


def _guessed(error: psycopg.Error, compiled: Compiled, compiler: Compiler) -> tuple[Place, str]:
    """Where an error lies that came up among the rows, and how sure that is."""
    node = compiled.node
    for each in (compiled, *_views(node, compiler)):
        offsets = guess.likely_offsets(error, each.sql)
        if not offsets:
            continue
        # What a test is about is often an argument of it, in YAML.
        word = next(iter(guess.names(error)), "") if isinstance(node, DataTest) else ""
        places = [_place(compiler, each, at, word) for at in offsets[: 1 + _OTHERS_AT_MOST]]
        of = "" if each is compiled else f" in {each.node.name}, which {node.name} reads"
        others = dict.fromkeys(str(place) for place in places if str(place) != str(places[0]))
        more = f" PostgreSQL does not say where; it is likely here{of}"
        more += f"{', or at ' if others else ''}{', or at '.join(others)}."
        return replace(places[0], word="", column=None), more  # nothing to mark for certain
    return _setting(error, node, compiler), ""


def _setting(error: psycopg.Error, node: Model | DataTest, compiler: Compiler) -> Place:
    """The setting that has what the message names: settings make up what is round the SQL."""
    if isinstance(node, Model):
        for column in guess.columns_of_type(error, node.columns):
            path, line = place_of_setting(node, f"name: {column}", "data_type")
            if line is not None:
                return Place(path, line)
    for name in guess.names(error):
        if isinstance(node, Model):
            path, line = node.path, None
            if error.sqlstate == "42804":  # what the query gives is not what is there
                path, line = place_of_column(node, name)
            if line is None:
                path, line = place_of_setting(node, name, project=compiler.manifest.project)
        else:
            path, line = node.path, below(node.path, node.line, name)
        if line is not None:
            return Place(path, line)
    if isinstance(node, DataTest):
        return Place(node.path, node.line)
    # What a snapshot has beside its query compares that.
    compares = node.resource_type == "snapshot" and (error.sqlstate or "")[:2] == "42"
    return Place(*place_of_setting(node, "updated_at")) if compares else Place(node.path, None)


def _views(node: Model | DataTest, compiler: Compiler) -> Iterator[Compiled]:
    """The views that ``node`` reads, itself or through others, the nearest first."""
    models = compiler.manifest.models
    waiting, seen = list(node.refs), set(node.refs)
    while waiting:
        model = models[waiting.pop(0)]
        if model.materialized not in {"view", "ephemeral"}:
            continue
        if model.materialized == "view":
            with suppress(DatapipeError):
                yield compiler.model(model)
        waiting += [key for key in model.refs if key not in seen]
        seen.update(model.refs)


def _place(compiler: Compiler, compiled: Compiled, offset: int, word: str = "") -> Place:
    node, inside = compiled.origin(offset)
    token = _TOKEN.match(compiled.sql, offset)
    place = template_place(compiler, node, inside, word, token[0] if token else "")
    if isinstance(node, DataTest) and (place.path != node.path or place.line == node.line):
        setting = _setting_of(node, compiled.sql, offset)
        line = below(node.path, node.line, setting) if setting else None
        if line is not None:
            return Place(node.path, line, place if place.path != node.path else None)
    return place


def _setting_of(test: DataTest, sql: str, offset: int) -> str:
    """The argument of a test, or its ``where``, that is SQL and stands at ``offset``."""
    for name, value in {**test.arguments, "where": test.config.get("where")}.items():
        if isinstance(value, str) and re.search(r"\W", value):
            at = sql.find(value)
            if 0 <= at <= offset <= at + len(value):
                return name
    return ""


def _through(place: Place) -> str:
    """Where a word came into the SQL that is written elsewhere, or would have come."""
    if place.without:
        return f" {place.without}"
    if place.through:
        return f" It came into the SQL at {place.through}."
    return f" It was called at {place.called}." if place.called else ""


def _asked(error: psycopg.Error, sql: str, offset: int) -> str:
    """The word that PostgreSQL points at; of a column, only its own name."""
    found = _WORD.match(sql, offset)
    word = found[1].strip('".') if found else ""
    return word.rpartition(".")[2].strip('"') if error.sqlstate == "42703" else word


def _begins_its_line(error: psycopg.Error, sql: str, offset: int) -> bool:
    """Whether the line before is to be seen, too: a comma may be missing there, or be too much."""
    return error.sqlstate == "42601" and not sql[sql.rfind("\n", 0, offset) + 1 : offset].strip()


def _offset(error: psycopg.Error, sent_at: list[int], length: int) -> int | None:
    """Where in the compiled SQL PostgreSQL points; None if it points nowhere in it.

    Behind its end something in it was left open, unless what stands there is wrong by itself.
    """
    if error.diag.statement_position is None:
        return None
    position = int(error.diag.statement_position) - 1
    before = [start for start in sent_at if start <= position]
    if not before or (position - before[-1] > length and error.sqlstate != "42601"):
        return None
    return position - before[-1]
