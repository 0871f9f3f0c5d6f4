"""How a snapshot tells that a row has changed, and how it names each version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from datapipe.errors import DatapipeError
from datapipe.frozen import frozen
from datapipe.transform.build.increment import listed
from datapipe.transform.build.site import Site
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import quoted
from datapipe.warehouse.failures import class_of, failure

_HARD_DELETES = ("ignore", "invalidate", "new_record")


@frozen
class Strategy:
    """The settings of one snapshot as SQL.

    ``row_changed`` compares ``snapshotted_data`` with ``source_data``. ``open_end`` is the end of a
    version that has not ended, ``now`` the time of the run, and ``deleted_id`` the id of the
    version that says that a row is gone.
    """

    keys: tuple[str, ...]
    updated_at: str
    row_changed: str
    scd_id: str
    deleted_id: str
    hard_deletes: str
    names: Mapping[str, str]
    current: str
    now: str

    @property
    def key_names(self) -> tuple[str, ...]:
        if len(self.keys) == 1:
            return ("dbt_unique_key",)
        return tuple(f"dbt_unique_key_{number}" for number in range(1, len(self.keys) + 1))

    @property
    def open_end(self) -> str:
        """NULL, or what stands for it, with the type of ``updated_at``."""
        return f"coalesce(nullif({self.updated_at}, {self.updated_at}), {self.current or 'null'})"

    def is_open(self, valid_to: str) -> str:
        """A condition: the version whose end is ``valid_to`` has not ended."""
        if self.current:
            return f"({valid_to} = {self.current} OR {valid_to} IS NULL)"
        return f"{valid_to} IS NULL"


def strategy_of(site: Site, old: RelationState | None, source: Sequence[str]) -> Strategy:
    """The strategy that the settings name; ``source`` are the columns of the query.

    Raises ProjectError for a setting that is missing or not known.
    """
    config = site.model.config
    given = config.get("unique_key")
    if not given:
        raise site.error(f"The snapshot {site.model.name} needs a unique_key.", "snapshot")
    names = site.model.snapshot_columns
    now = (
        _called(site, "snapshot_get_time", [], through="current_timestamp")
        or "now()::timestamp without time zone"
    )
    keys = tuple(listed(given))
    name = str(config.get("strategy") or "")
    if site.compiler.is_overridden(f"snapshot_{name}_strategy"):
        return _of_macro(site, old, names, now)
    if name == "timestamp":
        updated_at = str(config.get("updated_at") or "")
        if not updated_at:
            raise site.error(
                f"The strategy timestamp of the snapshot {site.model.name} needs updated_at.",
                "snapshot",
            )
        changed = f"(snapshotted_data.{names['dbt_valid_from']} < source_data.{updated_at})"
    elif name == "check":
        updated_at = str(config.get("updated_at") or now)
        changed = _checked(site, old, source)
    else:
        return _of_macro(site, old, names, now)
    return Strategy(
        keys=keys,
        updated_at=updated_at,
        row_changed=changed,
        scd_id=_hashed(site, [*keys, updated_at]),
        deleted_id=_hashed(site, [f"snapshotted_data.{names['dbt_scd_id']}", now]),
        hard_deletes=_hard_deletes(site),
        names=names,
        current=str(config.get("dbt_valid_to_current") or "").strip(),
        now=now,
    )


def _checked(site: Site, old: RelationState | None, source: Sequence[str]) -> str:
    """A condition: one of ``check_cols`` has changed, or is new."""
    wanted = site.model.config.get("check_cols")
    if wanted == "all":
        columns = list(source)
    elif isinstance(wanted, (list, tuple)) and wanted:
        columns = [_as_given(str(name), source) for name in wanted]
    else:
        raise site.error(
            f"The strategy check of the snapshot {site.model.name} needs check_cols: a list of "
            "columns, or all.",
            "check_cols",
        )
    if old is None:
        return "false"
    for name in columns:
        if name not in source:  # else each row would count as changed in every run
            raise site.error(
                f"The query of the snapshot {site.model.name} has no column {name}, which "
                f"check_cols lists. It has {', '.join(source)}.",
                "check_cols",
                name,
            )
    there = {column.name for column in old.columns}
    if any(name not in there for name in columns):
        return "true"
    return "({})".format(
        " OR ".join(
            f"snapshotted_data.{quoted(name)} IS DISTINCT FROM source_data.{quoted(name)}"
            for name in columns
        )
    )


def _as_given(name: str, source: Sequence[str]) -> str:
    """The column of the query that ``name`` means, which may be quoted or not."""
    plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
    return plain if plain in source else plain.lower()


def _hard_deletes(site: Site) -> str:
    config = site.model.config
    given, old_word = config.get("hard_deletes"), config.get("invalidate_hard_deletes")
    if given is not None and old_word is not None:
        raise site.error(
            f"The snapshot {site.model.name} has both hard_deletes and invalidate_hard_deletes. "
            "Keep hard_deletes.",
            "hard_deletes",
        )
    if old_word:
        return "invalidate"
    if given is not None and given not in _HARD_DELETES:
        raise site.error(
            f"hard_deletes must be one of {', '.join(_HARD_DELETES)}, not {given}.", "hard_deletes"
        )
    return str(given or "ignore")


def _of_macro(
    site: Site, old: RelationState | None, names: Mapping[str, str], now: str
) -> Strategy:
    """The strategy that a macro of the project describes."""
    made = made_by_macro(site, exists=old is not None)
    return Strategy(
        keys=tuple(listed(made["unique_key"])),
        updated_at=str(made["updated_at"]),
        row_changed=str(made["row_changed"]),
        scd_id=str(made["scd_id"]),
        deleted_id=_hashed(site, [f"snapshotted_data.{names['dbt_scd_id']}", now]),
        hard_deletes=str(
            made.get("hard_deletes")
            or ("invalidate" if made.get("invalidate_hard_deletes") else "ignore")
        ),
        names=names,
        current=str(site.model.config.get("dbt_valid_to_current") or "").strip(),
        now=now,
    )


def made_by_macro(site: Site, *, exists: bool) -> Mapping[str, Any]:
    """What the macro of the strategy returns; ``exists`` is whether there is a table already."""
    name = str(site.model.config.get("strategy") or "")
    package, _, bare = name.rpartition(".")
    macro = f"{package}.snapshot_{bare}_strategy" if package else f"snapshot_{bare}_strategy"
    if not name or not site.compiler.renderer.macros.has(macro):
        raise site.error(
            f"There is no strategy {name or 'given'}. It must be timestamp or check, unless the "
            f"project has a macro {macro}.",
            "strategy",
        )
    node = site.compiler.seen(site.model, site.compiled)
    values = [node, "snapshotted_data", "source_data", node["config"], exists]
    made: Mapping[str, Any] = site.compiler.call(site.model, macro, values)
    return made


def not_taken(site: Site, error: psycopg.Error, cure: str) -> DatapipeError:
    """The error for new versions that the snapshot's table does not take."""
    name = site.model.name
    if class_of(error) not in {"21", "22", "23", "42"}:
        return failure(error, f"the snapshot {name}")
    said = error.diag.message_primary
    return site.error(
        f"PostgreSQL cannot bring the new versions into the snapshot {name}: {said}. {cure}",
        "unique_key",
    )


def _hashed(site: Site, values: Sequence[str]) -> str:
    made = _called(site, "snapshot_hash_arguments", [list(values)])
    if made:
        return made
    parts = (f"coalesce(cast({value} as varchar), '')" for value in values)
    joined = " || '|' || ".join(parts)
    return f"md5({joined})"


def _called(site: Site, macro: str, values: list[Any], *, through: str = "") -> str:
    """What the macro writes, if the project has its own, or its own ``through``; else nothing."""
    if not any(name and site.compiler.is_overridden(name) for name in (macro, through)):
        return ""
    made = str(site.compiler.call(site.model, macro, values))
    return made if "--" in made else made.strip()  # a comment must end before what follows
