"""The macros of a project, of its packages and of dbt, and which of them a name means where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jinja2

from datapipe.errors import ProjectError
from datapipe.transform.jinja import places, scope
from datapipe.transform.jinja.blocks import Block, blocks
from datapipe.transform.jinja.explain import explained
from datapipe.transform.jinja.places import BUILT_IN
from datapipe.transform.jinja.templates import Return, SqlEnvironment
from datapipe.transform.project import Project

DBT = "dbt"
_PREFIXES = ("postgres__", "default__")

_EXPLICIT = "require_explicit_package_overrides_for_builtin_materializations"
_MATERIALIZATIONS = frozenset({
    "clone", "function", "incremental", "materialized_view", "seed", "snapshot", "table", "test",
    "unit", "view",
})  # fmt: skip

Macro = Callable[..., Any]


def noted(unique_id: str, macro: Macro) -> Macro:
    """``macro``, with its calls noted if somebody collects them.

    As with dbt, it has ``call_macro``, too, by which packages call dbt's own from theirs.
    """

    def called(*values: Any, **options: Any) -> Any:
        calls = scope.calls()
        if calls is None:
            return macro(*values, **options)
        with calls.within(unique_id):
            return macro(*values, **options)

    called.__dict__["call_macro"] = called
    return called


MACRO_AS_TEXT = "<function noted.<locals>.called at "


def refuse_macro(rendered: str, variables: Mapping[str, Any], path: Path) -> NoReturn:
    """Raise ProjectError for a macro that the template at ``path`` writes but does not call."""
    known = (
        each for each, found in variables.items() if str(found) in rendered and callable(found)
    )
    name = next(known, "name")
    line = places.line_with(name, (path, 1), anywhere=True)
    raise ProjectError(
        f"A macro is called with brackets: {{{{ {name}() }}}}.", path=path, line=line, about=name
    )


class Package(MutableMapping[str, Macro]):
    """The macros of one package, as ``package.macro`` finds them.

    A template may replace one by ``package.update``; that holds for its own rendering only.
    """

    def __init__(self, name: str, macros: Mapping[str, Macro]) -> None:
        self._name = name
        self._macros = macros

    def __getitem__(self, name: str) -> Macro:
        replaced = scope.replaced()
        if replaced:
            instead: Macro | None = replaced.get(f"{self._name}.{name}")
            if instead is not None:
                return instead
        return self._macros[name]

    def __setitem__(self, name: str, macro: Macro) -> None:
        scope.current().replaced[f"{self._name}.{name}"] = macro

    def __delitem__(self, name: str) -> None:
        del scope.current().replaced[f"{self._name}.{name}"]

    def __getattr__(self, name: str) -> Macro:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __contains__(self, name: object) -> bool:
        return name in self._macros or f"{self._name}.{name}" in scope.replaced()

    def __iter__(self) -> Iterator[str]:
        return iter(self._macros)

    def __len__(self) -> int:
        return len(self._macros)


class Macros:
    """All macros that templates of a project can call; each is compiled when it is first called."""

    def __init__(self, project: Project, environment: SqlEnvironment) -> None:
        self._project = project
        self._environment = environment
        self._places: dict[Macro, tuple[Path, Block]] = {}
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._overriding: dict[str, Macro | None] = {}
        self._dispatched: dict[tuple[str, str | None], Macro] = {}
        built_in = (
            (path, path.read_text(encoding="utf-8")) for path in sorted(BUILT_IN.glob("*.sql"))
        )
        self._packages = {DBT: Package(DBT, self._with_dispatching(self._read(DBT, built_in)))}
        for package in (*project.packages, project):
            files = ((path, package.text(path)) for path in _paths(package))
            macros = self._read(package.name, files, checked=package is project)
            self._packages[package.name] = Package(package.name, macros)

    def seen_from(self, package: str) -> Mapping[str, Any]:
        """The macros that names in ``package`` stand for: its own, then the project's and dbt's."""
        package = package or self._project.name
        found = self._seen.get(package)
        if found is None:
            found = self._seen[package] = {
                **self._packages[DBT],
                **self._packages,
                **self._packages[self._project.name],
                **self._packages.get(package, {}),
            }
        return found

    def dispatched(self, name: str, macro_namespace: str | None = None, **_: Any) -> Macro:
        """dbt's ``adapter.dispatch``: the first macro named postgres__name or default__name."""
        seen = scope.current().variables
        if macro_namespace is None:
            for prefix in _PREFIXES:
                if prefix + name in seen:
                    found: Macro = seen[prefix + name]
                    return found
        key = name, macro_namespace
        if key not in self._dispatched:
            self._dispatched[key] = self._found_for(name, macro_namespace)
        return self._dispatched[key]

    def _found_for(self, name: str, namespace: str | None) -> Macro:
        for package in self._searched(namespace):
            macros: Mapping[str, Macro] = self._packages.get(package, {})
            for prefix in _PREFIXES:
                if prefix + name in macros:
                    return macros[prefix + name]
        raise ProjectError(
            f"There is no macro postgres__{name} or default__{name}"
            f"{f' in {namespace}' if namespace else ''}."
        )

    def can_dispatch(self, name: str) -> bool:
        """Whether ``adapter.dispatch(name, 'dbt')`` finds a macro."""
        try:
            self._found_for(name, DBT)
        except ProjectError:
            return False
        return True

    def has(self, name: str) -> bool:
        """Whether there is a macro ``name``, or ``package.name``."""
        package, _, bare = name.rpartition(".")
        if package:
            return bare in self._packages.get(package, {})
        return callable(self.seen_from("").get(name))

    def has_own_ref(self, package: str) -> bool:
        """Whether ``ref`` in a template of ``package`` is a macro, and not dbt's function."""
        return "ref" in self.seen_from(package)

    def found(self, name: str, package: str) -> Macro | None:
        """The macro of that name that is not dbt's; the project's counts before ``package``'s."""
        order = (self._project.name, package, *self._packages)
        for each in order:
            if each and each != DBT and name in self._packages.get(each, {}):
                return self._packages[each][name]
        return None

    def overriding(self, name: str) -> Macro | None:
        """The macro that is called in place of dbt's ``name``; None if dbt's is."""
        if name not in self._overriding:
            self._overriding[name] = self._found_overriding(name)
        return self._overriding[name]

    def _found_overriding(self, name: str) -> Macro | None:
        own = self._packages[self._project.name]
        if name in own:
            return own[name]
        for package in self._searched(DBT):
            macros: Mapping[str, Macro] = self._packages.get(package, {})
            for prefix in _PREFIXES if package != DBT else ():
                if prefix + name in macros:
                    return macros[prefix + name]
        return None

    def materialization(self, kind: str, package: str) -> str | None:
        """The macro, not dbt's own, that makes what is materialized as ``kind`` in ``package``.

        As with dbt only the project may replace one of dbt's, unless its flags allow it to
        packages.
        """
        explicit = self._project.flags.get(_EXPLICIT, True)
        order = dict.fromkeys((self._project.name, package, *self._packages))
        for adapter in ("postgres", "default"):
            name = f"materialization_{kind}_{adapter}"
            for each in order:
                if each != self._project.name and kind in _MATERIALIZATIONS and explicit:
                    continue
                if each != DBT and name in self._packages.get(each, {}):
                    return f"{each}.{name}"
        return None

    def unique_id(self, name: str, package: str) -> str:
        """dbt's id of the macro that ``name``, or ``package.name``, stands for in ``package``."""
        of, _, bare = name.rpartition(".")
        for each in (of,) if of else (package, self._project.name, DBT):
            if bare in self._packages.get(each, {}):
                return f"macro.{each}.{bare}"
        return f"macro.{package}.{bare}"

    def names(self, package: str = "") -> list[str]:
        """The names of all macros there are, or of those of ``package``."""
        if package:
            return list(self._packages.get(package, {}))
        return [name for name, found in self.seen_from("").items() if callable(found)]

    def mention(self, word: str) -> bool:
        """Whether the text of any macro, except dbt's own, has ``word`` in it."""
        return any(
            word in block.source for path, block in self._places.values() if path.parent != BUILT_IN
        )

    def sources(self) -> Iterator[tuple[str, str]]:
        """The name and the source of every macro there is, of every package."""
        return ((block.name, block.source) for _, block in self._places.values())

    def place(self, macro: Macro) -> tuple[Path, int] | None:
        """The file and line where a macro is defined."""
        found = self._places.get(macro)
        return (found[0], found[1].line) if found else None

    def _searched(self, namespace: str | None) -> Sequence[str]:
        for order in self._project.settings.get("dispatch") or []:
            if order.get("macro_namespace") == namespace and order.get("search_order"):
                return [*order["search_order"], DBT]
        return [self._project.name, *([namespace] if namespace else []), DBT]

    def _read(
        self, package: str, files: Iterator[tuple[Path, str]], *, checked: bool = False
    ) -> dict[str, Macro]:
        """The macros of ``files``; those that are ``checked`` need not be called to be refused."""
        macros: dict[str, Macro] = {}
        for path, source in files:
            for block in blocks(source):
                if block.tag == "snapshot":
                    continue
                if block.name in macros:
                    other, _ = self._places[macros[block.name]]
                    raise ProjectError(
                        f"There are two macros called {block.name}: the other is in {other}. "
                        "Rename one of them.",
                        path=path,
                        line=block.line,
                    )
                macro = self._macro(path, block, checked=checked)
                macro = macros[block.name] = noted(f"macro.{package}.{block.name}", macro)
                self._places[macro] = path, block
        return macros

    def _with_dispatching(self, macros: dict[str, Macro]) -> dict[str, Macro]:
        """``macros`` and, for each called default__name or postgres__name, one called name."""
        for full in list(macros):
            for prefix in _PREFIXES:
                name = full.removeprefix(prefix)
                if name != full and name not in macros:
                    macro = self._dispatching(name, macros.get(_PREFIXES[0] + name, macros[full]))
                    macros[name] = noted(f"macro.{DBT}.{name}", macro)
                    self._places[macros[name]] = self._places[macros[full]]
        return macros

    def _dispatching(self, name: str, implementation: Macro) -> Macro:
        parameters: dict[str, Any] | None = None

        def macro(*values: Any, **options: Any) -> Any:
            nonlocal parameters
            found = self.dispatched(name, DBT)
            if found is implementation:
                return found(*values, **options)
            # What another macro calls its parameters is its own affair: dbt hands them on in order.
            if parameters is None:
                _, block = self._places[implementation]
                parameters = self._environment.parameters(block.source)
            if len(values) == len(parameters) and not options:
                return found(*values)
            names = list(parameters)[len(values) :]
            unknown = options.keys() - set(names) - {"caller"}
            if unknown or any(key not in options and parameters[key] is ... for key in names):
                return found(*values, **options)
            given = [options.pop(key, parameters[key]) for key in names]
            return found(*values, *given, **options)

        return macro

    def _macro(self, path: Path, block: Block, *, checked: bool) -> Macro:
        compiled: Macro | None = None
        source = "\n" * (block.line - 1) + block.source
        template: jinja2.Template | None = None
        if checked:
            with explained({}, "", path, block.line):
                template = self._environment.template(source, path, macro=block.name)

        def macro(*values: Any, **options: Any) -> Any:
            nonlocal compiled
            if compiled is None:
                compiled = self._environment.macro(
                    block.name,
                    template or self._environment.template(source, path, macro=block.name),
                )
            try:
                return compiled(*values, **options)
            except Return as end:
                return end.value

        return macro


def _paths(package: Project) -> list[Path]:
    paths = [path for path, _ in package.files("macro-paths", ".sql")]
    generic = (package.directory / name / "generic" for name in package.folders["test-paths"])
    return paths + [path for folder in generic for path in sorted(folder.rglob("*.sql"))]
