"""The SQL that brings the new rows of an incremental model into its table."""

from __future__ import annotations

from typing import Any

from datapipe.transform.build import reshape
from datapipe.transform.build.reshape import DEST, SOURCE, columns_by_policy
from datapipe.transform.build.site import Site
from datapipe.transform.compile import Compiler
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.jinja.context import near


class Increment:
    """The rows in ``new``, to be brought into the table ``old`` by the model's strategy."""

    def __init__(self, site: Site, old: RelationState, new: RelationState, strategy: str) -> None:
        self.site = site
        self.old = old
        self.new = new
        self.strategy = strategy
        config = site.model.config
        self.keys = listed(config.get("unique_key"))
        given = config.get("incremental_predicates") or config.get("predicates")
        self.predicates = listed(given)
        self.columns = columns_by_policy(site, old, new)

    @property
    def is_reshaped(self) -> bool:
        """Whether the columns of the table change."""
        return reshape.is_reshaped(self.old, self.columns)

    def applied(self) -> str:
        """A query for the rows that the table will have."""
        old, new = f"{self.old.local} AS {DEST}", f"{self.new.local} AS {SOURCE}"
        kept, came = self._select(DEST), self._select(SOURCE)
        if self.strategy == "append" or not (self.keys or self.strategy == "merge"):
            return f"SELECT {kept} FROM {old} UNION ALL SELECT {came} FROM {new}"
        if self.strategy == "merge":
            on = self._merged_on()
            updated = self._updated()
            both = ", ".join(
                column.from_(SOURCE if column.name in updated else DEST) for column in self.columns
            )
            return (
                f"SELECT {kept} FROM {old} WHERE NOT EXISTS (SELECT FROM {new} WHERE {on}) "
                f"UNION ALL SELECT {both} FROM {old} JOIN {new} ON {on} "
                f"UNION ALL SELECT {came} FROM {new} "
                f"WHERE NOT EXISTS (SELECT FROM {old} WHERE {on})"
            )
        # The keys get names of their own, so that a name in a predicate or a key that is an
        # expression means a column of the table, as it does in DELETE.
        keys = ", ".join(f"{key} AS __key_{number}" for number, key in enumerate(self.keys))
        match = " AND ".join(
            f"increment.__key_{number} = ({key})" for number, key in enumerate(self.keys)
        )
        return (
            f"SELECT {kept} FROM {old} WHERE NOT EXISTS (SELECT FROM (SELECT {keys} FROM {new}) "
            f"AS increment WHERE {match}{self._and_predicates()}) "
            f"UNION ALL SELECT {came} FROM {new}"
        )

    def statements(self) -> tuple[str, ...]:
        """The statements that give the published table the rows of ``applied``."""
        names = [quoted(column.name) for column in self.columns if column.new_type]
        columns, table, new = ", ".join(names), self.old.local, self.new.local
        if self.strategy == "merge":
            updated = self._updated() if self.keys else set()
            sets = ", ".join(
                f"{name} = {SOURCE}.{name}"
                for name in map(quoted, (c.name for c in self.columns if c.name in updated))
            )
            update = f"WHEN MATCHED THEN UPDATE SET {sets} " if sets else ""
            values = ", ".join(f"{SOURCE}.{name}" for name in names)
            merge = (
                f"MERGE INTO {table} AS {DEST} USING {new} AS {SOURCE} ON {self._merged_on()} "
                f"{update}WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})"
            )
            return (merge,)
        insert = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {new}"
        if self.strategy == "append" or not self.keys:
            return (insert,)
        keys = ", ".join(self.keys)
        delete = (
            f"DELETE FROM {table} AS {DEST} WHERE ({keys}) IN (SELECT {keys} FROM {new} "
            f"AS {SOURCE}){self._and_predicates()}"
        )
        return delete, insert

    def _select(self, alias: str) -> str:
        return ", ".join(column.from_(alias) for column in self.columns)

    def _and_predicates(self) -> str:
        return "".join(f" AND {predicate}" for predicate in self.predicates)

    def by_macro(
        self, strategy: str, table: Relation, new: Relation, compiler: Compiler | None = None
    ) -> str:
        """The statement of a strategy of the project's own that brings ``new`` into ``table``."""
        compiler = compiler or self.site.compiler
        columns = {column.name for column in self.columns if column.new_type}
        arguments = {
            "target_relation": table,
            "temp_relation": new,
            "unique_key": self.site.model.config.get("unique_key"),
            "dest_columns": [
                column for column in compiler.columns(table) if column.name in columns
            ],
            "incremental_predicates": self.predicates or None,
        }
        macro = f"get_incremental_{strategy.replace('+', '_')}_sql"
        return str(compiler.call(self.site.model, macro, [arguments]))

    def _merged_on(self) -> str:
        matches = [f"{SOURCE}.{key} = {DEST}.{key}" for key in self.keys] or ["FALSE"]
        return " AND ".join(f"({condition})" for condition in (*self.predicates, *matches))

    def _updated(self) -> set[str]:
        """The columns that a merge changes in rows that exist."""
        config = self.site.model.config
        names = {column.name for column in self.columns if column.new_type}
        chosen, excluded = config.get("merge_update_columns"), config.get("merge_exclude_columns")
        if chosen and excluded:
            raise self.site.error(
                "merge_update_columns and merge_exclude_columns exclude each other. Keep one.",
                "merge_exclude_columns",
            )
        if chosen:
            updated = {_unquoted(name) for name in listed(chosen)}
            for name in sorted(updated - names):
                raise self.site.error(
                    f"merge_update_columns has {name}, which is no column of the model and of its "
                    f"table.{near(name, names)}",
                    "merge_update_columns",
                    name,
                )
            return updated
        left_out = {name.lower() for name in listed(excluded)}
        return {name for name in names if name.lower() not in left_out}


def listed(value: Any) -> list[str]:
    """One name or several, as a list."""
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(each) for each in value]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
