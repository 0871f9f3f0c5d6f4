"""The table that would keep the rows of a data test, as macros of its project name it."""

from __future__ import annotations

from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.tests import DataTest

AUDIT = "dbt_test__audit"


def name_of_test(test: DataTest, renderer: Renderer) -> Relation:
    """The schema and the name that the project's macros give it, as they do to a model."""
    node = {**test.as_template_sees_it(), "config": {"schema": AUDIT, **test.config}}
    names = {}
    for macro, setting, given in (
        ("generate_schema_name", "schema", test.config.get("schema") or AUDIT),
        ("generate_alias_name", "alias", test.alias or test.name),
    ):
        said = renderer.call(
            macro,
            {f"custom_{setting}_name": given, "node": node},
            {"node": node},
            path=test.path,
            line=test.line,
            model=test.of,
            package=test.package,
        )
        names[setting] = str(said).strip()
    return Relation(renderer.target["dbname"], names["schema"], names["alias"])
