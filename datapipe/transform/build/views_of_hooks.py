"""Views that post_hooks make elsewhere: nobody sees those, either, before all is published.

Such a view would show readers what the run may never publish. So it is made aside, too, and
published with its model. If the hook drops it and does not make it again, publishing drops it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from datapipe.transform.build import aside
from datapipe.transform.build.built import Built
from datapipe.transform.build.site import Site
from datapipe.transform.database import catalog, definitions
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.quoting import NAME
from datapipe.transform.database.relation import Relation, quoted
from datapipe.transform.database.statements import execute, literal

_LOADED = "raw"  # publishing leaves it to what datapipe loads
_VIEW = rf"""(?isx)(?P<before>(?:^|;)(?:\s|--[^\n]*\n|/\*.*?\*/)*)
    (?:create\s+(?:or\s+replace\s+)?(?:recursive\s+|materialized\s+)?view\s+(?:if\s+not\s+exists\s+)?
       |(?P<drop>drop\s+(?:materialized\s+)?view\s+)(?:if\s+exists\s+)?)
    (?!if\b)(?P<name>{NAME}(?:\s*\.\s*{NAME}){{0,2}})"""
_BEFORE_BARE = r"(?i)\b(?P<before>view|exists|from|join|on|table)(?P<space>\s+)"


def made_aside(site: Site, text: str) -> str:
    """``text`` of a hook, with views that it or an earlier hook makes where they stand aside.

    A view that something else of the project reads stays where it is, as that cannot know of it; so
    does a view that reads what the run has still to build.
    """

    def never_missed(found: re.Match[str]) -> str:
        name = _name(site, found["name"])
        if name not in site.views and not _goes_aside(site, name, text):
            return found[0]
        schema = aside.beside(name[0], aside.BUILD)
        site.views[name] = Relation(site.aside.database, *name, "view").at(schema)
        if not found["drop"]:
            return found[0]
        return f"{found['before']}{found['drop']}IF EXISTS {found['name']}"

    text = re.sub(_VIEW, never_missed, text)
    if not site.views:
        return text
    searched = _searched(site)
    for schema, identifier in site.views:
        if schema == searched:
            bare = rf'(?P<name>"{re.escape(identifier)}"|\b{re.escape(identifier)}\b)(?!\s*[.(])'
            in_full = rf"\g<before>\g<space>{quoted(schema)}.\g<name>"
            text = re.sub(_BEFORE_BARE + bare, in_full, text)
    return definitions.renamed(text, {name: each.local for name, each in site.views.items()})


def also(site: Site, built: Built) -> Iterator[Built]:
    """The views to be published with ``built``."""
    hooks = {key: site.model.config.get(key) for key in ("pre_hook", "post_hook")}
    for relation in site.views.values():
        published = replace(relation, stands_in=None)
        model = replace(site.model, relation=published, config={"materialized": "view", **hooks})
        yield Built(model, relation, None, built.seconds, moves=True)


def _name(site: Site, written: str) -> Name:
    *schema, identifier = (definitions.plain(each) for each in re.findall(NAME, written))
    return (schema[-1] if schema else _searched(site)), identifier


def _searched(site: Site) -> str:
    """The schema in which something is made under a bare name."""
    row = site.connection.execute("SELECT coalesce(current_schema(), '')").fetchone()
    return site.compiler.made_in() or (str(row[0]) if row else "")


def _goes_aside(site: Site, name: Name, text: str) -> bool:
    """Whether the view that ``text`` makes stands aside; if so, there is a schema for it."""
    schema = name[0]
    models = site.compiler.manifest.models.values()
    asides = aside.left_over(site.connection)
    if schema in (_LOADED, *asides) or any(each.relation.published == name for each in models):
        return False
    old = catalog.states(site.connection, [name]).get(name)
    if (old is not None and old.kind not in "vm") or _reads_what_comes(site, text):
        return False
    # What names a relation in a schema of the project's models gets the one aside.
    if schema not in {each.relation.published[0] for each in models} and _is_read(site, name):
        return False
    beside = aside.beside(schema, aside.BUILD)
    with site.connection.transaction():
        # Hooks of two models may need it at once.
        execute(site.connection, f"SELECT pg_advisory_xact_lock(hashtext({literal(beside)}))")
        there = "SELECT FROM pg_namespace WHERE nspname = %s AND nspname NOT LIKE 'pg\\_%%'"
        if site.connection.execute(there, [schema]).fetchone() is None:
            return False
        aside.create(site.connection, [beside])
    return True


def _reads_what_comes(site: Site, text: str) -> bool:
    """Whether ``text`` spells the published name of what the run has still to build."""
    models = [each for each in site.compiler.manifest.models.values() if not each.is_function]
    schemas = {each.relation.published[0] for each in models}
    named = {name for schema in schemas for name in definitions.named(text, schema)}
    places = {site.compiler.place(each) for each in models if each.relation.published in named}
    coming = {each.standing for each in places if each.standing != each.published}
    return bool(coming) and len(catalog.states(site.connection, coming)) < len(coming)


def _is_read(site: Site, name: Name) -> bool:
    """Whether something else of the project names the view, as far as can be seen."""
    manifest = site.compiler.manifest
    if any(source.relation.published == name for source in manifest.sources.values()):
        return True
    others = [each for each in manifest.models.values() if each.key != site.model.key]
    hooks = [each.config.get(key) for each in others for key in ("pre_hook", "post_hook")]
    texts = [*map(str, hooks), *(each.raw_code for each in others)]
    texts += [test.raw_code for test in manifest.tests]
    word = re.compile(rf"(?<!\w){re.escape(name[1])}(?!\w)", re.IGNORECASE)
    return any(map(word.search, texts))
