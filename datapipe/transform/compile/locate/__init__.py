"""What PostgreSQL says of compiled SQL, told in the words and lines of its template."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress

import psycopg
from psycopg.errors import AmbiguousColumn, UndefinedTable
from psycopg.pq import TransactionStatus

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.compile.locate import pointed, unpointed
from datapipe.transform.compile.locate.cause import Cause
from datapipe.transform.compile.locate.hook import WrittenHook, gap_of_hook, hook_place
from datapipe.transform.compile.locate.place import TemplatePlace, gap_at
from datapipe.transform.jinja import meant, said
from datapipe.transform.jinja.database import QueryError
from datapipe.transform.jinja.gaps import Gap
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.snippet import snippet
from datapipe.warehouse.failures import failure

__all__ = ["WrittenHook", "hook_error", "project_error", "query_error", "stray_error"]


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
    if not said.is_fault_of_sql(error):
        return failure(error, f"{_doing(node)} ({node.path})")
    offset = pointed.offset_in(error, sent_at, len(compiled.sql))
    at_end = offset is not None and offset >= len(compiled.sql.rstrip())
    message = said.message(error, _doing(node), at_end=at_end)
    gap = None if offset is None else gap_at(compiler, compiled, offset)
    if gap is not None:
        return _of_gap(gap, message, node.name)
    if connection is not None:
        message += meant.near_name(error, connection, compiled.as_written)
    message += _to_be_loaded(error, compiler)
    cause = _cause(error, compiled, offset, compiler, connection)
    place = cause.place
    shown = snippet(
        place.path,
        place.line,
        about=place.word or cause.about,
        column=place.column,
        with_line_before=cause.with_line_before,
    )
    return ProjectError(
        message + cause.more + _through(place) + shown,
        path=place.path,
        line=place.line,
        model=node.name,
    )


def _cause(
    error: psycopg.Error,
    compiled: Compiled,
    offset: int | None,
    compiler: Compiler,
    connection: psycopg.Connection | None,
) -> Cause:
    if offset is not None:
        known = meant.columns(connection, compiled.as_written) if connection else []
        return pointed.cause(error, compiled, compiler, offset, known)
    # What stands round the SQL is at fault, unless it asks for a column of the SQL that is there
    # twice.
    is_round = error.diag.statement_position is not None
    if is_round and not isinstance(error, AmbiguousColumn):
        return Cause(unpointed.setting(error, compiled.node, compiler))
    return unpointed.cause(error, compiled, compiler)


def _to_be_loaded(error: psycopg.Error, compiler: Compiler) -> str:
    """Where the table that is missing is told of, if it is one of a source: no run makes those."""
    if not isinstance(error, UndefinedTable):
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
    """The error to raise for a statement that a template sent.

    It is ``error`` itself, unless the statement holds ``compiled`` and that is what is wrong.
    """
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
        return failure(error, f"{_doing(model)} ({model.path})")
    place = unpointed.setting(error, model, compiler)
    message = said.message(error, _doing(model))
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
    what = "building" if isinstance(node, Model) else "the test"
    return f"{what} {node.name}"


def _through(place: TemplatePlace) -> str:
    """Where a word came into the SQL that is written elsewhere, or would have come."""
    if place.without:
        return f" {place.without}"
    if place.through:
        return f" It came into the SQL at {place.through}."
    return f" It was called at {place.called}." if place.called else ""
