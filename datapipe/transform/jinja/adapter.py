"""``adapter`` and ``api``: what templates ask and do in the database, in dbt's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import PARTS, Parts, Relation, quoted
from datapipe.transform.jinja import constraints
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.database import Database
from datapipe.transform.jinja.tables import Response, Table

STRATEGIES = ("append", "delete+insert", "merge", "microbatch")


class _Adapter:
    """The part of ``adapter`` that asks the database nothing."""

    Relation = Relation
    Column = Column

    def __init__(
        self,
        dispatch: Callable[..., Any],
        target: Mapping[str, Any],
        quoting: Parts = (True, True, True),
    ) -> None:
        self.dispatch = dispatch
        self.config = SimpleNamespace(
            credentials=SimpleNamespace(**target), quoting=dict(zip(PARTS, quoting, strict=True))
        )
        self.behavior = SimpleNamespace()

    def type(self) -> str:
        return "postgres"

    def quote(self, identifier: str) -> str:
        return quoted(identifier)

    def quote_as_configured(self, identifier: str, quote_key: str) -> str:
        """The identifier, quoted if the project's ``quoting`` says so for names of this kind."""
        is_quoted = self.config.quoting.get(quote_key, False)
        return quoted(identifier) if is_quoted else identifier

    def quote_seed_column(self, column: str, quote_config: bool | None = None) -> str:
        return column if quote_config is False else quoted(column)

    def verify_database(self, database: str) -> str:
        """Raise ProjectError for another database than the connection's: PostgreSQL reads none."""
        name = self.config.credentials.dbname
        if name and database.strip('"').lower() != name.lower():
            raise ProjectError(f"This names the database {database}, and the warehouse is {name}.")
        return ""

    def convert_type(self, agate_table: Table, col_idx: int) -> str:
        return agate_table.column_types[col_idx]

    def valid_incremental_strategies(self) -> list[str]:
        return list(STRATEGIES)

    def get_hard_deletes_behavior(self, config: Mapping[str, Any]) -> str:
        """What a snapshot does with rows that are gone: ignore, invalidate or new_record."""
        invalidates = config.get("invalidate_hard_deletes")
        behaviour = config.get("hard_deletes")
        if invalidates is not None and behaviour is not None:
            raise ProjectError("Set either hard_deletes or invalidate_hard_deletes, not both.")
        if behaviour is None:
            return "invalidate" if invalidates else "ignore"
        if behaviour not in {"ignore", "invalidate", "new_record"}:
            raise ProjectError(
                f"hard_deletes must be ignore, invalidate or new_record, not {behaviour}."
            )
        return str(behaviour)

    def render_raw_columns_constraints(self, raw_columns: Mapping[str, Any]) -> list[str]:
        return constraints.of_columns(raw_columns)

    def render_raw_model_constraints(self, raw_constraints: Sequence[Any]) -> list[str]:
        return constraints.of_model(raw_constraints)

    def standardize_grants_dict(self, grants_table: Table) -> dict[str, list[str]]:
        """The grantees by privilege."""
        grants: dict[str, list[str]] = {}
        for row in grants_table:
            grants.setdefault(row["privilege_type"], []).append(row["grantee"])
        return grants

    def parse_index(self, raw_index: Mapping[str, Any] | None) -> Any:
        """An index as the settings of a model describe it; None if they do not."""
        return None if raw_index is None else constraints.Index(raw_index)

    def cache_added(self, *_: Any, **__: Any) -> str:
        return ""

    cache_dropped = cache_renamed = commit = cache_added


class ParsingAdapter(_Adapter):
    """``adapter`` while a project is read: it asks nothing, and finds nothing."""

    def execute(self, *_: Any, **__: Any) -> tuple[Response, Table]:
        return Response(), Table((), ())

    def _nothing(self, *_: Any, **__: Any) -> None:
        return None

    def _none_of_them(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def check_schema_exists(self, *_: Any, **__: Any) -> bool:
        return False

    already_exists = check_schema_exists
    get_relation = load_relation = get_incremental_strategy_macro = _nothing
    create_schema = drop_schema = drop_relation = truncate_relation = rename_relation = _nothing
    expand_target_column_types = valid_snapshot_target = begin = _nothing
    assert_valid_snapshot_target_given_strategy = _nothing
    get_columns_in_relation = get_missing_columns = get_columns_in_table = _none_of_them
    list_relations = list_relations_without_caching = list_schemas = _none_of_them
    get_column_schema_from_query = _none_of_them
    add_query = _nothing


class Adapter(_Adapter):
    """``adapter`` while a node is compiled or built."""

    def __init__(
        self,
        dispatch: Callable[..., Any],
        target: Mapping[str, Any],
        database: Database,
        quoting: Parts = (True, True, True),
        *,
        overriding: Callable[[str], Any] = lambda name: None,
    ) -> None:
        super().__init__(dispatch, target, quoting)
        self._database = database
        self._overriding = overriding
        self.Relation = _RunRelation(database, quoting)  # type: ignore[assignment] # it answers for the class

    def execute(
        self,
        sql: str,
        auto_begin: bool = False,
        fetch: bool = False,
        limit: int | None = None,
    ) -> tuple[Response, Table]:
        """Send ``sql``; the result is empty unless it is to be fetched."""
        del auto_begin
        return self._database.execute(str(sql), fetch=fetch, limit=limit)

    def begin(self) -> str:
        return ""

    def add_query(
        self, sql: str, auto_begin: bool = True, bindings: Any = None, abridge_sql_log: bool = False
    ) -> str:
        """Send ``sql`` with ``bindings`` in the places that it has for them."""
        del auto_begin, abridge_sql_log
        return self._send(sql if bindings is None else self._database.bound(sql, bindings))

    def get_relation(
        self, database: str | None = None, schema: str = "", identifier: str = ""
    ) -> Relation | None:
        """The relation of that name, or None if there is none."""
        if not isinstance(schema, str) or not isinstance(identifier, str):
            raise ProjectError(
                "get_relation() takes the names of a database, a schema and a table."
            )
        del database
        _, of, name = self.config.quoting.values()
        found = self._database.relation(
            schema if of else schema.lower(), identifier if name else identifier.lower()
        )
        return found.quote(**self.config.quoting) if found else None

    def load_relation(self, relation: Relation) -> Relation | None:
        return self.get_relation(relation.database, relation.schema, relation.identifier)

    def already_exists(self, schema: str, name: str) -> bool:
        return self.get_relation(None, schema, name) is not None

    def list_relations(self, database: str | None = None, schema: str = "") -> list[Relation]:
        """All tables and views of a schema."""
        del database
        return self._database.relations(schema)

    def list_relations_without_caching(self, schema_relation: Relation) -> list[Relation]:
        return self._database.relations(schema_relation.schema)

    def list_schemas(self, database: str | None = None) -> list[str]:
        del database
        rows = self._database.connection().execute("SELECT nspname FROM pg_namespace ORDER BY 1")
        asides = set(self._database.asides.values())
        return [row[0] for row in rows if row[0] not in asides]

    def check_schema_exists(self, database: str | None, schema: str) -> bool:
        del database
        return self._database.has_schema(schema)

    def get_columns_in_relation(self, relation: Relation) -> Any:
        """The columns of ``relation``, or what a macro of the project's own makes of it."""
        own = self._overriding("get_columns_in_relation")
        return own(relation) if own else self.columns(relation)

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of ``relation``, in their order; none if there is no such relation."""
        if not isinstance(relation, Relation):
            raise ProjectError(
                f"get_columns_in_relation() takes a relation such as ref() gives, not {relation!r}."
            )
        return self._database.columns(relation)

    def get_columns_in_table(self, schema: str, identifier: str) -> list[Column]:
        return self._database.columns(Relation.create(schema=schema, identifier=identifier))

    def get_missing_columns(self, from_relation: Relation, to_relation: Relation) -> list[Column]:
        """The columns of the first relation that the second one lacks."""
        there = {column.name for column in self.get_columns_in_relation(to_relation)}
        columns = self.get_columns_in_relation(from_relation)
        return [column for column in columns if column.name not in there]

    def get_column_schema_from_query(self, sql: str) -> list[Column]:
        """The columns that a query would give, without running it."""
        described = self._database.described(f"select * from ({sql}\n) as described limit 0")
        return [Column.from_description(*column) for column in described]

    def create_schema(self, relation: Relation) -> str:
        return self._send(f"create schema if not exists {quoted(relation.schema)}")

    def drop_schema(self, relation: Relation) -> str:
        return self._send(f"drop schema if exists {quoted(relation.schema)} cascade")

    def drop_relation(self, relation: Relation) -> str:
        """Drop it with all that hangs on it, as dbt does: the template has asked for that."""
        if relation.type is None:
            raise ProjectError(
                f"The relation {relation} has no type, so it cannot be dropped. Give it one, such "
                "as table."
            )
        return self._send(f"drop {_word(relation)} if exists {relation} cascade")

    def truncate_relation(self, relation: Relation) -> str:
        return self._send(f"truncate table {relation}")

    def rename_relation(self, from_relation: Relation, to_relation: Relation) -> str:
        name = quoted(to_relation.standing[1])
        return self._send(f"alter {_word(from_relation)} {from_relation} rename to {name}")

    def expand_target_column_types(self, from_relation: Relation, to_relation: Relation) -> str:
        """Make the strings of the second relation as long as those of the first."""
        wanted = {column.name: column for column in self.get_columns_in_relation(from_relation)}
        for column in self.get_columns_in_relation(to_relation):
            other = wanted.get(column.name)
            if other is not None and column.can_expand_to(other):
                type_ = Column.string_type(other.string_size())
                self._send(f"alter table {to_relation} alter column {column.quoted} type {type_}")
        return ""

    def valid_snapshot_target(
        self, relation: Relation, column_names: Mapping[str, str] | None = None
    ) -> None:
        """Raise ProjectError for a table that lacks the columns which every snapshot has."""
        there = {column.name.lower() for column in self.get_columns_in_relation(relation)}
        wanted = ("dbt_scd_id", "dbt_valid_from", "dbt_valid_to")
        named = [str((column_names or {}).get(name, name)) for name in wanted]
        missing = [name for name in named if name.lower() not in there]
        if missing:
            raise ProjectError(f"{relation} is no snapshot: it lacks {', '.join(missing)}.")

    def assert_valid_snapshot_target_given_strategy(
        self, relation: Relation, column_names: Mapping[str, str], strategy: Mapping[str, Any]
    ) -> None:
        del strategy
        self.valid_snapshot_target(relation, column_names)

    def get_incremental_strategy_macro(self, model_context: Any, strategy: str | None) -> Any:
        """The macro that makes the statement of an incremental strategy."""
        name = f"get_incremental_{(strategy or 'default').replace('+', '_')}_sql"
        if name not in model_context:
            raise ProjectError(f"There is no incremental strategy {strategy}: no macro {name}.")
        return model_context[name]

    def _send(self, statement: str) -> str:
        self._database.execute(statement, fetch=False)
        return ""


class _RunRelation:
    """``api.Relation``: a relation that the run has built is created where it stands aside."""

    def __init__(self, database: Database, quoting: Parts) -> None:
        self._database = database
        self._quoting = dict(zip(PARTS, quoting, strict=True))

    def create(self, *values: Any, **options: Any) -> Relation:
        """A relation of the given names."""
        policy = {**self._quoting, **(options.pop("quote_policy", None) or {})}
        relation = Relation.create(*values, **options, quote_policy=policy)
        return self._database.where_it_is(relation)

    def __getattr__(self, name: str) -> Any:
        return getattr(Relation, name)


def _word(relation: Relation) -> str:
    return (relation.type or "table").replace("_", " ")
