"""Holds what templates ask for by ``ref`` and ``source`` against what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.found import (
    Found,
    asked,
    asked_function,
    asked_source,
    written_ref,
)
from datapipe.transform.manifest.names import Names
from datapipe.transform.manifest.nodes import Model, Ref, SourceKey
from datapipe.transform.manifest.setting_lines import written_in
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.project.blocks import Block


class References:
    """Finds the nodes that templates refer to, and refuses names that stand for nothing."""

    def __init__(
        self,
        renderer: Renderer,
        names: Names,
        seeds: Mapping[SourceKey, str],
    ) -> None:
        self.renderer = renderer
        self.project = renderer.project
        self.names = names
        self.seeds = seeds

    def of_model(self, model: Model) -> Model:
        """``model`` with the keys of what it reads.

        Raises ProjectError for the first name that stands for nothing, at its line.
        """
        resolved = self._resolved(model)
        if resolved is None:
            self._render_again(model)
            raise ProjectError(
                f"What {model.name} refers to is not the same when it is read again. Let it not "
                "depend on the clock or on chance.",
                path=model.path,
                line=model.line,
                model=model.name,
            )
        refs, sources = resolved
        keys = dict.fromkeys(refs)
        for ref, line in _constrained(model):
            try:
                to = self.names.model(ref, model.package).key
                keys |= {to: None} if to != model.key else {}
            except ProjectError as error:
                described = self.project.package(model.package).directory / model.described_in
                raise ProjectError(
                    str(error), path=described, line=line, model=model.name
                ) from None
        return replace(model, refs=tuple(keys), sources=sources)

    def with_seeds(self, test: DataTest) -> DataTest:
        """``test``, which now also reads the seeds that fill its sources."""
        seeds = [self.seeds[key] for key in test.sources if key in self.seeds]
        return replace(test, refs=tuple(dict.fromkeys((*test.refs, *seeds)))) if seeds else test

    def of_test(self, test: DataTest) -> DataTest | None:
        """``test`` with the keys of what it reads; None if the test is left out, as with dbt.

        It is left out if it reads something that is disabled. If it reads what does not exist, that
        is an error in the project and a warning in a package.
        """
        resolved = self._resolved(test)
        if resolved is not None:
            return replace(test, refs=resolved[0], sources=resolved[1])
        if self.names.reads_disabled(test.asked, test.sources, test.package):
            return None
        read = (self.names.find(ref, test.package) for ref in test.asked)
        try:
            self._render_again(test)
        except ProjectError as error:
            barred = any(model is not None and not _may_read(test, model) for model in read)
            if barred or test.package == self.project.name:
                raise
            self.renderer.warnings.append(f"{error} The test {test.name} is left out.")
        return None

    def _resolved(
        self, node: Model | DataTest
    ) -> tuple[tuple[str, ...], tuple[SourceKey, ...]] | None:
        refs: dict[str, None] = {}
        sources: dict[SourceKey, None] = {}
        for ref in node.asked:
            model = self.names.find(ref, node.package)
            if model is None or not _may_read(node, model):
                return None
            refs[model.key] = None
        for key in node.sources:
            source = self.names.find_source(key, node.package)
            if source is None:
                return None
            sources[source.key] = None
            if source.key in self.seeds:
                refs[self.seeds[source.key]] = None
        return tuple(refs), tuple(sources)

    def _render_again(self, node: Model | DataTest) -> None:
        """Render with functions that refuse unknown names, so that the error has the line."""
        found = Found(
            self.renderer.target,
            self.project.variables_for(node.package),
            node.relation if isinstance(node, Model) else None,
            node.as_template_sees_it(),
        )

        def ref(*names: Any, version: Any = None, v: Any = None, **_: Any) -> Relation:
            wanted = asked(names, version if version is not None else v)
            check_access(node, self.names.model(wanted, node.package))
            return found.ref(*names)

        def source(*names: Any) -> Relation:
            self.names.source(asked_source(names), node.package)
            return found.source(*names)

        def function(*names: Any) -> Relation:
            check_access(node, self.names.model(asked_function(names), node.package))
            return found.function(*names)

        own = {**found.variables(), "ref": ref, "source": source, "function": function}
        code = node.template if isinstance(node, Model) else node.raw_code
        self.renderer.render(node.path, code, own, model=node.name, package=node.package)
        package = self.project.package(node.package)
        files = (node.path, package.directory / node.described_in, package.path, self.project.path)
        for key in ("pre_hook", "post_hook"):
            for hook in node.config.get(key) or ():
                path, line = written_in(files, hook["sql"]) or (node.path, 1)
                self.renderer.text(hook["sql"], own, path=path, line=line, package=package.name)


def _constrained(model: Model) -> Iterator[tuple[Ref, int | None]]:
    """The models that foreign keys of ``model`` point to, with the lines that say so."""
    columns = (each for column in model.columns.values() for each in column.constraints)
    for constraint in (*model.constraints, *columns):
        ref = written_ref(constraint.get("to"))
        if constraint.get("type") == "foreign_key" and ref is not None:
            yield ref, constraint.line_of("to") if isinstance(constraint, Block) else None


def _may_read(node: Model | DataTest, model: Model) -> bool:
    if model.signature is not None:
        return model.signature.is_makeable
    return model.access != "private" or node.config.get("group") == model.config.get("group")


def check_access(node: Model | DataTest, model: Model) -> None:
    """Raise ProjectError if ``node`` may not read ``model``: it is private to another group.

    The same is raised for a function that cannot be made.
    """
    if _may_read(node, model):
        return
    if model.signature is not None:
        raise ProjectError(
            f"The function {model.name} cannot be made: there is no macro "
            f"postgres__{model.signature.macro(model.config)}.",
            model=node.name,
        )
    group = model.config.get("group")
    raise ProjectError(
        f"The model {model.name} is private: only models of "
        f"{f'the group {group}' if group else 'no group'} may refer to it. Put {node.name} "
        f"into that group, or set access: protected for {model.name}.",
        model=node.name,
    )
