"""Makes all that was built aside visible, in one short transaction.

Readers never see half of it, and never fail because of it. All locks are asked for at the
beginning, those of views before those of tables, as a reader takes them; and for less time than
PostgreSQL waits before it looks for a deadlock. If one is not to be had, all are given back and
asked for again after a pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import psycopg

from datapipe.transform.build import aside, rows_of_others
from datapipe.transform.build.built import Built
from datapipe.transform.compile import Compiler
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import KINDS, Name
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import analyzed, execute
from datapipe.transform.publish import (
    foreign_keys,
    functions,
    locks,
    planner,
    rebase,
    restore,
    views,
)
from datapipe.transform.publish.foreign_keys import Key
from datapipe.transform.publish.functions import Functions
from datapipe.transform.publish.plan import Plan, name_of, refused
from datapipe.warehouse.failures import class_of

# Of SQLSTATE, where rows are not to the liking of what has been made on their table.
_OF_ROWS = {"0A", "22", "23", "42", "55", "P0"}
_PAUSES = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class Publication:
    """The publication of one run; ``final`` compiles views as they will be published.

    ``record`` is called last in its transaction, so what it writes is committed together with what
    it is about. ``recorded_functions`` are those that the project has published before, by unique
    id.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        built: Sequence[Built],
        final: Compiler,
        *,
        record: Callable[[psycopg.Connection], None],
        recorded_functions: Mapping[str, str],
        wait_seconds: float,
        on_wait: Callable[[str], None],
    ) -> None:
        self.connection = connection
        # Hooks of several models may make one view.
        all_ = {(each.aside, each.function): each for of in built for each in (of, *of.also)}
        self.all = rows_of_others.applied(list(all_.values()))
        self.built = [each for each in self.all if not each.function]
        self.final = final
        self.record = record
        self.wait_seconds = wait_seconds
        self.on_wait = on_wait
        self.models = final.manifest.models.values()
        self.warnings: list[str] = []
        self.unfilled: list[Name] = []
        row = connection.execute(
            "SELECT current_user, extract(epoch FROM current_setting('deadlock_timeout')::interval)"
        ).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM gives a row
        self.user = str(row[0])
        self.patience_ms = min(500, max(1, int(float(row[1]) * 400)))
        self.recorded_functions = recorded_functions
        schemas = {each.model.relation.schema for each in self.all}
        self.views = {
            each.aside: aside.published(each.compiled, schemas)
            if each.compiled
            else final.model(each.model)
            for each in self.built
            if each.model.materialized == "view" and not each.moves
        }

    def publish(self) -> None:
        """Publish and commit, or raise with everything as it was.

        Raises PublishError where something that others have made would break, and WarehouseError
        where a lock was not to be had in ``wait_seconds``.
        """
        until = time.monotonic() + self.wait_seconds
        while True:
            with self.connection.transaction() as whole:
                seen = self._changes_seen()
                plan, of_functions = self._planned()
                if not plan.is_keyed:
                    self._fill(plan, of_functions)
                if not self._swapped(plan, of_functions, seen, until):
                    raise psycopg.Rollback(whole)
                break
        self._afterwards()

    def _changes_seen(self) -> str:
        """A text for all transactions that have ended: it stays the same until somebody commits."""
        row = self.connection.execute("SELECT pg_current_snapshot()::text").fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM gives a row
        return str(row[0])

    def _planned(self) -> tuple[Plan, Functions]:
        """What to do, as things stand now; views to be pointed at new functions are in the plan."""
        new = [each for each in self.all if each.function]
        old = functions.old(self.connection, new)
        plan = planner.make(self.connection, self.built, self.models, new, old)
        of_functions = functions.make(
            self.connection, new, plan, self.models, self.recorded_functions
        )
        there = {view.what for view in plan.repointed}
        plan.repointed += [view for view in of_functions.repointed if view.what not in there]
        return plan, of_functions

    def _fill(self, plan: Plan, of_functions: Functions) -> None:
        """Bring new rows into the tables that stay, and let what moves refer to those."""
        for each in plan.increments:
            self._apply(each)
        for each in plan.in_place:
            self._copy_rows(plan, each)
        self.unfilled = rebase.rebase(self.connection, plan, self.built, of_functions)
        rebase.rekey(self.connection, plan)

    def _afterwards(self) -> None:
        """Send what may not stand in a transaction; if that fails, what is published stays so."""
        for each in self.built:
            for statement in each.afterwards:
                try:
                    execute(self.connection, statement)
                except psycopg.Error as error:
                    self.warnings.append(
                        f"A post_hook of the published {each.model.name} failed: "
                        f"{error.diag.message_primary or error}."
                    )

    def _swapped(self, plan: Plan, of_functions: Functions, seen: str, until: float) -> bool:
        """Swap, under locks; False if the plan turns out to be outdated, and another is needed.

        Asks for the locks again and again; what was done before that stays done. Tables whose
        foreign keys are in the way are filled under the locks. The plan was made when ``seen`` was
        the case.
        """
        attempt = 0
        changes = plan.is_filled or bool(of_functions.fates)
        while True:
            try:
                with self.connection.transaction():
                    locks.take(self.connection, plan, self.patience_ms)
                    away: list[Key] = []
                    if plan.is_keyed:  # new rows may refer to what is not published yet
                        away = foreign_keys.of(self.connection, plan)
                        execute(self.connection, "; ".join(each.dropped for each in away))
                        self._fill(plan, of_functions)
                    locked = plan
                    if changes or self._changes_seen() != seen:
                        locked, of_functions = self._planned()
                        if locked.in_place != plan.in_place:
                            return False
                    self._swap(locked, of_functions, away)
                return True
            except locks.BUSY as error:
                if time.monotonic() >= until:
                    schemas = {name_of(each.model)[0] for each in self.built}
                    raise locks.still_busy(self.connection, schemas, self.wait_seconds) from error
            attempt += 1
            if attempt == 3:
                self.on_wait("Readers hold the published tables; waiting for a gap.")
            time.sleep(_PAUSES[min(attempt, len(_PAUSES)) - 1])

    def _apply(self, each: Built) -> None:
        """Change rows of the published table as the increment says; readers are not blocked."""
        try:
            execute(self.connection, "; ".join(each.increment or ()))
        except psycopg.Error as error:
            from datapipe.transform.build import incremental  # late: many runs have no increment

            raise incremental.told(error, each.model) from error

    def _copy_rows(self, plan: Plan, each: Built) -> None:
        """Replace the rows of a table that has to stay the table it is; readers are not blocked."""
        old, new = plan.old(each), plan.aside(each)
        columns = ", ".join(map(quoted, catalog.stored(self.connection, new.oid)))
        table = each.model.relation.published_local
        rows = f"SELECT {columns} FROM {each.aside.local}"
        statements = [
            f"DELETE FROM {table}",
            f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE {rows}",
        ]
        indexes = self._indexes([old.oid, new.oid])
        missing = indexes.get(new.oid, set()) - indexes.get(old.oid, set())
        statements += [
            index.replace(" USING", f" ON {table} USING", 1) for index in sorted(missing)
        ]
        try:
            execute(self.connection, "; ".join([*statements, analyzed(table)]))
        except locks.BUSY:
            raise
        except psycopg.Error as error:
            if class_of(error) not in _OF_ROWS:
                raise
            said = ". ".join(filter(None, (error.diag.message_primary, error.diag.message_hint)))
            raise refused(
                each,
                f"Something depends on {table}, so its rows are replaced where they are, and "
                f"PostgreSQL refuses that: {said.rstrip('.')}.",
            ) from error

    def _swap(self, plan: Plan, of_functions: Functions, taken: Sequence[Key]) -> None:
        run = self.connection
        self.warnings = self._lost_indexes(plan)
        more = foreign_keys.of(run, plan)
        schemas = {each.model.relation.published[0] for each in self.all}
        execute(run, "; ".join(f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}" for name in schemas))
        away = [*(old for _, old in plan.swapped), *plan.dropped]
        old_schemas = {old.schema for old in away} | {old.schema for old in of_functions.away}
        aside.create(run, (aside.beside(schema, aside.OLD) for schema in sorted(old_schemas)))
        replaced = {each.aside for each in plan.replaced}
        as_they_are = {each.aside for each in (*plan.moved, *plan.restated)}
        statements = [key.dropped for key in more]
        statements += [
            _moved(KINDS[old.kind], old.local, aside.beside(old.schema, aside.OLD)) for old in away
        ]
        statements += [
            _moved(KINDS[plan.aside(each).kind], each.aside.local, name_of(each.model)[0])
            for each in plan.moved
        ]
        statements += of_functions.moved()
        if statements:
            execute(run, "; ".join(statements))
        views.restate(run, plan, self.all)
        texts = {fate.built.function: fate.text for fate in of_functions.fates}
        anew: list[views.Anew] = []
        for each in self.all:  # in the order in which they were built
            view = self.views.get(each.aside)
            if each.function in texts:
                anew.append((each.model, texts[each.function]))
            elif view and each.aside.standing in plan.states and each.aside not in as_they_are:
                anew.append((view, each.aside in replaced))
        views.create(run, anew, self.final)
        refreshed = [each.model.relation.published for each in plan.refreshed]
        for name in (*refreshed, *self.unfilled):
            execute(run, f"REFRESH MATERIALIZED VIEW {'.'.join(map(quoted, name))}")
        names = views.as_published(self.all)
        for dependent in plan.repointed:
            views.repoint(run, dependent, plan.swapped, names)
        foreign_keys.give_back(run, [key for key in (*taken, *more) if key.added])
        restore.relations(run, plan, self.built, self.final, self.user)
        restore.functions(run, of_functions, self.final, self.user)
        if any(each.model.has_hooks for each in self.all):
            aside.publish_bodies(run, schemas)
        self.record(self.connection)

    def _indexes(self, oids: Sequence[int]) -> dict[int, set[str]]:
        """The indexes of tables, with published names for functions that they call aside."""
        schemas = {each.model.relation.schema for each in self.all if each.function}
        return {
            oid: {aside.in_public(index, schemas) for index in indexes}
            for oid, indexes in definitions.indexes(self.connection, oids).items()
        }

    def _lost_indexes(self, plan: Plan) -> list[str]:
        """A warning for each index of a replaced table that the new one does not have."""
        pairs = [(each, old, plan.aside(each)) for each, old in plan.swapped]
        pairs = [pair for pair in pairs if "v" not in {pair[1].kind, pair[2].kind}]
        oids = [state.oid for _, old, new in pairs for state in (old, new)]
        indexes = self._indexes(oids)
        return [
            f"The new {old.schema}.{old.name} lacks an index that the old one had and the model "
            f"{each.model.name} does not declare: {index}. To keep such an index, add it to "
            "indexes in the model's config()."
            for each, old, new in pairs
            for index in sorted(indexes.get(old.oid, set()) - indexes.get(new.oid, set()))
        ]


def _moved(kind: str, relation: str, schema: str) -> str:
    return f"ALTER {kind} {relation} SET SCHEMA {quoted(schema)}"
