"""Renders the templates of a project."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import psycopg

from datapipe.transform.jinja import context, plain, scope
from datapipe.transform.jinja.explain import explained
from datapipe.transform.jinja.gaps import Gap, Where, gaps, without_gaps
from datapipe.transform.jinja.macros import MACRO_AS_TEXT, Macros, refuse_macro
from datapipe.transform.jinja.named import Named, config_of
from datapipe.transform.jinja.native import NativeEnvironment
from datapipe.transform.jinja.places import Place
from datapipe.transform.jinja.scope import Scope, Variables
from datapipe.transform.jinja.templates import Marked, SqlEnvironment
from datapipe.transform.project import Project

_CALL = re.compile(r"\s*(?:env_var|ref|var|source|doc)\s*\(.+\)\s*", re.DOTALL)


class Renderer:
    """Renders with the macros of one project; several threads may render at once.

    If it is ``marked``, the result has marks in it that tell which line each piece came from.
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
        profile = project.settings.get("profile", project.name)
        self.target = {**target, "profile_name": profile, "target_name": target["name"]}
        self.warnings: list[str] = []
        self.not_given: list[tuple[str, Place, Place | None]] = []
        # The gaps that templates have left, and the files in which there are any.
        self.gaps: list[Gap] = []
        self.with_gaps: set[Path] = set()
        # Templates with marks are not kept for other runs: the marks number the files of this one.
        cache_dir = project.cache_dir if marked == "nothing" else None
        self.environment = SqlEnvironment(marked=marked, cache_dir=cache_dir)
        self.macros = Macros(project, self.environment)
        self._native = NativeEnvironment()
        self._templates: dict[tuple[Path, str], jinja2.Template] = {}
        self._values: dict[str, jinja2.Template] = {}
        self._texts: dict[str, jinja2.Template] = {}
        self._plain: dict[str, plain.Plain | None] = {}
        self._shared: dict[str, dict[str, Any]] = {}
        self._config = config_of(project, self.target)
        self._on_log = on_log
        self._held: list[Callable[[], None]] | None = None

    def variables(
        self,
        own: Mapping[str, Any],
        package: str = "",
        replaced: Mapping[str, Any] | None = None,
        late: Mapping[str, Any] | None = None,
    ) -> Variables:
        """The names that a template of ``package`` sees: ``late``, ``own``, and what all see."""
        shared = self._shared.get(package)
        if shared is None:
            shared = self._shared[package] = context.shared(
                self.project,
                package,
                self.target,
                dispatch=self.macros.dispatched,
                on_log=self._unless_held(self._on_log),
                on_warning=self._unless_held(self.warnings.append),
            )
            shared["render"] = self._rendered_inside
        named = {name: Named(own[name], self._config) for name in ("ref", "source") if name in own}
        macros = self.macros.seen_from(package)
        return Variables({**own, **named}, macros, shared, replaced or {}, late)

    @contextmanager
    def holding(self) -> Iterator[list[Callable[[], None]]]:
        """Hold back what templates log and warn of within; gives the calls that tell it later."""
        before = self._held
        held = self._held = []
        try:
            yield held
        finally:
            self._held = before

    def _unless_held(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        def told(message: str) -> None:
            if self._held is None:
                tell(message)
            else:
                self._held.append(partial(tell, message))

        return told

    def using(self, connection: psycopg.Connection) -> AbstractContextManager[None]:
        """Templates that this thread renders within ask their questions on ``connection``."""
        return scope.using(connection)

    def render(
        self,
        path: Path,
        source: str,
        own: Mapping[str, Any],
        *,
        model: str = "",
        package: str = "",
        replaced: Mapping[str, Any] | None = None,
    ) -> str:
        """The text that ``source``, from the file at ``path``, renders to."""
        variables = self.variables(own, package, replaced)
        if self.environment.marked == "nothing":
            text = self._plainly(plain.Plain.text, source, Scope(variables, replaced or {}))
            if text is not None:
                return str(text)
        with self._rendering(variables, replaced, model, path):
            key = path, source
            template = self._templates.get(key)
            if template is None:
                template = self._templates[key] = self.environment.template(
                    source, path, name=model
                )
            text = self.environment.text(template, variables)
            return str(self._told(text, path))

    def call(
        self,
        macro: str,
        arguments: Mapping[str, Any],
        own: Mapping[str, Any],
        *,
        path: Path,
        line: int | None,
        values: Sequence[Any] = (),
        model: str = "",
        package: str = "",
        replaced: Mapping[str, Any] | None = None,
        is_final: bool = False,
    ) -> Any:
        """What the macro returns; an error outside of any template is at ``path`` and ``line``.

        ``is_final`` says that it counts, though nothing is executed: what is missing is a mistake.
        """
        variables = self.variables(own, package, replaced)
        with self._rendering(variables, replaced, model, path, line, is_final=is_final):
            found: Any = variables
            for part in macro.split("."):
                found = found[part]
            return self._told(found(*values, **arguments), path)

    def value(
        self,
        value: Any,
        own: Mapping[str, Any],
        *,
        path: Path,
        line: int | None,
        package: str = "",
    ) -> Any:
        """A value from YAML, with the Jinja in its strings rendered."""
        at: dict[str, Any] = {"path": path, "line": line, "package": package}
        if isinstance(value, str):
            if "{{" in value or "{%" in value or "{#" in value:
                return self._text_value(value, own, **at)
            if _CALL.fullmatch(value):
                return self._text_value("{{" + value + "}}", own, **at)
        elif isinstance(value, list):
            return [self.value(item, own, **at) for item in value]
        elif isinstance(value, dict):
            return {key: self.value(item, own, **at) for key, item in value.items()}
        return value

    def text(
        self,
        text: str,
        own: Mapping[str, Any],
        *,
        path: Path,
        line: int | None,
        model: str = "",
        package: str = "",
        replaced: Mapping[str, Any] | None = None,
        late: Mapping[str, Any] | None = None,
        where: Where | None = None,
    ) -> str:
        """A statement from YAML or from a setting, rendered.

        ``where`` tells where it is written, if ``path`` and ``line`` do not.
        """
        if "{{" not in text and "{%" not in text and "{#" not in text:
            return text
        variables = self.variables(own, package, replaced, late)
        with self._rendering(variables, replaced, model, path, line):
            template = self._texts.get(text)
            if template is None:
                template = self._texts[text] = self.environment.from_yaml(text, is_marked=True)
            text = self.environment.text(template, variables)
            return str(self._told(text, path, where or (lambda: (path, line))))

    def _rendered_inside(self, string: str) -> str:
        """dbt's ``render``: a text from a template, rendered with all that this template sees."""
        template = self.environment.from_yaml(str(string))
        return self.environment.text(template, scope.current().variables)

    def _text_value(
        self, text: str, own: Mapping[str, Any], path: Path, line: int | None, package: str
    ) -> Any:
        variables = self.variables(own, package)
        text = text.strip()
        value = self._plainly(plain.Plain.value, text, Scope(variables, {}))
        if value is not None:
            return value
        with self._rendering(variables, None, "", path, line):
            template = self._values.get(text)
            if template is None:
                template = self._values[text] = self._native.from_yaml(text)
            value = self._native.value(template, variables)
            context.refuse_unknown(value)
            return value

    def _plainly(
        self, form: Callable[[plain.Plain, Variables], Any], source: str, scope_: Scope
    ) -> Any:
        """``source`` in this form, if it is so simple that it needs no Jinja, and nothing is wrong.

        Otherwise, and where it comes to nothing, None.
        """
        if source not in self._plain:
            self._plain[source] = plain.read(source)
        found = self._plain[source]
        if found is None:
            return None
        try:
            with scope.entered(scope_):
                return form(found, scope_.variables)
        except Exception:  # Jinja comes to the same, and knows the line
            return None

    @contextmanager
    def _rendering(
        self,
        variables: Variables,
        replaced: Mapping[str, Any] | None,
        model: str,
        path: Path,
        line: int | None = None,
        *,
        is_final: bool = False,
    ) -> Iterator[None]:
        is_marked = self.environment.marked != "nothing"
        scope_ = Scope(variables, replaced or {}, is_marked=is_marked, is_final=is_final)
        with explained(variables, model, path, line), scope.entered(scope_):
            try:
                yield
            except Exception as error:
                if scope_.unset and "None" in str(error):
                    raise scope_.unset[0] from error
                raise

    def _told(self, rendered: Any, path: Path, where: Where | None = None) -> Any:
        """``rendered``; as with dbt, a name in it that nobody knows is nothing, with a warning."""
        now = scope.current()
        if now.is_marked:
            self.not_given += now.not_given
        if isinstance(rendered, str) and MACRO_AS_TEXT in rendered:
            refuse_macro(rendered, now.variables, path)
        if now.unknown:
            found = gaps(now, where or (lambda: (path, None)), rendered if now.is_marked else None)
            self.gaps += found
            self.with_gaps |= {path, *(gap.path for gap in found)}
            told = dict.fromkeys(map(str, found))
            self.warnings += [each for each in told if each not in self.warnings]
        return without_gaps(rendered) if now.is_marked else rendered
