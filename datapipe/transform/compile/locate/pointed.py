"""Where an error lies when PostgreSQL points at a place in the SQL.

It points at where it stumbled. What is wrong may stand before that, as a quote that nobody closed
does, or elsewhere in the template.
"""

from __future__ import annotations

import re
from dataclasses import replace

import psycopg
from psycopg.errors import (
    AmbiguousColumn,
    DatatypeMismatch,
    GroupingError,
    InvalidTextRepresentation,
    UndefinedColumn,
    UndefinedTable,
)
from psycopg.errors import SyntaxError as BadSyntax

from datapipe.transform.compile import Compiled, Compiler, guess
from datapipe.transform.compile.locate import mistakes
from datapipe.transform.compile.locate.cause import Cause
from datapipe.transform.compile.locate.place import TemplatePlace, sql_place
from datapipe.transform.compile.locate.template_text import line_of_part, line_without_comma
from datapipe.transform.jinja.places import comment_left_open

_WORD = re.compile(r"""'?([\w."]+)""")


def offset_in(error: psycopg.Error, sent_at: list[int], length: int) -> int | None:
    """Where in the compiled SQL PostgreSQL points; None if it points nowhere in it.

    Behind its end something in it was left open, unless what stands there is wrong by itself.
    """
    if error.diag.statement_position is None:
        return None
    position = int(error.diag.statement_position) - 1
    before = [start for start in sent_at if start <= position]
    if not before or (position - before[-1] > length and not isinstance(error, BadSyntax)):
        return None
    return position - before[-1]


def cause(
    error: psycopg.Error, compiled: Compiled, compiler: Compiler, offset: int, known: list[str]
) -> Cause:
    """What led to the error that PostgreSQL has at ``offset`` of the compiled SQL.

    ``known`` are the columns that the SQL could name.
    """
    pointed = _Pointed(error, compiled, compiler, offset)
    found = _of_syntax(pointed) if isinstance(error, BadSyntax) else _of_meaning(pointed)
    found = _elsewhere_in_template(error, found, pointed.word, known)
    # A comma may be missing before the first word of a line, or be too much there.
    begins_its_line = isinstance(error, BadSyntax) and pointed.begins_its_line
    return replace(
        found,
        about=pointed.word,
        with_line_before=found.with_line_before or begins_its_line,
    )


class _Pointed:
    """A place in compiled SQL at which PostgreSQL points."""

    def __init__(
        self, error: psycopg.Error, compiled: Compiled, compiler: Compiler, offset: int
    ) -> None:
        self.error = error
        self.said = error.diag.message_primary or ""
        self.compiled = compiled
        self.compiler = compiler
        self.sql = compiled.sql
        self.offset = offset

    @property
    def word(self) -> str:
        """What stands there; of a column, only its own name."""
        found = _WORD.match(self.sql, self.offset)
        word = found[1].strip('".') if found else ""
        if isinstance(self.error, UndefinedColumn):
            return word.rpartition(".")[2].strip('"')
        return word

    @property
    def begins_its_line(self) -> bool:
        return not self.sql[self.sql.rfind("\n", 0, self.offset) + 1 : self.offset].strip()

    def place(self, offset: int, word: str = "") -> TemplatePlace:
        """The place in a template of what stands at ``offset`` of the SQL."""
        return sql_place(self.compiler, self.compiled, offset, word)


def _of_syntax(pointed: _Pointed) -> Cause:
    """What is round a word that makes bad syntax: it is seldom the word itself that is bad."""
    as_name = mistakes.case_as_name(pointed.sql, pointed.offset)
    if as_name is not None:
        pointed = _Pointed(pointed.error, pointed.compiled, pointed.compiler, as_name)
    sql, offset = pointed.sql, pointed.offset
    before = _certainly_before(pointed)
    if before is not None:
        return Cause(pointed.place(before[0]), before[1])
    bracket = mistakes.bracket_left_open(sql, offset)
    if bracket is None:
        return _of_commas(pointed)
    opens, here = pointed.place(bracket), pointed.place(offset)
    if opens.path != here.path:  # a macro closes what it opens
        return Cause(opens, " Is the bracket that opens here ever closed?")
    which = "one of this line" if opens.line == here.line else f"the last opens at {opens}"
    return Cause(here, f" A bracket is not closed: {which}.")


def _certainly_before(pointed: _Pointed) -> tuple[int, str] | None:
    """Where that is for sure over which PostgreSQL stumbled, and what to say."""
    sql, offset = pointed.sql, pointed.offset
    not_sql = mistakes.not_sql(sql, offset)
    if not_sql is not None:
        return not_sql
    quote = mistakes.quote_left_open(sql, offset)
    if quote is not None:
        return quote, " Is the quote that opens here ever closed?"
    if pointed.said.startswith("unterminated"):  # a comment
        return offset, ""
    no_as = mistakes.as_missing(sql, offset)
    if no_as is not None:
        return no_as, " Is AS missing before the bracket?"
    many = mistakes.bracket_too_many(sql, offset)
    if many is not None:
        return many, " No bracket is open that this one could close."
    case = mistakes.case_left_open(sql, offset)
    if case is not None:
        is_one = pointed.place(case).path == pointed.place(offset).path  # a macro ends its own
        return offset if is_one else case, " Is END missing, which ends a CASE?"
    if sql.startswith(";", offset):
        return offset, " A template is one query: leave out the semicolon."
    misspelt = mistakes.misspelt(sql, offset)
    return None if misspelt is None else (misspelt[0], f" Did you mean {misspelt[1]}?")


def _of_commas(pointed: _Pointed) -> Cause:
    """What to ask of a comma or a bracket that stands before, or of a comma that there is not."""
    sql, offset = pointed.sql, pointed.offset
    here = pointed.place(offset)
    many = mistakes.bracket_before(sql, offset)
    if many is not None:
        return Cause(here, f" Is the bracket that closes at {pointed.place(many)} one too many?")
    comma = mistakes.comma_too_much(sql, offset)
    if comma is not None:
        return Cause(here, f" Is the comma at {pointed.place(comma)} one too many?")
    comma = mistakes.comma_missing(sql, offset)
    if comma is not None:
        asked = f" Is a comma missing at the end of {pointed.place(comma)}?"
        return Cause(here, asked, with_line_before=True)
    return Cause(here)


def _of_meaning(pointed: _Pointed) -> Cause:
    """What is wrong with SQL that PostgreSQL could read."""
    error, sql, offset, word = pointed.error, pointed.sql, pointed.offset, pointed.word
    more = ""
    if isinstance(error, UndefinedTable) and "FROM-clause" in pointed.said:
        join = mistakes.join_misspelt(sql)
        if join is not None:
            return Cause(pointed.place(join[0]), f" Did you mean {join[1]}?")
    if isinstance(error, AmbiguousColumn) and "ORDER BY" in pointed.said:
        given = guess.likely_offsets(error, sql)
        if given:
            more = f" The name is used at {pointed.place(offset)}, and given twice."
            return Cause(pointed.place(given[0]), more)
    if isinstance(error, GroupingError) and "GROUP BY" in pointed.said:
        aggregate = mistakes.aggregate_beside(sql, offset)
        if aggregate is not None:
            more = f" The aggregate at {pointed.place(aggregate)} makes groups of the rows."
    if isinstance(error, DatatypeMismatch | InvalidTextRepresentation):
        beside = mistakes.else_beside(sql, offset)
        if beside is not None:
            more = f" A CASE is of the type of its ELSE at {pointed.place(beside)}."
    return Cause(pointed.place(offset, word), more)


def _elsewhere_in_template(
    error: psycopg.Error, found: Cause, word: str, known: list[str]
) -> Cause:
    """``found``, or what stands elsewhere in the templates and led to that."""
    place = found.place
    own = place.called or place
    if isinstance(error, UndefinedColumn) and place.through is None:
        line = line_without_comma(own.path, word)
        if line is not None:
            asked = " Is a comma missing between two texts here?"
            return Cause(TemplatePlace(own.path, line, place), asked, with_line_before=True)
        line = line_of_part(own.path, word, known)
        if line is not None and (own.path, line) != (place.path, place.line):
            return replace(found, place=TemplatePlace(own.path, line, place))
    if isinstance(error, BadSyntax) and place.line is not None:
        line = comment_left_open(place.path, place.line)
        if line is not None:
            asked = " Is the comment that opens here ever closed?"
            return Cause(TemplatePlace(place.path, line), asked)
    return found
