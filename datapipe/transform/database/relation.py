"""The name of a table or view, as templates see it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Any, ClassVar

from datapipe.frozen import frozen

Parts = tuple[bool, bool, bool]
PARTS = ("database", "schema", "identifier")
_ALL: Parts = (True, True, True)
_RENAMED = ("table", "view")  # the types that are renamed, and replaced by others
LONGEST_NAME = 63  # what PostgreSQL keeps of an identifier, in bytes


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class RelationType(StrEnum):
    """dbt's words for what a relation can be."""

    Table = "table"
    View = "view"
    CTE = "cte"
    MaterializedView = "materialized_view"
    Ephemeral = "ephemeral"
    External = "external"
    PointerTable = "pointer_table"
    Function = "function"


@frozen
class Relation(Mapping[str, Any]):
    """What ``ref``, ``source`` and ``this`` give: written into SQL, it is the quoted full name.

    ``stands_in`` is the schema in which a run keeps it until it is published. That is the one which
    is written into SQL; templates that ask for ``schema`` get the one in which it will be
    published. It is a mapping as well, since packages tell a relation from a string by that.
    """

    database: str
    schema: str
    identifier: str
    type: str | None = None
    shown: Parts = _ALL
    quoting: Parts = _ALL
    stands_in: str | None = field(default=None, compare=False)

    Table: ClassVar = "table"
    View: ClassVar = "view"
    CTE: ClassVar = "cte"
    MaterializedView: ClassVar = "materialized_view"
    External: ClassVar = "external"
    Function: ClassVar = "function"
    get_relation_type: ClassVar = RelationType
    quote_character: ClassVar = '"'

    def __str__(self) -> str:
        names = (self.database, self.stands_in or self.schema, self.identifier)
        return ".".join(
            quoted(name) if is_quoted else name
            for name, is_shown, is_quoted in zip(names, self.shown, self.quoting, strict=True)
            if is_shown and name
        )

    def __repr__(self) -> str:
        return f"<Relation {self}>"

    def __getitem__(self, key: str) -> Any:
        if key in _KEYS:
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)

    def get(self, key: str, default: Any = None) -> Any:
        return {"type": "Relation"} if key == "metadata" else super().get(key, default)

    @classmethod
    def create(
        cls,
        database: str | None = None,
        schema: str | None = None,
        identifier: str | None = None,
        type: str | None = None,  # noqa: A002 - dbt's word
        **options: Any,
    ) -> Relation:
        """dbt's ``api.Relation.create``: parts that are not given are not written."""
        relation = cls(database or "", schema or "", identifier or "", _type(type))
        policies = ("quote_policy", "include_policy")
        return relation.incorporate(**{key: options[key] for key in policies if key in options})

    @classmethod
    def scd_args(cls, primary_key: str | list[str], updated_at: str) -> list[str]:
        """What a snapshot hashes to tell one version of a row from another."""
        keys = primary_key if isinstance(primary_key, list) else [primary_key]
        return [*keys, updated_at]

    @staticmethod
    def add_ephemeral_prefix(name: str) -> str:
        return f"__dbt__cte__{name}"

    @staticmethod
    def get_default_quote_policy() -> dict[str, bool]:
        return dict.fromkeys(PARTS, True)

    @staticmethod
    def get_default_include_policy() -> dict[str, bool]:
        return dict.fromkeys(PARTS, True)

    @property
    def name(self) -> str:
        return self.identifier

    @property
    def table(self) -> str:
        return self.identifier

    @property
    def path(self) -> Relation:
        """dbt keeps the three names under ``path``; here they are the relation's own."""
        return self

    @property
    def is_view(self) -> bool:
        return self.type == "view"

    @property
    def is_table(self) -> bool:
        return self.type == "table"

    @property
    def is_cte(self) -> bool:
        return self.type in {"cte", "ephemeral"}

    @property
    def is_materialized_view(self) -> bool:
        return self.type == "materialized_view"

    @property
    def is_function(self) -> bool:
        return self.type == "function"

    @property
    def can_be_renamed(self) -> bool:
        return self.type in _RENAMED

    @property
    def can_be_replaced(self) -> bool:
        return self.type in _RENAMED

    @property
    def quote_policy(self) -> dict[str, bool]:
        return dict(zip(PARTS, self.quoting, strict=True))

    @property
    def include_policy(self) -> dict[str, bool]:
        return dict(zip(PARTS, self.shown, strict=True))

    @property
    def published(self) -> tuple[str, str]:
        """The schema and the name it has for readers, as the catalog spells them."""
        _, schema, identifier = self.quoting
        return _folded(self.schema, schema), _folded(self.identifier, identifier)

    @property
    def standing(self) -> tuple[str, str]:
        """The schema and the name under which it can be read now, as the catalog spells them."""
        schema, identifier = self.published
        return self.stands_in or schema, identifier

    @property
    def local(self) -> str:
        """The quoted name under which it can be read now, without the database."""
        return ".".join(map(quoted, self.standing))

    @property
    def published_local(self) -> str:
        """The quoted name under which readers find it, without the database."""
        return ".".join(map(quoted, self.published))

    def render(self) -> str:
        return str(self)

    def to_dict(self, omit_none: bool = False) -> dict[str, Any]:
        """All that dbt's relation holds, for templates that log it or keep it."""
        found = {
            "path": {part: getattr(self, part) or None for part in PARTS},
            "type": self.type,
            "quote_character": self.quote_character,
            "include_policy": self.include_policy,
            "quote_policy": self.quote_policy,
            "dbt_created": False,
            "limit": None,
            "event_time_filter": None,
            "require_alias": True,
            "catalog": None,
            "renameable_relations": list(_RENAMED),
            "replaceable_relations": list(_RENAMED),
        }
        return _without_none(found) if omit_none else found

    def quoted(self, identifier: str) -> str:
        return quoted(identifier)

    def include(
        self,
        database: bool | None = None,
        schema: bool | None = None,
        identifier: bool | None = None,
    ) -> Relation:
        """The same relation, written with or without some of its parts."""
        return replace(self, shown=_changed(self.shown, database, schema, identifier))

    def quote(
        self,
        database: bool | None = None,
        schema: bool | None = None,
        identifier: bool | None = None,
    ) -> Relation:
        """The same relation, with some of its parts written in quotes or as they are."""
        return replace(self, quoting=_changed(self.quoting, database, schema, identifier))

    def incorporate(self, **options: Any) -> Relation:
        """The same relation with another path, type or policy."""
        changed = self.replace_path(**options.get("path") or {})
        if options.get("include_policy"):
            changed = changed.include(**options["include_policy"])
        if options.get("quote_policy"):
            changed = changed.quote(**options["quote_policy"])
        return replace(changed, type=_type(options["type"])) if "type" in options else changed

    def replace_path(self, **names: str | None) -> Relation:
        """The relation of another name; in another schema, it does not stand aside."""
        database, schema, identifier = (
            (names[part] or "") if part in names else getattr(self, part) for part in PARTS
        )
        stands_in = self.stands_in if schema == self.schema else None
        return replace(
            self, database=database, schema=schema, identifier=identifier, stands_in=stands_in
        )

    def without_identifier(self) -> Relation:
        return self.include(identifier=False).replace_path(identifier=None)

    def information_schema(self, view_name: str | None = None) -> Relation:
        """The view of that name in the information schema of the relation's database."""
        name = view_name if isinstance(view_name, str) else ""
        quoting = (self.quoting[0], False, False)
        return Relation(self.database, "INFORMATION_SCHEMA", name, "view", self.shown, quoting)

    def information_schema_only(self) -> Relation:
        return self.information_schema()

    def matches(
        self,
        database: str | None = None,
        schema: str | None = None,
        identifier: str | None = None,
    ) -> bool:
        """Whether those of the names that are given are this relation's."""
        given = zip(PARTS, (database, schema, identifier), strict=True)
        return all(name is None or getattr(self, part) == name for part, name in given)

    def relation_max_name_length(self) -> int:
        return LONGEST_NAME

    def at(self, schema: str) -> Relation:
        """The same relation, standing in ``schema`` until it is published."""
        return replace(self, stands_in=schema)

    def within(self, schema: str) -> Relation:
        """The relation of the same name in another schema."""
        return replace(self, schema=schema, stands_in=None)


_KEYS = (*PARTS, "type", "path", "quote_policy", "include_policy")


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def _folded(name: str, is_quoted: bool) -> str:
    return name if is_quoted else name.lower()


def _changed(
    parts: Parts, database: bool | None, schema: bool | None, identifier: bool | None
) -> Parts:
    return (
        parts[0] if database is None else bool(database),
        parts[1] if schema is None else bool(schema),
        parts[2] if identifier is None else bool(identifier),
    )


def parts_of(given: Mapping[str, Any]) -> Parts:
    """Whether each part of a name is quoted: as ``given`` says, and yes where it does not."""
    database, schema, identifier = (bool(given.get(part, True)) for part in PARTS)
    return database, schema, identifier


def _type(type_: Any) -> str | None:
    return None if type_ is None else str(type_)


def ephemeral(name: str) -> Relation:
    """An ephemeral model as those see it that select from it: the name of a CTE."""
    identifier = Relation.add_ephemeral_prefix(name)
    plain = re.fullmatch(r"\w+", identifier) is not None
    return Relation("", "", identifier, "cte", quoting=(True, True, not plain))
