"""Makes functions aside, by the statement that the project's macros, or dbt's, write.

What the same run builds calls the function aside; readers go on calling the published one.
"""

from __future__ import annotations

import time

from datapipe.transform.build import materialization
from datapipe.transform.build.built import Built
from datapipe.transform.build.site import Site, Statements

_STATEMENT = "function_statement"  # the macro that calls another one by its name

# What this transaction has just made, of all that have its name.
_MADE = """
SELECT p.oid::bigint FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND p.proname = %s AND p.xmin = pg_current_xact_id()::xid
"""


def build(site: Site) -> Built:
    """Create the function; must be called within a transaction."""
    started = time.perf_counter()
    model, aside = site.model, site.aside
    statement = ""
    if site.is_custom:
        materialization.run(site)
    else:
        statement = _create(site)
    oids = made(site)
    if not oids:
        raise site.error(
            f"What is to make the function {model.name} has made no {aside.identifier}.",
            "materialized",
        )
    seconds = time.perf_counter() - started
    return Built(model, aside, None, seconds, function=oids[0], statement=statement)


def made(site: Site) -> list[int]:
    """The oids of the functions that this transaction has made in the model's place aside."""
    rows = site.connection.execute(_MADE, site.aside.standing)
    return [oid for (oid,) in rows]


def _create(site: Site) -> str:
    """Send the statement that makes the function; returns it."""
    model, aside, compiled = site.model, site.aside, site.compiled
    assert model.signature is not None  # noqa: S101 - only functions come here
    macro = model.signature.macro(model.config)
    seen = site.compiler.seen(model, compiled)
    own = {"sql": compiled.sql, "compiled_code": compiled.sql, "model": seen}
    text = str(site.compiler.call(model, _STATEMENT, [macro, aside], this=aside, own=own))
    text = text.rstrip().rstrip(";")
    before, found, after = text.partition(compiled.sql)
    statements = Statements()
    statements.add(site.compiler.with_names_aside(before), compiled if found else None, after)
    statements.execute(site.connection, compiled, site.compiler)
    return text
