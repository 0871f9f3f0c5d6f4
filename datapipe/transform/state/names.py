"""The names aside of what a run builds, and the published ones."""

from __future__ import annotations

from datapipe.transform.build import aside, growth
from datapipe.transform.database.relation import quoted
from datapipe.transform.manifest import Manifest
from datapipe.transform.manifest.nodes import Model


class Names:
    """``asides`` has the published names by the names aside.

    ``ours`` are the published names, ``schemas`` the published schemas, and ``functions`` the names
    of the project's functions, without a schema.
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
        """The published name of ``model``; ``types`` are those of a function's arguments."""
        if not model.is_function:
            return model.relation.local
        return f"{model.relation.local}({aside.in_public(types, self.schemas)})"
