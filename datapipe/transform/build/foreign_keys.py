"""Foreign keys of a table that is built aside.

What they refer to may stand aside as a view, if it grows, and no key can refer to a view. Such a
key waits: it is added when the published table has grown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from datapipe.transform.build.contract import written
from datapipe.transform.build.site import Site
from datapipe.transform.database import definitions
from datapipe.transform.database.quoting import NAME, statements
from datapipe.transform.manifest.nodes import Column

_REFERENCES = "REFERENCES "
_NAMES = rf"{NAME}(?:\s*\.\s*{NAME}){{0,2}}"
_ALTERING = rf"\s*alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?P<table>{_NAMES})\s+"
_ADDING = rf"(?is){_ALTERING}(?P<actions>add\s.*\sreferences\s+(?P<to>{_NAMES}).*)"
_DROPPING = (
    rf"(?is){_ALTERING}drop\s+constraint\s+(?:if\s+exists\s+)?(?P<key>{NAME})"
    r"(?:\s+(?:cascade|restrict))?\s*"
)
_ADDED = rf"(?is)\s*add\s+constraint\s+(?P<key>{NAME})"


def declared(site: Site, columns: Sequence[Column]) -> list[str]:
    """The keys of the contract that need not wait, as ALTER TABLE takes them."""
    given = [(written(column), each) for column in columns for each in column.constraints]
    given += [
        (", ".join(map(str, each.get("columns") or [])), each) for each in site.model.constraints
    ]
    found = []
    for names, each in given:
        if each.get("type") == "foreign_key":
            name = f"CONSTRAINT {each['name']} " if each.get("name") else ""
            found.append((f"ADD {name}FOREIGN KEY ({names}) ", *_referred(site, each)))
    return settled(site, found)


def settled(site: Site, keys: Sequence[tuple[str, str, str]]) -> list[str]:
    """Those of ``keys`` that need not wait; ``site`` keeps the others.

    Of each key there is its beginning, and what it refers to: now, and when that is published.
    """
    now = []
    for key, refers, published in keys:
        there, to_come = _name_in(refers), _name_in(published)
        if refers != published and _is_view(site, there) and not _is_view(site, to_come):
            site.keys.append(key + published)
        else:
            now.append(key + refers)
    return now


def without_waiting(site: Site, text: str) -> str | None:
    """The part of a hook's ``text`` to send at once; None if all of it is.

    ``site`` keeps the keys that the other part adds to the model's table.
    """
    now, before = [], len(site.keys)
    for statement in statements(text):
        key = re.fullmatch(_ADDING, statement)
        if (
            key is None
            or not definitions.mentions(key["table"], site.aside.standing)
            or not _is_view(site, key["to"])
        ):
            now.append(statement)
            continue
        models = site.compiler.manifest.models.values()
        names = {site.compiler.place(each).standing: each.relation for each in models}
        published = {name: relation.published_local for name, relation in names.items()}
        site.keys.append(definitions.renamed(key["actions"], published))
    return ";".join(now) if len(site.keys) > before else None


def without_dropped(site: Site, text: str) -> str:
    """``text`` of a hook without statements that drop waiting keys; ``site`` forgets those keys."""
    if not site.keys:
        return text
    now = []
    for statement in statements(text):
        dropped = re.fullmatch(_DROPPING, statement)
        if dropped is None or not definitions.mentions(dropped["table"], site.aside.standing):
            now.append(statement)
            continue
        name = definitions.plain(dropped["key"])
        left = [key for key in site.keys if _name_of(key) != name]
        if left == site.keys:
            now.append(statement)
        site.keys = left
    return ";".join(now)


def _name_of(key: str) -> str:
    added = re.match(_ADDED, key)
    return definitions.plain(added["key"]) if added else ""


def _referred(site: Site, given: Mapping[str, Any]) -> tuple[str, str]:
    to, columns = given.get("to"), given.get("to_columns")
    if not to or not columns:
        published = f"{_REFERENCES}{given.get('expression') or ''}"
        return site.compiler.with_names_aside(published), published
    now, published = (
        f"{_REFERENCES}{compiler.text(site.model, f'{{{{ {to} }}}}')}"
        for compiler in (site.compiler, site.compiler.at(lambda model: model.relation))
    )
    of = f" ({', '.join(map(str, columns))})"
    return now + of, published + of


def _name_in(refers: str) -> str:
    return refers.partition(_REFERENCES)[2].partition("(")[0].strip()


def _is_view(site: Site, name: str) -> bool:
    row = site.connection.execute(
        "SELECT relkind = 'v' FROM pg_class WHERE oid = to_regclass(%s)", [name]
    ).fetchone()
    return row is not None and bool(row[0])
