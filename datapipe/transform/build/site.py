"""Where one model is built, and all that every materialization needs for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.database.catalog import Name, RelationState
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.session_settings import leaves
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import place_of_item, place_of_setting
from datapipe.transform.project import Project

_OF_INDEX = frozenset({"columns", "unique", "type"})
_CONSTRAINTS = {
    "23502": "not_null",
    "23503": "foreign_key",
    "23505": "unique",
    "23514": "check",
}


class Site:
    """A model that is being built at ``aside``; ``published`` is its table if that grows."""

    def __init__(
        self,
        connection: psycopg.Connection,
        model: Model,
        compiler: Compiler,
        published: RelationState | None = None,
    ) -> None:
        self.connection = connection
        self.model = model
        self.compiler = compiler
        self.published = published
        self.aside: Relation = compiler.place(model)
        # Set where hooks or strategies of the user's work on a copy of the whole table.
        self.copied = False
        # Foreign keys, as ALTER TABLE takes them, that wait for what they refer to to be published.
        self.keys: list[str] = []
        # Statements that publish other models whose rows hooks have changed, by their keys.
        self.elsewhere: dict[str, tuple[str, ...]] = {}
        self.changed: set[str] = set()  # other models whose rows were changed, by unique id
        # Views that hooks make elsewhere, as they stand aside, by their published names.
        self.views: dict[Name, Relation] = {}
        self.batches: list[tuple[datetime, datetime]] = []  # that were built one by one
        self.leaves = False  # whether statements of the project may leave something in the session
        # What is asked with the last statements of a build, and what came back.
        self.question = ""
        self.answer: list[tuple[Any, ...]] = []

    @cached_property
    def compiled(self) -> Compiled:
        # A function may call itself, and a copy may differ from what is published.
        this = self.aside if self.model.is_function or self.copied else None
        return self.compiler.model(self.model, this=this)

    @cached_property
    def is_custom(self) -> bool:
        """Whether a materialization of the user's builds the model."""
        return self.compiler.materialization(self.model) is not None

    def statements(self, compiled: Compiled | None = None) -> Statements:
        """Statements to be sent together, after the model's ``sql_header``.

        ``compiled`` is the SQL that they will hold, if that is not the model's.
        """
        header = str(self.model.config.get("sql_header") or "")
        self.note(header)
        return Statements(self.compiler.reading((compiled or self.compiled).sql) + header)

    def send(self, statements: Statements) -> int | None:
        """Send the last statements of the build; gives how many rows they have inserted."""
        if self.question:
            statements.ask(self.question)
        rows = statements.execute(self.connection, self.compiled, self.compiler)
        self.answer = statements.answer
        return rows

    def note(self, statement: str) -> None:
        """Remember if ``statement``, which is the project's, may leave something in the session."""
        self.leaves = self.leaves or leaves(statement)

    def warn(self, message: str) -> None:
        self.compiler.renderer.warnings.append(message)

    def error(self, message: str, *words: str) -> ProjectError:
        """An error of the model, at the line of the setting that ``words`` lead to."""
        project = self.compiler.manifest.project
        path, line = place_of_setting(self.model, *words, project=project)
        return ProjectError(message, path=path, line=line, model=self.model.name)


class Stopped(Exception):
    """PostgreSQL refused statements with a model's SQL; ``told`` is for after the transaction."""

    def __init__(
        self, error: psycopg.Error, compiled: Compiled, sent_at: list[int], compiler: Compiler
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.compiled = compiled
        self.sent_at = sent_at
        self.compiler = compiler

    def told(self, connection: psycopg.Connection) -> DatapipeError:
        """The error to raise, with its place in the template and a near name."""
        from datapipe.transform.compile.locate import project_error  # seldom needed

        return project_error(self.error, self.compiled, self.sent_at, self.compiler, connection)


class Statements:
    """Statements that are sent together: one round trip, one transaction."""

    def __init__(self, header: str = "") -> None:
        self._texts: list[str] = []
        self._length = 0
        self._compiled_at: list[int] = []
        self._question = ""
        self.answer: list[tuple[Any, ...]] = []
        # What renders the text around the compiled SQL, if macros of the project do, and where.
        self.around: tuple[Callable[[Compiler], str], tuple[Path, int]] | None = None
        if header.strip():
            self.add(header.rstrip().rstrip(";"))

    def add(self, before: str, compiled: Compiled | None = None, after: str = ")") -> None:
        text = before
        if compiled is not None:
            self._compiled_at.append(self._length + len(before))
            text += f"{compiled.sql}\n{after}"
        self._texts.append(text + ";\n")
        self._length += len(text) + 2

    def add_table(self, create: str, table: str, compiled: Compiled, placed: str = "") -> None:
        """Create ``table`` with the rows of the query; they are inserted when it is ``placed``."""
        if not placed:
            self.add(f"{create} AS (\n", compiled)
            return
        self.add(f"{create} AS (\n", compiled, ") WITH NO DATA")
        self.add(placed)
        self.add(f"INSERT INTO {table} (\n", compiled)

    def ask(self, question: str) -> None:
        """Ask ``question`` after all else, in the same transaction."""
        self._question = question

    def execute(
        self, connection: psycopg.Connection, compiled: Compiled, compiler: Compiler
    ) -> int | None:
        """Send all of it; gives how many rows were inserted."""
        try:
            cursor = execute(connection, "".join([*self._texts, self._question]))
        except psycopg.Error as error:
            node = compiled.node
            if isinstance(node, Model) and not error.diag.statement_position:
                project = compiler.manifest.project
                if error.sqlstate == "23505" and not node.has_contract:
                    raise not_unique(error, node, project) from error
                if (error.sqlstate or "").startswith("23"):
                    raise forbidden(error, node, project) from error
            at = self._around_at(error, compiled)
            if self.around is not None and at is not None:
                # Seldom needed.
                from datapipe.transform.compile.locate import WrittenHook, hook_error

                rendered, place = self.around
                written = WrittenHook("", *place, rendered, node.name)
                text, doing = "".join(self._texts), f"building {node.name}"
                told = hook_error(error, doing, compiler, written, text, connection, offset=at)
                raise told from error
            sent_at = [] if self._is_in_another(error, compiled) else self._compiled_at
            raise Stopped(error, compiled, sent_at, compiler) from error
        rows, before = None, None
        while True:
            if (cursor.statusmessage or "").startswith(("INSERT", "SELECT")):
                rows, before = cursor.rowcount, rows
            if self._question and cursor.description:
                self.answer = cursor.fetchall()  # the last one is that of the question
            if not cursor.nextset():
                return before if self._question else rows

    def _is_in_another(self, error: psycopg.Error, compiled: Compiled) -> bool:
        """Whether PostgreSQL points at a statement that holds no SQL of the model, as an index."""
        from datapipe.transform.compile.locate.mistakes import quote_left_open  # seldom needed

        if not error.diag.statement_position or quote_left_open(compiled.sql, len(compiled.sql)):
            return False
        start, end = 0, 0
        for text in self._texts:
            start, end = end, end + len(text)
            if start < int(error.diag.statement_position) <= end:
                break
        return not any(start <= at < end for at in self._compiled_at)

    def _around_at(self, error: psycopg.Error, compiled: Compiled) -> int | None:
        """The offset that ``error`` points at, or names, in what stands around the compiled SQL."""
        text, spans = (
            "".join(self._texts),
            [(at, at + len(compiled.sql)) for at in self._compiled_at],
        )
        given = error.diag.statement_position
        names = re.findall(r'[^".]+(?=")', error.diag.message_primary or "")
        found = [int(given) - 1] if given else [text.rfind(name) for name in names]
        outside = [at for at in found if at >= 0 and not any(a <= at <= b for a, b in spans)]
        return outside[0] if spans and outside else None


def place(table: Relation, model: Model) -> str:
    """SQL that puts the empty ``table`` where it belongs: nothing, on a single server."""
    del table, model
    return ""


def indexes(model: Model) -> list[str]:
    """The indexes of ``model`` as SQL without names, with ``{}`` in place of the table."""
    found = []
    given = model.config.get("indexes") or []
    if not isinstance(given, list):
        given = [given]
    for index in given:
        columns = index.get("columns") if isinstance(index, Mapping) else None
        if isinstance(columns, str):
            columns = [columns]
        if not isinstance(columns, list) or not columns or not _OF_INDEX.issuperset(index):
            raise _bad_index(model, index)
        unique = "UNIQUE " if index.get("unique") else ""
        written = ", ".join(map(str, columns)).replace("{", "{{").replace("}", "}}")
        found.append(f"{unique}INDEX ON {{}} USING {index.get('type') or 'btree'} ({written})")
    return found


def not_unique(error: psycopg.Error, model: Model, project: Project) -> ProjectError:
    """The error for rows that a unique index of the model does not take."""
    key = (error.diag.message_detail or "").partition("(")[2].partition(")=")[0]
    columns = [column.strip() for column in key.split(",")]
    number = next((n for n, index in _unique(model) if index.get("columns") == columns), None)
    if number is None:
        path, line = place_of_setting(model, "indexes", "unique", project=project)
    else:
        path, line = place_of_item(model, "indexes", "columns", number, project)
    return ProjectError(
        f"The model {model.name} has rows that its unique index forbids: "
        f"{error.diag.message_detail or error.diag.message_primary} "
        "Nothing was published. Mend the model or the index under config().",
        path=path,
        line=line,
        model=model.name,
    )


def forbidden(error: psycopg.Error, model: Model, project: Project | None = None) -> ProjectError:
    """The error for rows that a constraint of the model does not take."""
    of_column = f"name: {error.diag.column_name}" if error.diag.column_name else ""
    is_key = (error.diag.constraint_name or "").endswith("_pkey")
    kind = "primary_key" if is_key else _CONSTRAINTS.get(error.sqlstate or "", "")
    path, line = place_of_setting(model, of_column, "constraints", kind, project=project)
    return ProjectError(
        f"The model {model.name} has rows that its constraints forbid: "
        f"{error.diag.message_primary}. {error.diag.message_detail or ''} "
        "Nothing was published. Mend the model, or its constraints in YAML.",
        path=path,
        line=line or 1,
        model=model.name,
    )


def _unique(model: Model) -> list[tuple[int, Mapping[str, Any]]]:
    """The unique indexes of the model, each with its number among all indexes."""
    given = model.config.get("indexes") or []
    found = enumerate(given if isinstance(given, list) else [given])
    return [(n, each) for n, each in found if isinstance(each, Mapping) and each.get("unique")]


def _bad_index(model: Model, index: Any) -> ProjectError:
    words = [str(key) for key in index] if isinstance(index, Mapping) else []
    wrong = [word for word in words if word not in _OF_INDEX] or words
    path, line = place_of_setting(model, "indexes", *wrong[:1])
    return ProjectError(
        f"An index is a mapping such as {{'columns': ['symbol'], 'unique': true}}, not {index!r}.",
        path=path,
        line=line,
        model=model.name,
        about="".join(wrong[:1]),
    )
