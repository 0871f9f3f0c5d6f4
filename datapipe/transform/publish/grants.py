"""The setting ``grants``: who may do what with a model, as dbt has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import psycopg

from datapipe.errors import PublishError
from datapipe.transform.database.catalog import Grant
from datapipe.transform.database.relation import quoted
from datapipe.transform.database.statements import execute
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import place_of_setting
from datapipe.transform.project import Project
from datapipe.warehouse.failures import class_of


def give(
    connection: psycopg.Connection,
    model: Model,
    now: Iterable[Grant],
    owner: str,
    project: Project,
    *,
    on: str = "",
) -> None:
    """Take all privileges from others than ``owner``, and grant those that the settings name.

    ``now`` are the privileges that there are; ``on`` is what they are on, if that is no relation.
    Raises PublishError for a role or a privilege that PostgreSQL does not know.
    """
    name = on or model.relation.published_local
    statements = revoked(name, others(now, owner))
    for privilege, grantees in (model.config.get("grants") or {}).items():
        named = [grantees] if isinstance(grantees, str) else list(grantees or [])
        if named:
            statements.append(f"GRANT {privilege} ON {name} TO {', '.join(map(_role, named))}")
    if not statements:
        return
    try:
        execute(connection, "; ".join(statements))
    except psycopg.Error as error:
        if class_of(error) not in {"0L", "0P", "42"}:
            raise
        wrong = (error.diag.message_primary or "").partition('"')[2].partition('"')[0]
        path, line = place_of_setting(model, "grants", wrong, project=project)
        raise PublishError(
            f"The grants of the model {model.name} cannot be given: {error.diag.message_primary}. "
            "Nothing was published. Create the role, or mend grants.",
            path=path,
            line=line,
            model=model.name,
            about=wrong,
        ) from error


def others(now: Iterable[Grant], owner: str) -> list[str]:
    """Those who have been granted anything, except the ``owner``, as SQL."""
    return sorted({grant.grantee for grant in now} - {owner, quoted(owner)})


def revoked(name: str, grantees: Collection[str]) -> list[str]:
    """The statement that takes all privileges on ``name`` from ``grantees``, if there are any."""
    return [f"REVOKE ALL ON {name} FROM {', '.join(grantees)}"] if grantees else []


def _role(name: str) -> str:
    return "PUBLIC" if name.lower() == "public" else quoted(name)
