"""Renders the templates of a project, and says where in them an error came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from datapipe.errors import ProjectError
from datapipe.transform.jinja import context
from datapipe.transform.jinja.templates import (
    MACRO_PREFIX,
    Marked,
    Return,
    SqlEnvironment,
    defined_in,
    raised_here,
    template_line,
)
from datapipe.transform.project import FILE, Project, load

_BUILT_IN = Path(__file__).with_name("macros")
_UNDEFINED = re.compile(r"'(\w+)' is undefined")
_ASSIGNED = re.compile(r"\{%-?\s*(?:set|for)\s+(\w+)")
_EXPRESSION = re.compile(r"\s*\{\{(?P<expression>(?:(?!\}\}).)*)\}\}\s*", re.DOTALL)
_CALL = re.compile(r"\s*(?:env_var|ref|var|source)\s*\(.+\)\s*", re.DOTALL)


@dataclass(frozen=True)
class MacroFile:
    """A file of macros; it is compiled when one of them is first called."""

    path: Path
    source: str
    package: str


class _Scope:
    """The variables of one rendering, and the macro files as they are under them."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables
        self.modules: dict[Path, Any] = {}


class Renderer:
    """Renders with the macros of one project.

    Where it is ``marked``, what comes out has marks that tell which line each piece came from.
    """

    def __init__(
        self,
        project: Project,
        target: Mapping[str, Any],
        *,
        marked: Marked = "nothing",
        on_log: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.project = project
        self.target = target
        self.warnings: list[str] = []
        self.environment = SqlEnvironment(marked=marked)
        self._templates: dict[Path, jinja2.Template] = {}
        self._scopes: list[_Scope] = []
        self._packages: dict[str, dict[str, Callable[..., Any]]] = {}
        self._read_macros()
        self._base = context.shared(
            project,
            target,
            dispatch=self._dispatch,
            on_log=on_log,
            on_warning=self.warnings.append,
        )
        self._macros: dict[str, Any] = {
            **self._packages["dbt"],
            **{name: SimpleNamespace(**macros) for name, macros in self._packages.items()},
            **self._packages[project.name],
        }

    def variables(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """All that a template sees which sees ``own``."""
        built_in = {**self._base, **own}
        variables = {**built_in, **self._macros, "builtins": built_in}
        variables["context"] = variables
        return variables

    def render(self, path: Path, source: str, own: Mapping[str, Any], *, model: str = "") -> str:
        """The text that the file at ``path``, which holds ``source``, renders to."""
        variables = self.variables(own)
        with self._explained(variables, model), self._entered(variables):
            template = self._templates.get(path)
            if template is None:
                template = self._templates[path] = self.environment.template(source, path)
            return template.render(variables)

    def call(
        self,
        macro: str,
        arguments: Mapping[str, Any],
        own: Mapping[str, Any],
        *,
        path: Path,
        line: int | None,
        model: str = "",
    ) -> Any:
        """What the macro gives back; an error outside of any template is at ``path``, ``line``."""
        variables = self.variables(own)
        with self._explained(variables, model, path, line), self._entered(variables):
            found: Any = variables
            for part in macro.split("."):
                found = found[part] if isinstance(found, dict) else vars(found)[part]
            return found(**arguments)

    def has_macro(self, name: str) -> bool:
        """Whether there is a macro ``name``, or ``package.name``."""
        package, _, bare = name.rpartition(".")
        if package:
            return bare in self._packages.get(package, {})
        return name in self._macros and callable(self._macros[name])

    def macro_names(self) -> list[str]:
        return [name for name, found in self._macros.items() if callable(found)]

    def value(self, value: Any, own: Mapping[str, Any], *, path: Path, line: int | None) -> Any:
        """A value out of YAML, with what is Jinja in its strings rendered."""
        if isinstance(value, str):
            if "{{" in value or "{%" in value or _CALL.fullmatch(value):
                return self._text_value(value, own, path, line)
        elif isinstance(value, list):
            return [self.value(item, own, path=path, line=line) for item in value]
        elif isinstance(value, dict):
            return {key: self.value(item, own, path=path, line=line) for key, item in value.items()}
        return value

    def _text_value(self, text: str, own: Mapping[str, Any], path: Path, line: int | None) -> Any:
        variables = self.variables(own)
        with self._explained(variables, "", path, line), self._entered(variables):
            whole = _EXPRESSION.fullmatch(text)
            if whole or _CALL.fullmatch(text):
                expression = whole["expression"] if whole else text
                return self.environment.compile_expression(expression, False)(variables)
            return self.environment.from_string(text).render(variables)

    @contextmanager
    def _entered(self, variables: dict[str, Any]) -> Iterator[None]:
        self._scopes.append(_Scope(variables))
        try:
            yield
        finally:
            self._scopes.pop()

    def _read_macros(self) -> None:
        self._packages["dbt"] = self._macros_of("dbt", sorted(_BUILT_IN.glob("*.sql")))
        for folder in sorted(self.project.directory.glob(f"dbt_packages/*/{FILE}")):
            package = load(folder.parent)
            self._packages[package.name] = self._macros_of(package.name, _macro_paths(package))
        self._packages[self.project.name] = self._macros_of(
            self.project.name, _macro_paths(self.project)
        )

    def _macros_of(self, package: str, paths: list[Path]) -> dict[str, Callable[..., Any]]:
        macros: dict[str, Callable[..., Any]] = {}
        places: dict[str, Path] = {}
        for path in paths:
            file = MacroFile(path, self.project.text(path), package)
            for tag, name, line in defined_in(file.source):
                if tag == "snapshot":
                    raise ProjectError("Snapshots are not supported yet.", path=path, line=line)
                if name in macros:
                    raise ProjectError(
                        f"There are two macros called {name}: the other is in {places[name]}. "
                        "Rename one of them.",
                        path=path,
                        line=line,
                    )
                macros[name] = self._macro(file, name)
                places[name] = path
        return macros

    def _macro(self, file: MacroFile, name: str) -> Callable[..., Any]:
        def macro(*values: Any, **options: Any) -> Any:
            scope = self._scopes[-1]
            module = scope.modules.get(file.path)
            if module is None:
                module = scope.modules[file.path] = self._module(file, scope)
            try:
                return getattr(module, MACRO_PREFIX + name)(*values, **options)
            except Return as end:
                return end.value

        return macro

    def _module(self, file: MacroFile, scope: _Scope) -> Any:
        template = self._templates.get(file.path)
        if template is None:
            template = self.environment.template(file.source, file.path, macros=True)
            self._templates[file.path] = template
        return template.make_module({**scope.variables, **self._packages[file.package]})

    def _dispatch(self, name: str, macro_namespace: str | None = None, **_: Any) -> Any:
        searched = [self.project.name, *([macro_namespace] if macro_namespace else [])]
        for order in self.project.settings.get("dispatch") or []:
            if order.get("macro_namespace") == macro_namespace:
                searched = order.get("search_order") or searched
        for package in (*searched, "dbt"):
            for prefix in ("postgres__", "default__"):
                found = self._packages.get(package, {}).get(prefix + name)
                if found is not None:
                    return found
        raise ProjectError(f"There is no macro postgres__{name} or default__{name}.")

    @contextmanager
    def _explained(
        self,
        variables: Mapping[str, Any],
        model: str,
        path: Path | None = None,
        line: int | None = None,
    ) -> Iterator[None]:
        """Turn whatever a template raises into a ProjectError that names its file and line."""
        try:
            yield
        except jinja2.TemplateSyntaxError as error:
            at = Path(error.filename) if error.filename and error.filename != "<unknown>" else path
            raise ProjectError(
                _sentence(error.message or "This is not valid Jinja"),
                path=at,
                line=error.lineno if at != path else line,
                model=model,
            ) from None
        except ProjectError as error:
            if error.path is not None:
                raise
            path, line = template_line(error) or (path, line)
            raise ProjectError(str(error), path=path, line=line, model=model) from None
        except Exception as error:
            if raised_here(error) and not isinstance(error, jinja2.TemplateError):
                raise
            path, line = template_line(error) or (path, line)
            message = str(error)
            undefined = _UNDEFINED.fullmatch(message)
            hint = _near_name(undefined[1], variables, path) if undefined else ""
            raise ProjectError(
                _sentence(message) + hint, path=path, line=line, model=model
            ) from error


def _macro_paths(project: Project) -> list[Path]:
    paths = [path for path, _ in project.files("macro-paths", ".sql")]
    generic = (project.directory / name / "generic" for name in project.folders["test-paths"])
    return paths + [path for folder in generic for path in sorted(folder.rglob("*.sql"))]


def _near_name(name: str, variables: Mapping[str, Any], path: Path | None) -> str:
    """What may be meant by ``name``, out of all that the template sees or sets itself."""
    source = path.read_text(encoding="utf-8") if path and path.is_file() else ""
    return context.near(name, [*_ASSIGNED.findall(source), *variables])


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:] if not text.startswith("'") else text
    return text if text.endswith((".", "!", "?")) else text + "."
