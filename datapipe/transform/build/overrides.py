"""Finds macros of the project's own that take the place of those dbt builds with.

Most of what dbt's macros do is done here without them. Where the project has its own for a part
that can be left to it, that is called. Of others a warning says that they are not.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from datapipe.transform.build import growth
from datapipe.transform.build.site import Site, Statements
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.nodes import Model

_TABLE = (
    *("create_table_as", "get_create_table_as_sql", "get_assert_columns_equivalent"),
    *("get_table_columns_and_constraints", "get_select_subquery", "get_column_names"),
)
_VIEW = ("create_view_as", "get_create_view_as_sql")
_MATERIALIZED_VIEW = ("get_create_materialized_view_as_sql",)
_CHANGES_MATERIALIZED_VIEW = (
    *("get_alter_materialized_view_as_sql", "get_materialized_view_configuration_changes"),
    *("refresh_materialized_view", "update_indexes_on_materialized_view"),
)
_INDEXES = ("create_indexes", "get_create_index_sql")
_DELETES = ("get_delete_insert_merge_sql", "get_insert_into_sql")
_MERGES = ("get_merge_sql", "get_merge_update_columns", "get_merge_unique_key_match")
_STRATEGIES = {
    "append": ("get_incremental_append_sql", "get_insert_into_sql"),
    "delete+insert": ("get_incremental_delete_insert_sql", *_DELETES),
    "merge": ("get_incremental_merge_sql", *_MERGES),
    "microbatch": ("get_incremental_microbatch_sql", "get_incremental_merge_sql", *_MERGES),
}
_SNAPSHOTS = (
    *("build_snapshot_table", "get_dbt_valid_to_current", "post_snapshot", "snapshot_merge_sql"),
    "snapshot_staging_table",
)
_SEEDS = (
    *("create_csv_table", "get_batch_size", "get_binding_char", "get_csv_sql"),
    *("get_seed_column_quoted_csv", "load_csv_rows", "reset_csv_table"),
)
# Called when the model is published, as what they do is on what readers see.
_GRANTS = (
    *("apply_grants", "call_dcl_statements", "copy_grants", "get_dcl_statement_list"),
    *("get_grant_sql", "get_revoke_sql", "get_show_grant_sql", "should_revoke"),
    "support_multiple_grantees_per_dcl_statement",
)
_COMMENTS = (
    *("alter_column_comment", "alter_relation_comment", "persist_docs"),
    "postgres_escape_comment",
)
# By the kinds of work for which dbt calls them.
_NOT_CALLED = {
    "snapshot": ("build_snapshot_staging_table", "create_columns"),
    "incremental": (
        *("alter_column_type", "alter_relation_add_remove_columns", "check_for_schema_changes"),
        *("diff_column_data_types", "diff_columns", "process_schema_changes"),
        "sync_column_schemas",
    ),
    "freshness": ("collect_freshness", "collect_freshness_custom_sql"),
    "any": (
        *("drop_relation", "drop_relation_if_exists", "drop_schema", "drop_table", "drop_view"),
        *("get_create_sql", "get_drop_sql", "get_expected_sql", "get_fixture_sql"),
        *("get_relation_last_modified", "get_rename_sql", "get_replace_sql"),
        *("get_unit_test_sql", "handle_existing_table", "list_relations_without_caching"),
        *("make_backup_relation", "make_intermediate_relation", "make_temp_relation"),
        *("rename_relation", "run_hooks", "should_store_failures", "truncate_relation"),
        "validate_doc_columns",
    ),
}


def of(model: Model, renderer: Renderer) -> list[str]:
    """The macros of the project in place of those that dbt would build ``model`` with."""
    names: tuple[str, ...] = ()
    if model.materialized == "view":
        names = _VIEW
    elif model.materialized == "materialized_view":
        names = (*_MATERIALIZED_VIEW, *_CHANGES_MATERIALIZED_VIEW, *_INDEXES)
    elif model.materialized in {"table", "incremental"}:
        names = (*_TABLE, *_INDEXES)
    elif model.materialized == "snapshot":
        names = (*_SNAPSHOTS, *_INDEXES)
    elif model.is_seed:
        names = (*_SEEDS, *_INDEXES)
    if model.materialized == "incremental":
        names += ("get_incremental_default_sql", *_STRATEGIES.get(growth.strategy_of(model), ()))
    return _overridden(names, renderer)


def at_the_end(model: Model, renderer: Renderer) -> list[str]:
    """The macros of the project in place of those by which dbt gives grants and comments."""
    names = _GRANTS if model.config.get("grants") else ("apply_grants",)
    return _overridden((*names, *(_COMMENTS if model.config.get("persist_docs") else ())), renderer)


def gives_grants(renderer: Renderer) -> bool:
    """Whether the project itself says who may do what with a model."""
    return bool(_overridden(_GRANTS, renderer))


def makes_comments(renderer: Renderer) -> bool:
    """Whether the project itself writes descriptions into comments."""
    return bool(_overridden(_COMMENTS, renderer))


def makes_table(site: Site) -> bool:
    """Whether the project itself creates tables."""
    return bool(_overridden(_TABLE, site.compiler.renderer))


def makes_view(site: Site) -> bool:
    """Whether the project itself creates views."""
    return bool(_overridden(_VIEW, site.compiler.renderer))


def makes_materialized_view(site: Site) -> bool:
    """Whether the project itself creates materialized views, or the indexes on them."""
    return bool(_overridden((*_MATERIALIZED_VIEW, *_INDEXES), site.compiler.renderer))


def changes_materialized_view(site: Site) -> bool:
    """Whether the project itself refreshes or changes the materialized views that are there."""
    return bool(_overridden(_CHANGES_MATERIALIZED_VIEW, site.compiler.renderer))


def makes_snapshot(site: Site) -> bool:
    """Whether the project itself writes any part of what takes a snapshot."""
    return bool(_overridden(_SNAPSHOTS, site.compiler.renderer))


def makes_seed(site: Site) -> bool:
    """Whether the project itself creates or fills the tables of seeds."""
    return bool(_overridden(_SEEDS, site.compiler.renderer))


def adds_to_seed(renderer: Renderer) -> bool:
    """Whether the project loads seeds its own way, so that a table may keep rows it had."""
    return bool(_overridden(("load_csv_rows", "reset_csv_table"), renderer))


def makes_indexes(site: Site) -> bool:
    """Whether the project itself creates indexes."""
    return bool(_overridden(_INDEXES, site.compiler.renderer))


def strategy_of(site: Site) -> str | None:
    """The incremental strategy whose macros bring the new rows into the table, if any do."""
    strategy = growth.strategy_of(site.model)
    given = str(site.model.config.get("incremental_strategy") or "default")
    if given == "default" and _overridden(["get_incremental_default_sql"], site.compiler.renderer):
        return given
    if strategy not in _STRATEGIES or _overridden(_STRATEGIES[strategy], site.compiler.renderer):
        return strategy
    return None


def created(site: Site, macro: str, *values: object, of: Compiled | None = None) -> Statements:
    """The statements of the project's macro that create the model's relation.

    ``of`` is the SQL of the rows, if those are not all of the model's.
    """
    compiled = of or site.compiled
    own = {"sql": compiled.sql, "compiled_code": compiled.sql}
    arguments = [*values, site.aside, compiled.sql]

    def written(compiler: Compiler) -> str:
        return str(compiler.call(site.model, macro, arguments, this=site.aside, own=own))

    text = written(site.compiler)
    before, found, after = text.rstrip().rstrip(";").partition(compiled.sql)
    statements = Statements()
    macros = site.compiler.renderer.macros
    own_macros = filter(None, map(macros.overriding, (*_TABLE, *_VIEW, *_MATERIALIZED_VIEW)))
    places = filter(None, map(macros.place, own_macros))
    statements.around = written, next(places, (site.model.path, 1))
    statements.add(before, compiled if found else None, after)
    return statements


def make_schemas(connection: psycopg.Connection, compiler: Compiler, names: Iterable[str]) -> None:
    """Let the project create missing schemas, if it has a macro for that.

    They exist at once, as in dbt.
    """
    if not compiler.is_overridden("create_schema"):
        return
    there = {row[0] for row in connection.execute("SELECT nspname FROM pg_namespace")}
    text = "{% do create_schema(api.Relation.create(database=database, schema=missing)) %}"
    for name in names:
        if name not in there:
            compiler.hook(text, compiler.manifest.project.path, 1, {"missing": name})


def kinds_of(models: Iterable[Model]) -> list[str]:
    """The kinds of work that building ``models`` takes, for ``warnings``."""
    return sorted({"any", *(model.materialized for model in models)})


def warnings(renderer: Renderer, kinds: Iterable[str]) -> list[str]:
    """A warning that names the project's macros that are not called.

    ``kinds`` are the kinds of work that are done: those of ``kinds_of``, or ``freshness``.
    """
    names = _overridden((name for kind in kinds for name in _NOT_CALLED.get(kind, ())), renderer)
    if not names:
        return []
    named = ", ".join(sorted(set(names)))
    return [f"The project's own {named}: not called, since datapipe does that part itself."]


def _overridden(names: Iterable[str], renderer: Renderer) -> list[str]:
    return [name for name in names if renderer.macros.overriding(name)]
