"""Creates the views that are published, and points views of users at what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from datapipe.errors import PublishError
from datapipe.transform.build.built import Built
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.compile.columns import place_of_column
from datapipe.transform.database import definitions
from datapipe.transform.database.catalog import Name, RelationState
from datapipe.transform.database.dependents import Dependent
from datapipe.transform.database.statements import execute, literal
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.publish.locks import BUSY
from datapipe.transform.publish.plan import Plan, name_of
from datapipe.warehouse.failures import class_of

# A view, and whether it replaces another; or a function, and the statement that makes it.
Anew = tuple[Compiled, bool] | tuple[Model, str]


def create(connection: psycopg.Connection, anew: Sequence[Anew], final: Compiler) -> None:
    """Create or replace views and functions together; if that fails, one by one, to name it."""
    texts = [text for text in map(_text, anew) if text]
    if not texts:
        return
    try:
        with connection.transaction():
            execute(connection, ";\n".join(texts))
    except BUSY:
        raise
    except psycopg.Error:
        for each in anew:
            _create(connection, each, final)


def _text(anew: Anew) -> str:
    made, how = anew
    if isinstance(made, Model):
        return str(how)
    return f"{_before(made, bool(how))}{made.sql}\n)"


def _create(connection: psycopg.Connection, anew: Anew, final: Compiler) -> None:
    try:
        execute(connection, _text(anew))
    except BUSY:
        raise
    except psycopg.Error as error:
        made, how = anew
        if isinstance(made, Model):
            raise PublishError(
                f"The function {made.name} cannot be published: {error.diag.message_primary}. "
                "Nothing was published.",
                path=made.path,
                model=made.name,
            ) from error
        from datapipe.transform.compile.locate import project_error  # seldom needed

        raise project_error(error, made, [len(_before(made, bool(how)))], final) from error


def as_published(built: Sequence[Built]) -> dict[Name, str]:
    """The published names of all that was ``built``, by the names aside."""
    return {each.aside.standing: definitions.plain_name(name_of(each.model)) for each in built}


def restate(connection: psycopg.Connection, plan: Plan, built: Sequence[Built]) -> None:
    """Give published views the queries of those aside, with the published names."""
    names = as_published(built)
    states = [(each, plan.aside(each)) for each in plan.restated]
    texts = definitions.of_views(connection, [new.oid for _, new in states])
    for each, new in states:
        table = each.model.relation.published_local
        text = definitions.renamed(texts[new.oid], names)
        statements = [f"CREATE OR REPLACE VIEW {table} AS {text}"]
        statements += [grant.on(table) for grant in new.grants or ()]
        if new.comment is not None:
            statements.append(f"COMMENT ON VIEW {table} IS {literal(new.comment)}")
        execute(connection, "; ".join(statements))


def repoint(
    connection: psycopg.Connection,
    dependent: Dependent,
    swapped: Sequence[tuple[Built, RelationState]],
    names: Mapping[Name, str],
) -> None:
    """Let a view of a user's read the new tables; it stays the same view.

    A view that a hook has made may read what stood aside: ``names`` are the new names of that.
    """
    view = dependent.view
    if view is None:
        return
    options = f" WITH ({', '.join(view.options)})" if view.options else ""
    definition = dependent.definition.rstrip().rstrip(";")
    definition = definitions.renamed(definition, names)
    try:
        execute(
            connection,
            f"CREATE OR REPLACE VIEW {view.local}{options} AS {definition}",
        )
    except BUSY:
        raise
    except psycopg.Error as error:
        if class_of(error) not in {"42", "0A", "22"}:
            raise
        raise _broken(dependent, error, swapped) from error


def _broken(
    dependent: Dependent, error: psycopg.Error, swapped: Sequence[tuple[Built, RelationState]]
) -> PublishError:
    """The error for a view of a user's that cannot read the new columns."""
    said = error.diag.message_primary or str(error)
    column = said.partition('"')[2].partition('"')[0]
    models = [each.model for each, _ in swapped]
    of = [each.model for each, old in swapped if old.oid == dependent.on]
    places = [place_of_column(model, column) for model in (*of, *models)]
    path, line = next((place for place in places if place[1]), (of[0].path if of else None, None))
    return PublishError(
        f"The {dependent.what} would break: {said}. Nothing was published. Change or drop the "
        "view, or keep the columns as they were.",
        path=path,
        line=line,
        model=of[0].name if of else "",
    )


def _before(view: Compiled, replace: bool) -> str:
    """The beginning of the statement that creates a published view."""
    assert isinstance(view.node, Model)  # noqa: S101 - a data test is no view
    return (
        f"CREATE {'OR REPLACE ' if replace else ''}VIEW {view.node.relation.published_local} AS (\n"
    )
