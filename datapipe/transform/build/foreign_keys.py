"""Foreign keys of a table that is built aside, to where the run has what they refer to.

What grows stands aside as a view, which no key can refer to: such a key waits until the table that
is published has grown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datapipe.transform.build.contract import written
from datapipe.transform.build.site import Site
from datapipe.transform.manifest.nodes import Column

_REFERENCES = "REFERENCES "


def declared(site: Site, columns: Sequence[Column]) -> list[str]:
    """Those of the contract that need not wait, as ALTER TABLE takes them."""
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
    """Those of ``keys`` that need not wait, at once; ``site`` keeps the others.

    Of each there is what it begins with, and what it refers to: now, and when that is published.
    """
    now = []
    for key, refers, published in keys:
        if refers != published and _is_view(site, refers) and not _is_view(site, published):
            site.keys.append(key + published)
        else:
            now.append(key + refers)
    return now


def _referred(site: Site, given: Mapping[str, Any]) -> tuple[str, str]:
    to, columns = given.get("to"), given.get("to_columns")
    if not to or not columns:
        published = f"{_REFERENCES}{given.get('expression') or ''}"
        return site.compiler.standing(published), published
    now, published = (
        f"{_REFERENCES}{compiler.text(site.model, f'{{{{ {to} }}}}')}"
        for compiler in (site.compiler, site.compiler.at(lambda model: model.relation))
    )
    of = f" ({', '.join(map(str, columns))})"
    return now + of, published + of


def _is_view(site: Site, refers: str) -> bool:
    name = refers.partition(_REFERENCES)[2].partition("(")[0].strip()
    row = site.connection.execute(
        "SELECT relkind = 'v' FROM pg_class WHERE oid = to_regclass(%s)", [name]
    ).fetchone()
    return row is not None and bool(row[0])
