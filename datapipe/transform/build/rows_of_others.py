"""Statements of hooks and templates that change rows of another model of the run.

A model that grows stands aside as a view of what is published and what is new, and rows of such a
view cannot be changed. So the statement is given a whole table instead, and the view is made to
show that. Publishing brings the rows of it into the published table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import place_of_increment
from datapipe.transform.build.site import Site
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.manifest.nodes import Model

_CHANGING = (
    r"(?i)\b(insert\s+into|update(?!\s+(of|on|or|set)\b)|delete\s+from|merge\s+into|truncate(\s+table)?)"
    r"\s+(only\s+)?"
)
_QUERY = r"(?i)[\s(]*(select|with|values|table)\b"
_WHOLE = "All of the table, with what hooks of other models have changed in it."


def changing(site: Site, text: str) -> str:
    """``text`` with whole tables in place of those views of other models whose rows it changes.

    ``site`` keeps which models those are, and the statements that publish them.
    """
    site.note(text)
    if not re.search(_CHANGING, text):
        return text
    models = {
        site.compiler.place(model).standing: model
        for model in site.compiler.manifest.models.values()
        if model.key != site.model.key
    }
    tables = {}
    for model in changed(text, models):
        site.changed.add(model.unique_id)
        if model.materialized not in {"incremental", "snapshot"}:
            continue
        table = place_of_increment(model)
        view = site.compiler.place(model)
        states = catalog.states(site.connection, [view.standing, table.standing])
        if view.standing in states and states[view.standing].kind == "v" and len(states) > 1:
            _make_whole(site, model)
            tables[view.standing] = table.local
    return definitions.renamed(text, tables) if tables else text


def only_reads(statement: str) -> bool:
    """Whether ``statement`` is a query that changes no rows."""
    return bool(re.match(_QUERY, statement)) and not re.search(_CHANGING, statement)


def applied(built: Sequence[Built]) -> list[Built]:
    """All that was ``built``, with the changes that each has made to others."""
    changed = {key: made for each in built for key, made in each.elsewhere.items()}
    return [
        replace(each, increment=changed[each.model.key]) if each.model.key in changed else each
        for each in built
    ]


def changes_others(text: str, own: Collection[Name]) -> bool:
    """Whether ``text`` changes rows of anything that has none of the names ``own``."""
    named = definitions.relations(text, {schema for schema, _ in own})
    starts = {start for start, _, name in named if name in own}
    return any(found.end() not in starts for found in re.finditer(_CHANGING, text))


def changed(text: str, models: Mapping[Name, Model]) -> list[Model]:
    """Those of ``models``, given by where they stand, whose rows ``text`` changes."""
    ends = {found.end() for found in re.finditer(_CHANGING, text)}
    if not ends:
        return []
    named = definitions.relations(text, {schema for schema, _ in models})
    names = {name for start, _, name in named if start in ends}
    return [models[name] for name in names & models.keys()]


def _make_whole(site: Site, model: Model) -> None:
    """Let the view of ``model`` show a whole table, unless it does so already."""
    view, table = site.compiler.place(model), place_of_increment(model)
    with site.connection.transaction():
        # Hooks of two models may need it at once.
        execute(site.connection, f"SELECT pg_advisory_xact_lock(hashtext({literal(table.local)}))")
        state = catalog.states(site.connection, [table.standing])[table.standing]
        shown = catalog.states(site.connection, [view.standing])[view.standing]
        columns = ", ".join(quoted(column.name) for column in shown.columns)
        if state.comment != _WHOLE:
            away = quoted(f"{state.oid}")  # a name that no model has: the view still reads it
            statements = [
                f"ALTER TABLE {table.local} RENAME TO {away}",
                f"CREATE TABLE {table.local} AS TABLE {view.local}",
                f"COMMENT ON TABLE {table.local} IS {literal(_WHOLE)}",
                f"CREATE OR REPLACE VIEW {view.local} AS SELECT {columns} FROM {table.local}",
                f"DROP TABLE {quoted(state.schema)}.{away}",
            ]
            execute(site.connection, "; ".join(statements))
    published = model.relation.published_local
    site.elsewhere[model.key] = (
        f"DELETE FROM {published}",
        f"INSERT INTO {published} ({columns}) SELECT {columns} FROM {table.local}",
    )
