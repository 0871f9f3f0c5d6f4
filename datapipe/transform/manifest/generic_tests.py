"""Reads generic data tests: YAML calls them for a model, a source or a column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.context import Var, near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.checks import check_spelling
from datapipe.transform.manifest.configs import Configs, Layer, place_of
from datapipe.transform.manifest.docs import Docs
from datapipe.transform.manifest.found import Found
from datapipe.transform.manifest.names import Names
from datapipe.transform.manifest.nodes import Model, Ref, Source, SourceKey
from datapipe.transform.manifest.properties import NodeProperties, Properties
from datapipe.transform.manifest.setting_lines import below
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.manifest.written_tests import WrittenTest, tests_under

# These read only what their arguments name, so they need not be called to find that out.
_PLAIN: Mapping[str, tuple[frozenset[str], ...]] = {
    "not_null": (frozenset({"column_name"}),),
    "unique": (frozenset({"column_name"}),),
    "accepted_values": (
        frozenset({"column_name", "values"}),
        frozenset({"column_name", "values", "quote"}),
    ),
    "relationships": (frozenset({"column_name", "to", "field"}),),
}
_NOT_TAKEN = re.compile(r"takes no argument (\w+)")
_SEVERITIES = ("error", "warn")


class Reader:
    """Reads the generic tests of a project and its packages."""

    def __init__(
        self,
        renderer: Renderer,
        configs: Configs,
        docs: Docs,
        names: Names,
    ) -> None:
        self.project = renderer.project
        self.renderer = renderer
        self.configs = configs
        self.docs = docs
        self.names = names

    def of_nodes(self, properties: Mapping[str, Properties]) -> Iterator[DataTest]:
        """The tests under models, seeds and snapshots that are enabled."""
        for package, of in properties.items():
            for node in of.nodes:
                if node.kind == "analysis":
                    continue
                name = node.name if node.version is None else f"{node.name}_v{node.version}"
                written = list(tests_under(node.tested, name, node.path, is_source=False))
                model = self.names.find(Ref(node.name, None, node.version), package)
                if model is None:  # a seed described as a model has its tests, as in dbt
                    continue
                for test in written:
                    yield from self._of_model(test, model, node, package)

    def _of_model(
        self, test: WrittenTest, model: Model, node: NodeProperties, package: str
    ) -> Iterator[DataTest]:
        version = f", version='{node.version}'" if node.version is not None else ""
        yield from self._generic(
            test,
            package,
            name=f"{{{{ get_where_subquery(ref('{node.name}'{version})) }}}}",
            tested=model.relation,
            model=model,
        )

    def of_sources(self, tests: Sequence[tuple[Source, WrittenTest]]) -> Iterator[DataTest]:
        """The tests that are written under sources."""
        for source, test in tests:
            of = f"source('{source.source_name}', '{source.name}')"
            yield from self._generic(
                test,
                source.package,
                name=f"{{{{ get_where_subquery({of}) }}}}",
                tested=source.relation,
                source=source,
            )

    def _generic(
        self,
        test: WrittenTest,
        package: str,
        *,
        name: str,
        tested: Relation,
        model: Model | None = None,
        source: Source | None = None,
    ) -> Iterator[DataTest]:
        of = model.key if model else ".".join(source.key) if source else ""
        macro = self._macro(test, package, of)
        file = self.project.package(package).relative(test.path)
        # As with dbt, the first folder alone is left out, however long the path of its kind is.
        fqn = (package, *Path(file).parts[1:-1], test.name)
        found = Found(self.renderer.target, self.project.variables_for(package))
        at: dict[str, Any] = {"path": test.path, "line": test.line, "package": package}
        own = found.variables()
        arguments = self.renderer.value(dict(test.arguments), own, **at)
        is_plain = not test.package and arguments.keys() in _PLAIN.get(test.test, ())
        if not is_plain:
            try:
                self.renderer.call(macro, {"model": tested, **arguments}, own, **at, model=of)
            except ProjectError as error:
                raise _at_argument(error, test) from error.__cause__
        given = self._rendered(test.config, package, test.path, test.line)
        places = (
            Layer(found.config.given, test.path, test.line, {}, written=found.config.called),
            Layer(given, test.path, test.line, test.lines),
        )
        config, layers = self.configs.of("test", package, fqn, *places)
        if package == self.project.name:
            check_spelling(places, self.renderer)
        inherited = [str(tag) for tag in source.config["tags"]] if source else []
        config["tags"] = sorted({*inherited, *test.tags, *config["tags"]})
        check_settings(config, layers, test.path)
        if not config["enabled"]:
            return
        asked = (*found.refs, *([Ref(model.name, None, model.version)] if model else ()))
        resolved = self._resolved(found, package, test)
        if resolved is None:
            return
        refs, sources = resolved
        yield DataTest(
            name=test.name,
            of=of,
            path=test.path,
            line=test.line,
            config=config,
            macro=macro,
            arguments=test.arguments,
            tested=tested,
            tested_model=model.key if model else None,
            # As with dbt, what is tested comes after what the arguments name.
            refs=tuple(dict.fromkeys(refs + ([model.key] if model else []))),
            sources=tuple(dict.fromkeys(([source.key] if source else []) + sources)),
            package=package,
            file=file,
            fqn=fqn,
            unique_id=test.unique_id(package, name),
            alias=str(config.get("alias") or test.short_name),
            column=test.column,
            description=self.docs.text(test.description, package, test.path, test.line),
            asked=asked,
            described_in=file,
            metadata={
                "name": test.test,
                "namespace": test.package or None,
                "kwargs": {**test.arguments, "model": name},
            },
            attached_node=model.unique_id if model else None,
            macros=self._called(macro, package, is_plain=is_plain),
            written=self.configs.as_written("test", package, fqn, *places),
        )

    def _called(self, macro: str, package: str, *, is_plain: bool) -> tuple[str, ...]:
        """The macros that dbt notes for a generic test, by their ids."""
        found = self.renderer.macros.unique_id(macro, package)
        if is_plain and macro in {"test_not_null", "test_unique"} and found == f"macro.dbt.{macro}":
            return (found,)
        return found, "macro.dbt.get_where_subquery"

    def _macro(self, test: WrittenTest, package: str, of: str) -> str:
        """The macro that ``test`` calls; raises ProjectError if there is none."""
        bare = f"test_{test.test}"
        if test.package:
            if self.renderer.macros.has(f"{test.package}.{bare}"):
                return f"{test.package}.{bare}"
            known = {"dbt", *self.project.all_packages}
            if test.package not in known:
                cure = " List it in packages.yml, and fetch it with `dbt deps`."
                raise ProjectError(
                    f"There is no package {test.package}, of which the test {test.written} is."
                    f"{near(test.package, known) or cure}",
                    path=test.path,
                    line=test.line,
                    model=of,
                    about=test.package,
                )
        elif self.renderer.macros.has(bare) or self.renderer.macros.has(f"{package}.{bare}"):
            return bare
        names = [
            name.removeprefix("test_")
            for name in self.renderer.macros.names(test.package)
            if name.startswith("test_")
        ]
        raise ProjectError(
            f"There is no generic test {test.written}.{near(test.test, names)}",
            path=test.path,
            line=test.line,
            model=of,
            about=test.test,
        )

    def _rendered(
        self, config: Mapping[str, Any], package: str, path: Path, line: int
    ) -> dict[str, Any]:
        variables = self.project.variables_for(package)
        own = Found(self.renderer.target, variables).variables()
        own["var"] = Var(variables, is_final=True)
        found = dict(config)
        for key, value in config.items():
            if isinstance(value, str) and "{{" in value:
                at = below(path, line, key) or line
                found[key] = self.renderer.value(value, own, path=path, line=at, package=package)
        return found

    def _resolved(
        self, found: Found, package: str, test: WrittenTest
    ) -> tuple[list[str], list[SourceKey]] | None:
        """The keys of what ``test`` reads; None if the test is left out, as with dbt.

        It is left out if it reads something that is disabled. If it reads what does not exist, that
        is an error in the project and a warning in a package.
        """
        refs: list[str] = []
        sources: list[SourceKey] = []
        name = ""
        try:
            for ref in found.refs:
                name = ref.name
                refs.append(self.names.model(ref, package).key)
            for key in found.sources:
                name = key[-1]
                sources.append(self.names.source(key, package).key)
        except ProjectError as error:
            if self.names.reads_disabled(found.refs, found.sources, package):
                return None
            line = below(test.path, test.line, name) or test.line
            told = ProjectError(str(error), path=test.path, line=line, about=error.about)
            if package == self.project.name:
                raise told from None
            self.renderer.warnings.append(f"{told} The test {test.name} is left out.")
            return None
        return list(dict.fromkeys(refs)), list(dict.fromkeys(sources))


def _at_argument(error: ProjectError, test: WrittenTest) -> ProjectError:
    """``error`` at the line of the argument that it says is not taken, if it says that."""
    named = _NOT_TAKEN.search(str(error))
    if named is None or (error.path, error.line) != (test.path, test.line):
        return error
    message = str(error).removeprefix(f"{error.path}:{error.line}: ")
    line = below(test.path, test.line, named[1]) or test.line
    return ProjectError(message, path=test.path, line=line, model=error.model, about=named[1])


def check_settings(config: dict[str, Any], layers: Sequence[Layer], path: Path) -> None:
    """Raise ProjectError for an unknown severity, and settle where failures are stored."""
    severity = str(config["severity"]).lower()
    if severity not in _SEVERITIES:
        at, line = place_of("severity", layers, path)
        raise ProjectError(f"severity must be error or warn, not {severity}.", path=at, line=line)
    kept_as = config.get("store_failures_as")
    if kept_as is not None:
        config["store_failures"] = kept_as != "ephemeral"
    elif config.get("store_failures") is not None:
        config["store_failures_as"] = "table" if config["store_failures"] else "ephemeral"
