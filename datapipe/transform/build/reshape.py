"""The columns that a growing table has, and those that it will have."""

from __future__ import annotations

from collections.abc import Mapping

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.build.site import Site
from datapipe.transform.database.catalog import ColumnState, RelationState
from datapipe.transform.database.relation import quoted

DEST, SOURCE = "DBT_INTERNAL_DEST", "DBT_INTERNAL_SOURCE"

_TEXTS = ("text", "character varying", "character")
_UNSIZED = 256  # what dbt takes for the length of a text that has none


@frozen
class Column:
    """A column of the table as it will be; a type is None where that table lacks the column."""

    name: str
    type: str
    old_type: str | None
    new_type: str | None

    def from_(self, alias: str) -> str:
        """Its value, taken from the old table or from the increment."""
        there = self.old_type if alias == DEST else self.new_type
        if there is None:
            return f"CAST(NULL AS {self.type}) AS {quoted(self.name)}"
        plain = f"{alias}.{quoted(self.name)}"
        return (
            plain if there == self.type else f"CAST({plain} AS {self.type}) AS {quoted(self.name)}"
        )


def columns_by_policy(site: Site, old: RelationState, new: RelationState) -> list[Column]:
    """The columns that the table will have, as ``on_schema_change`` says."""
    policy = site.model.config.get("on_schema_change")
    if policy not in {"fail", "append_new_columns", "sync_all_columns"}:
        policy = "ignore"
    was = {column.name: column.type for column in old.columns}
    comes = {column.name: column.type for column in new.columns}
    # Texts are given more room whatever the policy, unless a contract says how much they have.
    wide = {} if site.model.has_contract else widened(old.columns, new.columns)
    if policy == "ignore":
        missing = next((name for name in was if name not in comes), None)
        if missing is not None:
            raise _out_of_step(site, old, f"the model no longer has the column {missing}")
        kept = {name: type_ for name, type_ in was.items() if name not in wide}
        return [
            Column(name, type_, was[name], comes[name]) for name, type_ in {**kept, **wide}.items()
        ]
    if policy == "fail":
        differing = _difference(was | wide, comes)
        if differing:
            raise _out_of_step(site, old, differing)
    retyped: dict[str, str] = dict(wide)
    kept = {name: type_ for name, type_ in was.items() if name not in wide}
    if policy == "sync_all_columns":
        same = {name for name, type_ in kept.items() if not _differ(type_, comes.get(name))}
        # To dbt, a column of another type is a new one in the old one's place: it comes last.
        retyped |= {name: comes[name] for name in kept if name in comes and name not in same}
        kept = {name: type_ for name, type_ in kept.items() if name in same}
    added = {name: type_ for name, type_ in comes.items() if name not in was}
    return [
        Column(name, type_, was.get(name), comes.get(name))
        for name, type_ in {**kept, **added, **retyped}.items()
    ]


def is_reshaped(old: RelationState, columns: list[Column]) -> bool:
    """Whether ``columns`` differ from those of the table."""
    before = [(column.name, column.type) for column in old.columns]
    return [(column.name, column.type) for column in columns] != before


def alterations(old: RelationState, columns: list[Column], table: str) -> list[str]:
    """Statements that give ``table``, a copy of ``old``, these columns in this order."""
    stay = {column.name for column in columns if column.old_type == column.type}
    statements = []
    for column in columns:
        if column.name in stay:
            continue
        name, new = quoted(column.name), quoted(f"{column.name[:50]}__altered")
        if column.old_type is None:
            statements.append(f"ALTER TABLE {table} ADD COLUMN {name} {column.type}")
        else:
            statements += [
                f"ALTER TABLE {table} ADD COLUMN {new} {column.type}",
                f"UPDATE {table} SET {new} = CAST({name} AS {column.type})",
                f"ALTER TABLE {table} DROP COLUMN {name}",
                f"ALTER TABLE {table} RENAME COLUMN {new} TO {name}",
            ]
    gone = {column.name for column in old.columns} - {column.name for column in columns}
    statements += [f"ALTER TABLE {table} DROP COLUMN {quoted(name)}" for name in sorted(gone)]
    return statements


def columns_to_come(old: RelationState, new: RelationState) -> list[Column]:
    """The table's columns, wider where they must be, and after them what the query has gained."""
    was = {column.name: column.type for column in old.columns}
    comes = {column.name: column.type for column in new.columns}
    wide = widened(old.columns, new.columns)
    kept = {name: type_ for name, type_ in was.items() if name not in wide}
    added = {name: type_ for name, type_ in comes.items() if name not in was}
    return [
        Column(name, type_, was.get(name), comes.get(name))
        for name, type_ in {**kept, **added, **wide}.items()
    ]


def widened(old: tuple[ColumnState, ...], new: tuple[ColumnState, ...]) -> dict[str, str]:
    """The texts that are longer in the increment than in the table, with their new types."""
    room = {column.name: _room(column.type) for column in new}
    found = {}
    for column in old:
        here, there = _room(column.type), room.get(column.name)
        if here is not None and there is not None and there > here:
            found[column.name] = next(each.type for each in new if each.name == column.name)
    return found


def _room(type_: str) -> int | None:
    """How long a text may be, as dbt counts; None if it is no text."""
    name, _, size = type_.partition("(")
    if name not in _TEXTS:
        return None
    return int(size.rstrip(")")) if size else _UNSIZED


def _differ(old: str, new: str | None) -> bool:
    """Whether a column of the type ``old`` must be made anew to be one of ``new``."""
    if new is None or old == new:
        return new is None
    one, other = _room(old), _room(new)
    # A narrower text fits into a wider one.
    return not (one is not None and other is not None and one > other)


def _difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    for name in new:
        if name not in old:
            return f"the column {name} is new"
        if _differ(old[name], new[name]):
            return f"the column {name} is {new[name]} and was {old[name]}"
    gone = next((name for name in old if name not in new), None)
    return f"the model no longer has the column {gone}" if gone else ""


def _out_of_step(site: Site, old: RelationState, differing: str) -> ProjectError:
    return site.error(
        f"The model {site.model.name} and its table {old.local} are out of step: "
        f"{differing}. Run once with --full-refresh, or set on_schema_change to "
        "append_new_columns or sync_all_columns.",
        "on_schema_change",
    )
