"""The schemas aside: beside each published one there is another, to build in unseen."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from itertools import groupby

import psycopg

from datapipe.errors import PublishError
from datapipe.transform.compile import Compiled, Piece
from datapipe.transform.database import catalog, functions
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.drop_order import drop_order
from datapipe.transform.database.relation import LONGEST_NAME, quoted
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.manifest.nodes import Model

# A schema with this comment is ours to drop, and no other.
MARK = "Made by datapipe transform; it is dropped at the latest by the next run."
_AT_ONCE = 200  # relations dropped in one statement: a table takes about five of the server's locks

BUILD, OLD = "__build", "__old"


def beside(schema: str, suffix: str) -> str:
    """The name of the schema aside that belongs to ``schema``."""
    if len((schema + suffix).encode()) <= LONGEST_NAME:
        return schema + suffix
    return f"{schema[:20]}_{zlib.crc32(schema.encode()):08x}{suffix}"


def place_of(model: Model) -> Name:
    """Where a run builds ``model``, as schema and name."""
    return beside(model.relation.schema, BUILD), model.relation.identifier


def published(compiled: Compiled, schemas: Iterable[str]) -> Compiled:
    """``compiled`` with published schemas in place of those aside.

    Rendering the template again would ask questions about what is published now.
    """
    names = _names(schemas)
    pieces: list[Piece] = []
    shifts: dict[int, int] = {}
    for piece in compiled.pieces:
        text, shift = names(piece.as_written), shifts.get(id(piece.node), 0)
        pieces.append(Piece(text, piece.node, piece.start + shift))
        shifts[id(piece.node)] = shift + len(text) - len(piece.as_written)
    return Compiled(compiled.node, tuple(pieces))


def in_public(text: str, schemas: Iterable[str]) -> str:
    """``text``, such as a definition, with published names in place of those aside."""
    return _names(schemas)(text)


def _names(schemas: Iterable[str]) -> Callable[[str], str]:
    names = {quoted(beside(schema, BUILD))[1:-1]: schema for schema in schemas}
    if not names:
        return lambda text: text
    either = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    written = re.compile(rf'"({either})"(?=\.)|\b({either})(?=\.)')

    def in_public(found: re.Match[str]) -> str:
        return quoted(names[found[1]]) if found[1] else names[found[2]]

    return lambda text: written.sub(in_public, text)


def publish_bodies(connection: psycopg.Connection, schemas: Collection[str]) -> None:
    """Let functions that hooks have made of what stands aside read what is published instead.

    PostgreSQL keeps the bodies of such functions as text, with the names in it.
    """
    texts = functions.naming(connection, [beside(schema, BUILD) for schema in schemas])
    names = _names(schemas)
    changed = [names(text) for text in texts if names(text) != text]
    if changed:
        with connection.transaction():
            execute(connection, "SET LOCAL check_function_bodies = off; " + ";\n".join(changed))


def left_over(connection: psycopg.Connection) -> list[str]:
    """The aside schemas that an earlier run left behind."""
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = %s "
        "ORDER BY nspname",
        [MARK],
    )
    return [row[0] for row in rows]


def create(connection: psycopg.Connection, schemas: Iterable[str]) -> None:
    """Create the aside schemas that are missing.

    Raises PublishError where somebody else's schema has the name.
    """
    wanted = list(schemas)
    there = set(left_over(connection)) if wanted else ()
    missing = [schema for schema in wanted if schema not in there]
    if not missing:
        return
    statements = [
        f"CREATE SCHEMA {quoted(schema)}; COMMENT ON SCHEMA {quoted(schema)} IS {literal(MARK)}"
        for schema in missing
    ]
    try:
        execute(connection, "; ".join(statements))
    except psycopg.errors.DuplicateSchema as error:
        name = (error.diag.message_primary or "").partition('"')[2].partition('"')[0]
        raise PublishError(
            f"There is a schema {name} already, and datapipe did not create it: its name is "
            "needed to build aside. Rename it."
        ) from None


def drop(
    connection: psycopg.Connection, schemas: Iterable[str], keep: Collection[Name] = ()
) -> None:
    """Drop schemas aside with what is in them, except ``keep``, and nothing else.

    Raises PublishError if something outside depends on what is in them, or somebody reads it.
    """
    names = list(schemas)
    if not names:
        return
    kept = {f"{quoted(schema)}.{quoted(name)}" for schema, name in keep}
    found = [each for each in drop_order(connection, names) if each[1] not in kept]
    kept_schemas = {schema for schema, _ in keep}
    empty = [quoted(name) for name in names if name not in kept_schemas]
    connection.execute("SET lock_timeout = '5s'")
    try:
        due: list[str] = []
        for kind, together in groupby(found, key=lambda each: each[0]):
            relations = [relation for _, relation in together]
            if kind == "ROUTINE" and keep:
                _send(connection, due)
                due = []
                stay = _drop_functions(connection, relations)
                empty = [name for name in empty if not any(f.startswith(f"{name}.") for f in stay)]
                continue
            for start in range(0, len(relations), _AT_ONCE):
                due.append(f"DROP {kind} {', '.join(relations[start : start + _AT_ONCE])}")
        if empty:
            due.append(f"DROP SCHEMA {', '.join(empty)}")
        # Each statement waits for the disk.
        _send(connection, ["; ".join(due)] if len(found) <= _AT_ONCE else due)
    except psycopg.errors.DependentObjectsStillExist as error:
        detail = (error.diag.message_detail or "").splitlines()
        raise PublishError(
            f"Something depends on the schemas {', '.join(names)}, which transform builds in: "
            f"{detail[0] if detail else 'PostgreSQL does not say what'}. Drop it or move it."
        ) from None
    except psycopg.errors.LockNotAvailable:
        raise PublishError(
            f"Somebody reads in the schemas {', '.join(names)}, which transform builds in. "
            "Run again when that has ended."
        ) from None
    finally:
        if not connection.broken:
            connection.execute("RESET lock_timeout")


def discard(connection: psycopg.Connection, name: Name) -> None:
    """Drop what stands aside under ``name``, now that it is published.

    If something hangs on it, it is left for the end of the run.
    """
    states = catalog.states(connection, [name])
    if name in states:
        with suppress(psycopg.errors.DependentObjectsStillExist):
            execute(connection, f"DROP {catalog.KINDS[states[name].kind]} {states[name].local}")


def _send(connection: psycopg.Connection, statements: Iterable[str]) -> None:
    for statement in filter(None, statements):
        execute(connection, statement)


def _drop_functions(connection: psycopg.Connection, functions: Iterable[str]) -> list[str]:
    """Drop those of ``functions`` that nothing hangs on; gives the others."""
    stay = []
    for function in functions:
        try:
            execute(connection, f"DROP ROUTINE {function}")
        except psycopg.errors.DependentObjectsStillExist:
            stay.append(function)
    return stay
