"""The SQL of a report: where it lies, and what its Jinja becomes."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from datapipe.errors import ProjectError, UsageError
from datapipe.frozen import frozen
from datapipe.paths import shipped

_NO_DEFAULT = object()


@frozen
class Rendered:
    """SQL that PostgreSQL can run, and what its ``config(meta=...)`` says about it.

    ``takes_symbols`` tells whether it reads ``var('symbols')``, the symbols asked for.
    """

    path: Path
    sql: str
    same_lines: bool
    meta: Mapping[str, Any]
    takes_symbols: bool


def find(project_dir: Path, name: str) -> Path:
    """The file of the report ``name``: the project's own, or else the one shipped with datapipe."""
    folders = [shipped("sql_models") / "reports", *_folders(project_dir)]
    found = {path.stem: path for folder in folders for path in sorted(folder.rglob("*.sql"))}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        cure = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(sorted(found))}."
        raise UsageError(f"There is no report {name}. {cure}")
    return found[name]


def render(path: Path, relations: Mapping[str, str], symbols: Sequence[str]) -> Rendered:
    """The template at ``path`` as SQL; ``relations`` is what ``ref`` gives for each model.

    A mistake in it is a ProjectError at its line.
    """
    words = _Words(relations, symbols)
    environment = jinja2.Environment(  # noqa: S701 - this is SQL; nothing in it is HTML
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.do"],
        keep_trailing_newline=True,
    )
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"The report cannot be read: {error}.", path=path) from None
    try:
        sql = environment.from_string(source).render(
            ref=words.ref,
            source=words.source,
            var=words.var,
            config=words.config,
            dbt=SimpleNamespace(
                string_literal=lambda text: f"'{text}'",
                escape_single_quotes=lambda text: str(text).replace("'", "''"),
            ),
        )
    except jinja2.TemplateSyntaxError as error:
        raise ProjectError(f"{error.message}.", path=path, line=error.lineno) from None
    except jinja2.UndefinedError as error:
        message = f"{error.message}. A report knows ref, var, config and the columns of its SQL."
        raise ProjectError(message, path=path, line=_line(error)) from None
    except Exception as error:  # whatever the Python inside a template may raise
        raise ProjectError(str(error), path=path, line=_line(error)) from None
    return Rendered(
        path=path,
        sql=sql,
        same_lines=sql.count("\n") == source.count("\n"),
        meta=words.meta,
        takes_symbols=words.takes_symbols,
    )


class _Words:
    """dbt's words that a report may use."""

    def __init__(self, relations: Mapping[str, str], symbols: Sequence[str]) -> None:
        self.meta: dict[str, Any] = {}
        self.takes_symbols = False
        self._relations = relations
        self._symbols = list(symbols)

    def ref(self, *names: str) -> str:
        name = names[-1]
        if name not in self._relations:
            near = difflib.get_close_matches(name, self._relations, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Publish it first: datapipe transform."
            raise LookupError(f"No model {name} has been published. {hint}")
        return self._relations[name]

    def source(self, *_names: str) -> str:
        raise LookupError("A report reads published models: use ref(), not source().")

    def var(self, name: str, default: object = _NO_DEFAULT) -> object:
        if name == "symbols":
            self.takes_symbols = True
            return self._symbols
        if default is _NO_DEFAULT:
            raise LookupError(f"The var {name} is not set, and it has no default here.")
        return default

    def config(self, **settings: Any) -> str:
        self.meta.update(settings.get("meta") or {})
        return ""


def _folders(project_dir: Path) -> list[Path]:
    """Where a project keeps its reports; any dbt project may call the folder otherwise."""
    reports = project_dir / "reports"
    project_file = project_dir / "dbt_project.yml"
    if reports.is_dir() or not project_file.is_file():
        return [reports]
    import yaml

    try:
        project = yaml.safe_load(project_file.read_text(encoding="utf-8")) or {}
        return [project_dir / path for path in project.get("analysis-paths", ["analyses"])]
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise ProjectError(f"The project cannot be read: {error}", path=project_file) from None


def _line(error: Exception) -> int | None:
    """The line of the template that ``error`` came from: Jinja puts it into the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
    return lines[-1] if lines else None
