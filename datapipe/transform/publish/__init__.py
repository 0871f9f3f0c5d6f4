"""Makes all that was built aside visible, in one short transaction.

Readers never see half of it, and never fail because of it: every lock is asked for at the
beginning, views before tables as a reader takes them, for less time than PostgreSQL waits before it
looks for a deadlock. Where one is not to be had, all are given back and asked for again after a
pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg

from datapipe.errors import PublishError, WarehouseError
from datapipe.transform.build import aside, incremental
from datapipe.transform.build.table import Built
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.compile.locate import project_error
from datapipe.transform.database import catalog
from datapipe.transform.database.catalog import Dependent, RelationState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.publish import grants
from datapipe.transform.publish import plan as plans
from datapipe.transform.publish.plan import KINDS, Plan, columns_of

_PAUSES = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
)


class Publication:
    """One publication of one run; ``final`` compiles views as they will stand."""

    def __init__(
        self,
        connection: psycopg.Connection,
        built: Sequence[Built],
        final: Compiler,
        *,
        run_id: int,
        recorded: bool,
        wait_seconds: float,
        on_wait: Callable[[str], None],
    ) -> None:
        self.connection = connection
        self.built = built
        self.final = final
        self.run_id = run_id
        self.recorded = recorded
        self.wait_seconds = wait_seconds
        self.on_wait = on_wait
        self.warnings: list[str] = []
        row = connection.execute(
            "SELECT current_user, extract(epoch FROM current_setting('deadlock_timeout')::interval)"
        ).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM gives a row
        self.user = str(row[0])
        self.patience_ms = min(500, max(1, int(float(row[1]) * 400)))
        self.views = [
            final.model(each.model) for each in built if each.model.materialized == "view"
        ]

    def publish(self) -> None:
        """Publish and commit, or raise with everything as it was.

        Raises PublishError where something that others made would break, WarehouseError where a
        lock was not to be had in ``wait_seconds``.
        """
        until = time.monotonic() + self.wait_seconds
        while True:
            with self.connection.transaction() as whole:
                plan = plans.make(self.connection, self.built)
                for each in plan.increments:
                    self._apply(each)
                for each in plan.in_place:
                    self._copy_rows(plan, each)
                if self._swapped(plan, until):
                    return
                raise psycopg.Rollback(whole)

    def _swapped(self, plan: Plan, until: float) -> bool:
        """Whether all but the tables filled in place was published; False if the plan is outdated.

        Asks for the locks again and again; what was done before stays done.
        """
        attempt = 0
        while True:
            try:
                with self.connection.transaction():
                    self._lock(plan)
                    locked = plans.make(self.connection, self.built)
                    if locked.in_place != plan.in_place:
                        return False
                    self._swap(locked)
                return True
            except _BUSY as error:
                if time.monotonic() >= until:
                    raise self._still_busy() from error
            attempt += 1
            if attempt == 3:
                self.on_wait("Readers hold the published tables; waiting for a gap.")
            time.sleep(_PAUSES[min(attempt, len(_PAUSES)) - 1])

    def _apply(self, each: Built) -> None:
        """Change the rows that an increment changes; readers are not blocked."""
        try:
            execute(self.connection, "; ".join(each.increment or ()))
        except psycopg.Error as error:
            raise incremental.told(error, each.model) from error

    def _copy_rows(self, plan: Plan, each: Built) -> None:
        """Replace the rows of a table that must stay the table it is; readers are not blocked."""
        columns = ", ".join(quoted(column.name) for column in plan.aside(each).columns)
        table, rows = each.model.relation.local, f"SELECT {columns} FROM {each.aside.local}"  # noqa: S608 - quoted
        statements = [
            f"DELETE FROM {table}",  # noqa: S608
            f"INSERT INTO {table} ({columns}) {rows}",
        ]
        old, new = plan.old(each), plan.aside(each)
        indexes = catalog.indexes(self.connection, [old.oid, new.oid])
        missing = indexes.get(new.oid, set()) - indexes.get(old.oid, set())
        statements += [
            index.replace(" USING", f" ON {table} USING", 1) for index in sorted(missing)
        ]
        execute(self.connection, "; ".join([*statements, f"ANALYZE {table}"]))

    def _lock(self, plan: Plan) -> None:
        """Take every lock, or raise one of ``_BUSY`` before a reader could find a deadlock.

        LOCK TABLE on a view would lock the tables below it, raw data too. Giving a view the owner
        that it has locks it alone.
        """
        views = [each.view for each in plan.repointed if each.view]
        views += [plan.old(each) for each in reversed(plan.replaced)]
        views += [old for _, old in reversed(plan.swapped) if old.kind != "r"]
        tables = [old.local for _, old in plan.swapped if old.kind == "r"]
        statements = [
            f"ALTER {KINDS[view.kind]} {view.local} OWNER TO {quoted(view.owner)}" for view in views
        ]
        if tables:
            statements.append(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        if not statements:
            return
        # As one statement, the time for all of it together is limited.
        block = literal("BEGIN " + "; ".join(statements) + "; END")
        execute(
            self.connection,
            f"SET LOCAL lock_timeout = '{self.patience_ms}ms'; "
            f"SET LOCAL statement_timeout = '{self.patience_ms}ms'",
        )
        execute(self.connection, f"DO {block}")
        execute(self.connection, "SET LOCAL statement_timeout TO DEFAULT")

    def _swap(self, plan: Plan) -> None:
        run = self.connection
        self.warnings = self._lost_indexes(plan)
        schemas = {each.model.relation.schema for each in self.built}
        execute(run, "; ".join(f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}" for name in schemas))
        old_schemas = {old.schema for _, old in plan.swapped}
        aside.create(run, (aside.beside(schema, aside.OLD) for schema in sorted(old_schemas)))
        stays = {each.model.name for each in (*plan.in_place, *plan.increments)}
        replaced = {each.model.name for each in plan.replaced}
        moves = [
            _moved(KINDS[old.kind], old.local, aside.beside(old.schema, aside.OLD))
            for _, old in plan.swapped
        ] + [
            _moved("TABLE", each.aside.local, each.model.relation.schema)
            for each in self.built
            if each.model.is_table and each.model.name not in stays
        ]
        if moves:
            execute(run, "; ".join(moves))
        for view in self.views:
            self._create_view(view, replace=view.node.name in replaced)
        for dependent in plan.repointed:
            self._repoint(dependent)
        self._restore(plan)
        if self.recorded:
            self._record()

    def _create_view(self, compiled: Compiled, *, replace: bool) -> None:
        model = self.final.manifest.models[compiled.node.name]
        before = f"CREATE {'OR REPLACE ' if replace else ''}VIEW {model.relation.local} AS (\n"
        try:
            execute(self.connection, f"{before}{compiled.sql}\n)")
        except _BUSY:
            raise
        except psycopg.Error as error:
            raise project_error(error, compiled, [len(before)], self.final) from error

    def _repoint(self, dependent: Dependent) -> None:
        """Let a view of the user's select from the new tables; it stays the view that it is."""
        view = dependent.view
        if view is None:
            return
        options = f" WITH ({', '.join(view.options)})" if view.options else ""
        definition = dependent.definition.rstrip().rstrip(";")
        try:
            execute(
                self.connection,
                f"CREATE OR REPLACE VIEW {view.local}{options} AS {definition}",
            )
        except _BUSY:
            raise
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate[:2] not in {"42", "0A", "22"}:
                raise
            raise PublishError(
                f"The {dependent.what} would break: {error.diag.message_primary}. Nothing was "
                "published. Change or drop the view, or keep the columns as they were."
            ) from error

    def _restore(self, plan: Plan) -> None:
        statements: list[str] = []
        for each, old in plan.swapped:
            new = plan.aside(each)
            statements += catalog.restored(old, new, self.user)
        defaults = catalog.default_grants(
            self.connection, {each.model.relation.schema for each in plan.new}
        )
        for each in plan.new:
            if each.model.is_table:
                given = defaults.get(each.model.relation.schema, [])
                statements += [grant.on(each.model.relation.local) for grant in given]
        for each in self.built:
            there = plan.old(each) if each.increment is not None else plan.aside(each)
            statements += _comments(each.model, there)
        if statements:
            execute(self.connection, "; ".join(statements))
        for each in self.built:
            if each.model.config.get("grants"):
                now = plan.granted(each) or defaults.get(each.model.relation.schema, [])
                grants.give(self.connection, each.model, now, plan.owner(each) or self.user)

    def _lost_indexes(self, plan: Plan) -> list[str]:
        """A warning for each index of a replaced table that the new one does not have."""
        pairs = [(each, old, plan.aside(each)) for each, old in plan.swapped if old.kind == "r"]
        oids = [state.oid for _, old, new in pairs for state in (old, new)]
        indexes = catalog.indexes(self.connection, oids)
        return [
            f"The new {old.schema}.{old.name} lacks an index that the old one had and the model "
            f"{each.model.name} does not declare: {index}. To keep such an index, add it to "
            "indexes in the model's config()."
            for each, old, new in pairs
            for index in sorted(indexes.get(old.oid, set()) - indexes.get(new.oid, set()))
        ]

    def _record(self) -> None:
        models = [each.model for each in self.built]
        self.connection.execute(
            """
            INSERT INTO meta.models AS m
                (name, resource_type, schema_name, relation_name, materialized, run_id)
            SELECT name, resource_type, schema_name, relation_name, materialized, %s
            FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
                AS new (name, resource_type, schema_name, relation_name, materialized)
            ON CONFLICT (name) DO UPDATE SET
                resource_type = excluded.resource_type,
                schema_name = excluded.schema_name,
                relation_name = excluded.relation_name,
                materialized = excluded.materialized,
                run_id = excluded.run_id,
                published_at = excluded.published_at
            """,
            [
                self.run_id,
                [model.name for model in models],
                [model.resource_type for model in models],
                [model.relation.schema for model in models],
                [model.relation.identifier for model in models],
                [model.materialized for model in models],
            ],
        )
        self.connection.execute(
            "DELETE FROM meta.models WHERE resource_type = ANY(%s) AND name <> ALL(%s)",
            [["model", "seed"], self._names_in_project()],
        )

    def _names_in_project(self) -> list[str]:
        """Every model that has a relation, selected or not: the others left the project."""
        models = self.final.manifest.models.values()
        return [model.name for model in models if model.materialized != "ephemeral"]

    def _still_busy(self) -> WarehouseError:
        row = self.connection.execute(
            """
            SELECT string_agg(DISTINCT format('process %%s (%%s)', a.pid, left(a.query, 60)), ', ')
            FROM pg_locks l
            JOIN pg_class c ON c.oid = l.relation
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_stat_activity a USING (pid)
            WHERE l.granted AND a.pid <> pg_backend_pid() AND n.nspname = ANY(%s)
            """,
            [sorted({each.model.relation.schema for each in self.built})],
        ).fetchone()
        holders = row[0] if row and row[0] else "another transaction"
        return WarehouseError(
            f"The published tables are in use by {holders}, so nothing could be published for "
            f"{self.wait_seconds:.0f} s. Run again when that has ended.",
            sqlstate="55P03",
        )


def _moved(kind: str, relation: str, schema: str) -> str:
    return f"ALTER {kind} {relation} SET SCHEMA {quoted(schema)}"


def _comments(model: Model, new: RelationState) -> list[str]:
    """The descriptions as comments, where ``persist_docs`` asks for them."""
    persisted = model.config.get("persist_docs") or {}
    kind, name = KINDS[new.kind], model.relation.local
    statements = []
    if persisted.get("relation") and model.description:
        statements.append(f"COMMENT ON {kind} {name} IS {literal(model.description)}")
    if persisted.get("columns"):
        there = columns_of(new)
        statements += [
            f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.description)}"
            for column in model.columns.values()
            if column.description and column.name in there
        ]
    return statements
