"""Foreign keys between models that grow, which delete or change rows with those they refer to.

When a model deletes rows of its table, such a key takes rows of another model along, and that one
must read its own table without them. So before the first of the two is built, both tables are
copied aside, with the key between the copies. PostgreSQL then does the rest, as with dbt.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

import psycopg

from datapipe.transform.build import copies
from datapipe.transform.build.growth import strategy_of
from datapipe.transform.build.site import Site
from datapipe.transform.database import definitions
from datapipe.transform.database.catalog import RelationState
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model

_KEYS = """
SELECT k.confrelid::bigint, k.conrelid::bigint, k.conname, n.nspname, c.relname
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd') AND k.conrelid <> k.confrelid
  AND k.confrelid = ANY(%s::oid[])
"""


class Cascades:
    """Knows which of the models that grow take rows of others along; ``growing`` are their tables.

    ``building`` are all models of the run. Rows of a table that the run does not build, or not
    after those that take them along, go when all is published. Several threads may ask at once.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        manifest: Manifest,
        growing: Mapping[str, RelationState],
        building: Collection[Model],
    ) -> None:
        self._lock = threading.Lock()
        self._manifest = manifest
        self._growing = growing
        self._keys: dict[str, list[tuple[str, str]]] = {}
        # Of the models whose tables were copied: the keys that wait, as ALTER TABLE takes them.
        self._copied: dict[str, list[str]] = {}
        if len(growing) < 2:
            return
        models = {state.oid: key for key, state in growing.items()}
        anew = {each.relation.published for each in building if each.key not in growing}
        others = set()
        for to, of, name, schema, table in connection.execute(_KEYS, [list(models)]):
            if of in models and self._reads(models[of], models[to]):
                self._keys.setdefault(models[to], []).append((models[of], name))
            elif (schema, table) not in anew:
                others.add(models[to])
        for key in [key for key in self._keys if self._taken_by(key) & others]:
            del self._keys[key]

    def prepare(self, site: Site) -> None:
        """Copy the model's table if need be, and the tables whose rows it takes along."""
        key, has_hooks = site.model.key, site.model.has_hooks
        if key in self._copied:
            site.copied = True
            site.keys += self._copied[key]
        if key in self._keys and (has_hooks or strategy_of(site.model) == "delete+insert"):
            with self._lock:  # two models may take rows of one
                self._copy(site)

    def _copy(self, site: Site) -> None:
        """Copy the table of the model and those that it takes rows of, with their keys to it."""
        if not site.copied:
            copies.copy(site, self._growing[site.model.key])
        for of, name in self._keys.get(site.model.key, ()):
            other = Site(site.connection, self._manifest.models[of], site.compiler)
            other.copied = of in self._copied
            if other.copied:
                self._refer(other, name)
            self._copy(other)
            self._copied.setdefault(of, []).extend(other.keys)

    def _refer(self, site: Site, name: str) -> None:
        """Let a foreign key of the copy refer to a table that was copied later."""
        made = definitions.foreign_key(site.connection, site.model.relation.published, name)
        alter = f"ALTER TABLE {site.aside.local}"
        key = f"ADD CONSTRAINT {quoted(name)} {site.compiler.with_names_aside(made)}"
        execute(site.connection, f"{alter} DROP CONSTRAINT {quoted(name)}; {alter} {key}")

    def _taken_by(self, key: str) -> set[str]:
        """The model itself, and all others whose rows go with its rows."""
        return {key}.union(*(self._taken_by(of) for of, _ in self._keys.get(key, ())))

    def _reads(self, key: str, other: str) -> bool:
        """Whether one model waits for the other."""
        found: set[str] = set()
        edge = {key}
        while edge:
            edge = {ref for each in edge for ref in self._manifest.models[each].refs} - found
            found |= edge
        return other in found
