"""Seeds whose table the project creates or fills itself; dbt's macros do the rest.

They find a copy of the published table, as dbt keeps that and changes its rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from datapipe.transform.build import copies, seed_file
from datapipe.transform.build.built import Built
from datapipe.transform.build.growth import refreshes_fully
from datapipe.transform.build.site import Site
from datapipe.transform.build.table import finish
from datapipe.transform.database import catalog
from datapipe.transform.database.statements import analyzed, execute
from datapipe.transform.jinja.tables import Table
from datapipe.transform.manifest.nodes import Model


def build(site: Site) -> Built:
    """Have the project's macros make the table aside, or change a copy of the published one."""
    started = time.perf_counter()
    table = agate_table(site.model)
    anew = refreshes_fully(site.model, site.compiler.options.full_refresh)
    place = site.model.relation.published
    old = catalog.states(site.connection, [place]).get(place)
    if old is not None and old.kind == "r":
        copies.copy(site, old)
        made = _called(site, "reset_csv_table", anew, site.aside, table)
    else:
        made = _called(site, "create_csv_table", table)
    filled = _called(site, "load_csv_rows", table) if table.rows else ""
    site.compiler.call(site.model, "get_csv_sql", [made, filled], this=site.aside)
    if anew or not site.copied:
        finish(site, site.aside)
    else:
        execute(site.connection, analyzed(site.aside.local))
    return Built(site.model, site.aside, len(table.rows), time.perf_counter() - started)


def agate_table(seed: Model) -> Table:
    """The file of ``seed`` as dbt reads it."""
    read = seed_file.read(seed)
    names, types = [name for name, _ in read.columns], [type_ for _, type_ in read.columns]
    return Table((_values(row, types) for row in read.rows), names, types)


def _called(site: Site, macro: str, *values: Any) -> Any:
    node = site.compiler.seen(site.model, None)
    return site.compiler.call(
        site.model, macro, [node, *values], this=site.aside, own={"model": node}
    )


def _values(row: Sequence[Any], types: Sequence[str]) -> list[Any]:
    """A row as dbt gives it: numbers with a fraction are Decimal."""
    whole = [
        isinstance(value, Decimal) and type_ != "float8"
        for value, type_ in zip(row, types, strict=True)
    ]
    return [int(value) if is_whole else value for value, is_whole in zip(row, whole, strict=True)]
