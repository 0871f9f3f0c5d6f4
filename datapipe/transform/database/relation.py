"""The name of a table or view, as templates see it."""

from __future__ import annotations

from dataclasses import dataclass, replace


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Relation:
    """What ``ref``, ``source`` and ``this`` give: written into SQL, it is the quoted full name."""

    database: str
    schema: str
    identifier: str
    type: str | None = None
    shown: tuple[bool, bool, bool] = (True, True, True)

    def __str__(self) -> str:
        parts = (self.database, self.schema, self.identifier)
        return ".".join(
            quoted(part) for part, is_shown in zip(parts, self.shown, strict=True) if is_shown
        )

    @property
    def name(self) -> str:
        return self.identifier

    @property
    def table(self) -> str:
        return self.identifier

    @property
    def is_view(self) -> bool:
        return self.type == "view"

    @property
    def is_table(self) -> bool:
        return self.type == "table"

    @property
    def is_cte(self) -> bool:
        return self.type == "ephemeral"

    @property
    def local(self) -> str:
        """The quoted name without the database, for statements and messages of our own."""
        return f"{quoted(self.schema)}.{quoted(self.identifier)}"

    def render(self) -> str:
        return str(self)

    def include(
        self, database: bool = True, schema: bool = True, identifier: bool = True
    ) -> Relation:
        """The same relation, written without some of its parts."""
        return replace(self, shown=(database, schema, identifier))

    def within(self, schema: str) -> Relation:
        """The relation of the same name in another schema."""
        return replace(self, schema=schema)


def ephemeral(name: str) -> Relation:
    """The relation that an ephemeral model is to those who select from it."""
    return Relation("", "", f"__dbt__cte__{name}", "ephemeral", (False, False, True))
