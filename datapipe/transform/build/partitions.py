"""The partitions of a table that stands aside, which are published with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from datapipe.transform.build.built import Built
from datapipe.transform.build.site import Site
from datapipe.transform.database.relation import Relation, quoted

_PARTITIONS = """
SELECT c.relname FROM pg_partition_tree(to_regclass(%s)) t JOIN pg_class c ON c.oid = t.relid
WHERE t.level > 0 AND c.relnamespace = to_regnamespace(%s) ORDER BY t.level, c.relname
"""


def of(site: Site) -> Iterator[Relation]:
    """The partitions of the model's table, which stand aside with it."""
    schema = site.aside.standing[0]
    for (name,) in site.connection.execute(_PARTITIONS, [site.aside.local, quoted(schema)]):
        yield replace(site.aside, identifier=name)


def part(built: Built, relation: Relation) -> Built:
    """A partition as a relation of the same model; it may have grants of its own."""
    schema, identifier = relation.published
    published = Relation(relation.database, schema, identifier, relation.type)
    config = {key: value for key, value in built.model.config.items() if key != "grants"}
    model = replace(built.model, relation=published, config=config)
    return replace(built, model=model, aside=relation, moves=True, also=())
