"""Runs ``pre_hook`` and ``post_hook``: statements of the user's around the building of a model.

``this`` is the relation as it is being built, aside, even where a hook spells its published name;
so nobody sees what a hook does before all is published. A pre_hook that names it finds what is
published there: a copy, as it may change it.

An increment stands aside as a view. What a post_hook does to the surroundings of its table (GRANT,
COMMENT, CREATE INDEX, ANALYZE, VACUUM) is done to the published table with the publication. Any
other statement that no view takes is given a copy of the whole table, with the increment in it, and
that is swapped.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg

from datapipe.errors import DatapipeError, ProjectError
from datapipe.transform.build import foreign_keys, hook_names, rows_of_others, views_of_hooks
from datapipe.transform.build.built import Built
from datapipe.transform.build.site import Site
from datapipe.transform.build.written_hooks import (
    Hook,
    Setting,
    as_statement,
    code_of,
    of,
    place_of,
)
from datapipe.transform.compile import Compiler
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.quoting import statements
from datapipe.transform.database.relation import Relation
from datapipe.transform.database.statements import execute
from datapipe.transform.jinja import scope
from datapipe.warehouse.failures import class_of, failure

_SURROUNDINGS = (
    r"(?i)\s*(?:(grant|revoke|comment|analyze|analyse|vacuum|reindex"
    r"|create\s+(unique\s+)?index|(drop|alter)\s+index)\b"
    r"|alter\s+table\s+(if\s+exists\s+)?(only\s+)?\S+\s+((re)?set\s*\(|owner\s+to\b"
    r"|alter\s+(column\s+)?\S+\s+(set|drop)\s+(default|statistics|storage|compression)\b))"
)
_OF_TABLES_ONLY = r"(?i)\s*drop\s+(trigger|policy|rule)\b"  # on a view it does nothing
_OF_INDEX = r"(?i)\s*(drop|alter)\s+index\b"
_KEPT = (
    r"(?i)\bcreate\s[^;]*\b(view|function|procedure|trigger|policy|rule)\b"  # kept as it is written
)
_OWNED = r"(?is)\s*(?P<sequence>alter\s+sequence\s[^;]*?)\sowned\s+by\s[^;]*\Z"
_KEY = r"(?i)\breferences\b"
_ALONE = r"(?i)\s*(vacuum|(create\s+(unique\s+)?|drop\s+)index\s+concurrently)\b"
# "is a view", "cannot delete from view", and not supported for views
_NOT_FOR_VIEWS = {"42809", "55000", "0A000"}


class Hooks:
    """The hooks of one model, run around its building at ``site``.

    A materialization of the user's runs them itself; then there are none here.
    """

    def __init__(self, site: Site, *, run_by_materialization: bool) -> None:
        self.site = site
        self.before = () if run_by_materialization else of(site.model, "pre_hook")
        self.after = () if run_by_materialization else of(site.model, "post_hook")
        self._rendered: list[str] = []
        self._on_indexes: list[str] = []  # pre_hooks that wait for the table to stand aside

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    def told(self) -> list[str]:
        """What was sent up to the end of the transaction, and what is to be sent after it."""
        return [*self._rendered, *(hook.text for hook in self.after if not hook.in_transaction)]

    def run_before(self, *, in_transaction: bool) -> None:
        """Run the pre_hooks that belong inside, or outside, of the transaction."""
        site = self.site
        for hook in self.before:
            with scope.sending(self._sent_before):
                text = self._text(hook) if hook.in_transaction is in_transaction else ""
            if not text:
                continue
            if not site.copied and definitions.mentions(text, site.aside.standing):
                self._show_what_is_published()
            if self._is_of_index(text) and site.published is not None and not site.copied:
                self._on_indexes.append(text)
                continue
            self._send(text, hook, "pre_hook")

    def make_room(self) -> None:
        """Remove what the pre_hooks were shown, unless the build goes on with it."""
        site = self.site
        if site.copied and site.published is None:
            there = catalog.states(site.connection, [site.aside.standing])
            for state in there.values():
                execute(site.connection, f"DROP {catalog.KINDS[state.kind]} {state.local}")
            site.copied = False

    def run_after(self, built: Built, *, in_transaction: bool) -> Built:
        """Run the post_hooks that do; gives what then stands aside."""
        if self._on_indexes and built.increment is not None:
            first = (_aimed(built, text) for text in self._on_indexes)
            built = replace(built, increment=(*first, *built.increment))
        elif self._on_indexes and self.site.copied:
            execute(self.site.connection, "; ".join(self._on_indexes))
        self._on_indexes.clear()
        for hook in self.after:
            with scope.sending(self._sent_after):
                text = self._text(hook) if hook.in_transaction is in_transaction else ""
            if not text:
                continue
            if owned := re.match(_OWNED, text):
                # A sequence has to be in the schema of its table, and goes where that goes.
                execute(self.site.connection, f"{owned['sequence']} OWNED BY NONE")
                built = replace(built, afterwards=(*built.afterwards, _aimed(built, text)))
                continue
            is_about_it = definitions.mentions(text, built.aside.standing)
            if built.increment is None or not (is_about_it or self._is_of_index(text)):
                self._send(text, hook, "post_hook")
            elif all(re.match(_SURROUNDINGS, each) for each in statements(text)):
                built = _put_off(built, text, in_transaction=in_transaction)
            else:
                built = self._changed(built, text, hook)
        return built

    def _sent_before(self, statement: str) -> str:
        """What to send for a statement of a template when the model is not built yet."""
        site = self.site
        if not site.copied and definitions.mentions(statement, site.aside.standing):
            if rows_of_others.only_reads(statement):
                published = {site.aside.standing: site.model.relation.published_local}
                return definitions.renamed(statement, published)
            self._show_what_is_published()
        return rows_of_others.changing(site, statement)

    def _sent_after(self, statement: str) -> str:
        """What to send for a statement of a post_hook's template."""
        return rows_of_others.changing(self.site, views_of_hooks.made_aside(self.site, statement))

    def _show_what_is_published(self) -> None:
        """Put at the model's place a copy of the published table, or a view of what is no table."""
        from datapipe.transform.build import copies  # seldom needed

        site = self.site
        name = site.model.relation.published
        old = site.published or catalog.states(site.connection, [name]).get(name)
        if old is not None and old.kind == "r":
            copies.copy(site, old)
        elif old is not None:
            copies.show(site, old)
            site.copied = True

    def _changed(self, built: Built, text: str, hook: Hook) -> Built:
        """Send a statement to the view of an increment, or to a whole table if it needs one."""
        site = self.site
        try:
            with site.connection.transaction():
                self._execute(text)
        except psycopg.Error as error:
            if error.sqlstate not in _NOT_FOR_VIEWS or site.published is None:
                raise self._told(error, text, hook, "post_hook") from error
        else:
            if site.published is None or not re.match(_OF_TABLES_ONLY, text):
                return built
        from datapipe.transform.build import copies  # seldom needed

        execute(site.connection, f"DROP VIEW {built.aside.local}")
        copies.copy(site, site.published)
        aimed = {(site.published.schema, site.published.name): built.aside.local}
        published, there = site.published.schema, site.aside.standing[0]
        for statement in built.increment or ():
            renamed = definitions.renamed(statement, aimed)
            execute(site.connection, hook_names.indexes_from(renamed, published, there))
        text = self._text(hook)  # now it finds the keys and the indexes of the table
        if text:
            self._send(text, hook, "post_hook")
        return replace(built, increment=None)

    def _text(self, hook: Hook) -> str:
        site = self.site
        try:
            text = self._rendering(hook, site.compiler)
        except ProjectError as error:
            if error.path is None or error.line is not None:
                raise
            said = str(error).removeprefix(f"{error.path}: ")
            path, line = self._place(hook)
            raise ProjectError(said, path=path, line=line, model=site.model.name) from error
        text = as_statement(text)
        self._rendered.append(text)
        text = hook_names.aside(site, text, is_after=hook in self.after)
        text = site.compiler.with_names_aside(text)
        if not re.search(_KEPT, text):
            text = site.compiler.with_catalog(text)
        return rows_of_others.changing(site, text)

    def _rendering(self, hook: Hook, compiler: Compiler) -> str:
        site = self.site
        code = code_of(site.model, compiler, lambda: site.compiled)
        return compiler.text(
            site.model,
            hook.text,
            this=site.aside,
            where=partial(self._place, hook),
            compiled=code,
        )

    def _send(self, text: str, hook: Hook, setting: Setting) -> None:
        try:
            text = foreign_keys.without_dropped(self.site, text)
            if not re.search(_KEY, text):
                self._execute(text)
                return
            try:
                with self.site.connection.transaction():
                    self._execute(text)
            except psycopg.errors.WrongObjectType:  # what it refers to grows, and is a view now
                rest = foreign_keys.without_waiting(self.site, text)
                if rest is None:
                    raise
                self._execute(rest)
        except psycopg.Error as error:
            raise self._told(error, text, hook, setting) from error

    def _execute(self, text: str) -> None:
        """Send ``text``; bare names find what the run has, unless hooks set the search path."""
        connection = self.site.connection
        path = "" if re.match(_ALONE, text) else self.site.compiler.reading(text)
        if not path or any("search_path" in each.lower() for each in self._rendered):
            execute(connection, text)
            return
        with connection.transaction():
            execute(connection, path)
            execute(connection, text)
            execute(connection, "SET LOCAL search_path TO DEFAULT")

    def _is_of_index(self, text: str) -> bool:
        """Whether ``text`` begins by dropping or altering an index of the model."""
        schema = self.site.aside.standing[0]
        return bool(re.match(_OF_INDEX, text)) and hook_names.has_indexes_of(text, schema)

    def _told(self, error: psycopg.Error, text: str, hook: Hook, setting: Setting) -> DatapipeError:
        model = self.site.model
        is_of_state = error.sqlstate == "55000"  # of what the hook names, and not of the server
        if class_of(error) in {"", "08", "40", "53", "55", "57", "58"} and not is_of_state:
            return failure(error, f"the {setting} of {model.name}")
        from datapipe.transform.compile.locate import WrittenHook, hook_error  # seldom needed

        def rendered(compiler: Compiler) -> str:
            return self._rendering(hook, compiler)

        written = WrittenHook(hook.text, *self._place(hook), rendered, model.name)
        doing = f"the {setting} of {model.name}"
        return hook_error(error, doing, self.site.compiler, written, text, self.site.connection)

    def _place(self, hook: Hook) -> tuple[Path, int | None]:
        site = self.site
        setting: Setting = "pre_hook" if hook in self.before else "post_hook"
        return place_of(hook, setting, site.model, site.compiler)


def _put_off(built: Built, text: str, *, in_transaction: bool) -> Built:
    """The same increment with one more statement, to be sent when the table is published."""
    aimed = _aimed(built, text)
    if in_transaction and not re.match(_ALONE, text):
        return replace(built, increment=(*(built.increment or ()), aimed))
    return replace(built, afterwards=(*built.afterwards, aimed))


def _aimed(built: Built, text: str) -> str:
    """``text`` for the published table."""
    table: Relation = built.model.relation
    text = definitions.renamed(text, {built.aside.standing: table.published_local})
    return hook_names.indexes_from(text, built.aside.standing[0], table.published[0])
