"""Finds what statements of hooks name where the run has it, aside.

A name may stand without a schema, if the schema of a model is on the search path. An index is found
by the table it is on, as PostgreSQL keeps both in one schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from datapipe.transform.build import views_of_hooks
from datapipe.transform.build.site import Site
from datapipe.transform.database import definitions
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.quoting import NAME
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import literal

_ALONE = r"(?!\s*\.|\w)"
# What a statement makes under a bare name.
_MAKING = rf"""(?ix)(?:^|;)\s*create\s+(?:or\s+replace\s+)?(?:unlogged\s+|materialized\s+)?
    (?:table|view|sequence|type|domain|function|procedure|aggregate)\s+
    (?:if\s+not\s+exists\s+|(?!if\s+not\b))(?P<name>{NAME}){_ALONE}"""
# The table that a statement is about or that a key refers to, under a bare name.
_ABOUT = rf"""(?ix)(?:\breferences|(?:^|;)\s*(?:
    (?:insert|merge)\s+into|(?:delete\s+from|update)(?:\s+only)?|truncate(?:\s+table)?(?:\s+only)?
    |alter\s+table(?:\s+if\s+exists)?(?:\s+only)?|comment\s+on\s+(?:table|view)
    |(?:analy[sz]e|vacuum)(?:\s+verbose)?|(?:grant|revoke)\s[^;]*?\son(?:\s+table)?
    |create\s+(?:unique\s+)?index\s[^;(]*?\bon(?:\s+only)?
    ))\s+(?P<name>{NAME}){_ALONE}"""
_INDEX = rf"(?:{NAME}\s*\.\s*)?{NAME}"
_INDEXES = rf"""(?ix)\b(?:drop|alter)\s+index\s+(?:concurrently\s+)?(?:if\s+exists\s+)?
    (?P<names>{_INDEX}(?:\s*,\s*{_INDEX})*)"""
_IS_CODE = r"(?i)\s*do\b"
# Calls that put names together, in code that sends statements.
_PUTS_NAMES = r"(?i)\b(?:format|quote_ident)\s*\((?:[^()]|\([^()]*\))*\)"
_ON = """
SELECT t.relnamespace::regnamespace::text, t.relname
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""


def aside(site: Site, text: str, *, is_after: bool) -> str:
    """``text`` with the names of what the run has aside, and with what it makes put where it stays.

    ``is_after`` is True for a post_hook.
    """
    own, schema = site.model.relation, site.compiler.made_in()
    if schema:
        text = _in_full(site, text, schema)
    text = definitions.renamed(text, {own.published: site.aside.local})
    text = _beside_published(site, text)
    text = _in_its_place(site, text)
    if is_after:
        text = views_of_hooks.made_aside(site, text)
    if schema:
        text = _made_in(schema, text, keeps=own.identifier)
    return in_code(site, _indexes(text, lambda name: _schema_of_index(site, name)))


def in_code(site: Site, text: str) -> str:
    """``text``, if it is a DO block about the model, with the schema aside in names it composes.

    Such code has the model's name as strings, which it puts into statements.
    """
    schema, identifier = site.model.relation.published
    if not re.match(_IS_CODE, text) or literal(identifier)[:-1] not in text:
        return text
    there = literal(site.aside.standing[0])
    return re.sub(_PUTS_NAMES, lambda found: found[0].replace(literal(schema), there), text)


def indexes_from(text: str, schema: str, to: str) -> str:
    """``text`` that drops or alters indexes in ``schema``, with those in ``to`` instead."""
    return _indexes(text, lambda name: to if name[0] == schema else None)


def has_indexes_of(text: str, schema: str) -> bool:
    """Whether ``text`` drops or alters indexes in ``schema``."""
    return indexes_from(text, schema, f"{schema}?") != text


def _in_full(site: Site, text: str, schema: str) -> str:
    """``text`` with full names for the models that its statements are about."""
    models = site.compiler.manifest.models.values()

    def named(found: re.Match[str]) -> str:
        name = (schema, definitions.plain(found["name"]))
        is_model = any(each.relation.published == name for each in models)
        return _with_schema(found, schema) if is_model else found[0]

    return re.sub(_ABOUT, named, text)


def _beside_published(site: Site, text: str) -> str:
    """``text`` with the published schema for names made of the model's, as for a backup of it."""
    schema = site.aside.standing[0]
    others = definitions.named(text, schema) - {site.aside.standing}
    if others:
        models = site.compiler.manifest.models.values()
        others -= {site.compiler.place(each).standing for each in models}
    published = quoted(site.model.relation.published[0])
    return definitions.renamed(text, {each: f"{published}.{quoted(each[1])}" for each in others})


def _in_its_place(site: Site, text: str) -> str:
    """``text`` with the tables that it makes put aside, if it gives one the model's name."""
    (schema, identifier), there = site.model.relation.published, quoted(site.aside.standing[0])
    names = re.finditer(rf"(?i)\brename\s+to\s+({NAME}){_ALONE}", text)
    if all(definitions.plain(each[1]) != identifier for each in names):
        return text
    made = {
        tuple(definitions.plain(part) for part in re.findall(NAME, each[1]))[-2:]
        for each in re.finditer(
            rf"(?i)\bcreate\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?"
            rf"((?:{NAME}\s*\.\s*){{1,2}}{NAME})",
            text,
        )
    }
    return definitions.renamed(
        text,
        {name: f"{there}.{quoted(name[1])}" for name in definitions.named(text, schema) & made},
    )


def _made_in(schema: str, text: str, *, keeps: str) -> str:
    """``text`` with ``schema`` before bare names of what it makes, except the model's, ``keeps``.

    Aside, what it makes would be dropped when the run fails, and readers would not find it before.
    """

    def named(found: re.Match[str]) -> str:
        is_kept = found["name"].strip('"') == keeps
        return found[0] if is_kept else _with_schema(found, schema)

    return re.sub(_MAKING, named, text)


def _with_schema(found: re.Match[str], schema: str) -> str:
    before = found[0][: found.start("name") - found.start()]
    return f"{before}{quoted(schema)}.{found['name']}"


def _schema_of_index(site: Site, name: Name) -> str | None:
    """The schema of a model's index in this run; one that does not exist is this model's."""
    published = site.model.relation.published
    if (name[0] or site.compiler.made_in()) != published[0]:
        return None
    row = site.connection.execute(_ON, [published[0], name[1]]).fetchone()
    if row is None or row == published:
        return site.aside.standing[0]
    models = site.compiler.manifest.models.values()
    other = next((each for each in models if each.relation.published == row), None)
    return None if other is None else site.compiler.place(other).standing[0]


def _indexes(text: str, schema_of: Callable[[Name], str | None]) -> str:
    def moved(found: re.Match[str]) -> str:
        parts = [definitions.plain(part) for part in re.findall(NAME, found[0])]
        schema = schema_of(("" if len(parts) == 1 else parts[0], parts[-1]))
        return found[0] if schema is None else f"{quoted(schema)}.{quoted(parts[-1])}"

    def each(found: re.Match[str]) -> str:
        before = found[0][: found.start("names") - found.start()]
        return before + re.sub(_INDEX, moved, found["names"])

    return re.sub(_INDEXES, each, text)
