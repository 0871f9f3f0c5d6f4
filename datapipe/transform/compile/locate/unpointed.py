"""Where an error lies when PostgreSQL points nowhere, or at what stands round the compiled SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import psycopg
from psycopg.errors import DatatypeMismatch

from datapipe.errors import DatapipeError
from datapipe.transform.compile import Compiled, Compiler, guess
from datapipe.transform.compile.columns import place_of_column
from datapipe.transform.compile.locate.cause import Cause
from datapipe.transform.compile.locate.place import TemplatePlace, sql_place
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import below, place_of_setting
from datapipe.transform.manifest.tests import DataTest

_OTHERS_AT_MOST = 3


def cause(error: psycopg.Error, compiled: Compiled, compiler: Compiler) -> Cause:
    """What may have led to an error that came up among the rows, and how sure that is."""
    node = compiled.node
    for each in (compiled, *_views(node, compiler)):
        offsets = guess.likely_offsets(error, each.sql)
        if not offsets:
            continue
        # What a test is about is often an argument of it, in YAML.
        word = next(iter(guess.names(error)), "") if isinstance(node, DataTest) else ""
        places = [sql_place(compiler, each, at, word) for at in offsets[: 1 + _OTHERS_AT_MOST]]
        of = "" if each is compiled else f" in {each.node.name}, which {node.name} reads"
        others = dict.fromkeys(str(place) for place in places if str(place) != str(places[0]))
        more = f" PostgreSQL does not say where; it is likely here{of}"
        more += f"{', or at ' if others else ''}{', or at '.join(others)}."
        # Nothing is certain enough to be marked.
        return Cause(replace(places[0], word="", column=None), more)
    return Cause(setting(error, node, compiler))


def setting(error: psycopg.Error, node: Model | DataTest, compiler: Compiler) -> TemplatePlace:
    """The setting that has what the message names: settings make up what is round the SQL."""
    if isinstance(node, DataTest):
        found = (below(node.path, node.line, name) for name in guess.names(error))
        return TemplatePlace(node.path, next((line for line in found if line), node.line))
    for column in guess.columns_of_type(error, node.columns):
        path, line = place_of_setting(node, f"name: {column}", "data_type")
        if line is not None:
            return TemplatePlace(path, line)
    for name in guess.names(error):
        path, line = node.path, None
        if isinstance(error, DatatypeMismatch):  # what the query gives is not what is there
            path, line = place_of_column(node, name)
        if line is None:
            path, line = place_of_setting(node, name, project=compiler.manifest.project)
        if line is not None:
            return TemplatePlace(path, line)
    # What a snapshot has beside its query compares that.
    compares = node.resource_type == "snapshot" and (error.sqlstate or "")[:2] == "42"
    return (
        TemplatePlace(*place_of_setting(node, "updated_at"))
        if compares
        else TemplatePlace(node.path, None)
    )


def _views(node: Model | DataTest, compiler: Compiler) -> Iterator[Compiled]:
    """The views that ``node`` reads, itself or through others, the nearest first."""
    models = compiler.manifest.models
    waiting, seen = list(node.refs), set(node.refs)
    while waiting:
        model = models[waiting.pop(0)]
        if model.materialized not in {"view", "ephemeral"}:
            continue
        if model.materialized == "view":
            with suppress(DatapipeError):
                yield compiler.model(model)
        waiting += [key for key in model.refs if key not in seen]
        seen.update(model.refs)
