"""The names under which a run has what it builds, and those under which readers will find it."""

from __future__ import annotations

from datapipe.transform.build import aside, growth
from datapipe.transform.database.relation import quoted
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model


class Names:
    """``asides`` has, for what lies aside, what it is called when it is published.

    ``ours`` are those names; ``schemas`` are the published ones, and ``functions`` are the
    project's own, without a schema.
    """

    def __init__(self, manifest: Manifest) -> None:
        models = manifest.models.values()
        self.asides: dict[str, str] = {}
        for model in models:
            for suffix in (aside.BUILD, growth.SUFFIX):
                if model.relation.schema:
                    schema = aside.beside(model.relation.schema, suffix)
                    local = f"{quoted(schema)}.{quoted(model.relation.identifier)}"
                    self.asides[local] = model.relation.local
        self.ours = frozenset(self.asides.values())
        self.schemas = {each.relation.published[0] for each in models}
        self.functions = {each.relation.published[1] for each in models if each.is_function}

    def published(self, model: Model, types: str) -> str:
        """What ``model`` is called when it is published; ``types`` are those that it takes."""
        if not model.is_function:
            return model.relation.local
        return f"{model.relation.local}({aside.in_public(types, self.schemas)})"
