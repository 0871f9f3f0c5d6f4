"""Finds the models and sources that names stand for, which depends on who asks."""

from __future__ import annotations

from collections.abc import Iterable

from datapipe.errors import ProjectError
from datapipe.transform.jinja.context import near
from datapipe.transform.manifest.nodes import Model, Ref, Source, SourceKey
from datapipe.transform.project import Project


class Names:
    """The models and sources that names stand for, which depends on the package that asks.

    As with dbt, the root project is searched first, then the package that asks, then all others.
    """

    def __init__(
        self,
        project: Project,
        models: Iterable[Model],
        sources: Iterable[Source],
        disabled: Iterable[Model] = (),
        disabled_sources: Iterable[tuple[str, SourceKey]] = (),
    ) -> None:
        self.root = project.name
        self._own_first = bool(
            (project.settings.get("flags") or {}).get(
                "require_ref_searches_node_package_before_root"
            )
        )
        self._models: dict[str, dict[str, Model]] = {}
        self._sources: dict[SourceKey, dict[str, Source]] = {}
        self._packages = set(project.all_packages)
        self._disabled = {(each.name, each.package, each.is_function) for each in disabled}
        self._disabled_sources = set(disabled_sources)
        for model in models:
            if model.is_function:
                self._known(called(model), model)
                continue
            if model.version is not None:
                self._known(f"{model.name}.v{model.version}", model)
            if model.version is None or model.is_latest_version:
                self._known(model.name, model)
        for source in sources:
            found = self._sources.setdefault((source.source_name, source.name), {})
            found[source.package] = source

    def _known(self, name: str, model: Model) -> None:
        self._models.setdefault(name, {})[model.package] = model

    def find(self, ref: Ref, package: str) -> Model | None:
        """The model that ``ref`` means in ``package``, if there is one."""
        known = self._models.get(_name_of(ref))
        if known is None:
            return None
        if ref.package is not None:
            return known.get(ref.package)
        for each in self._order(package):
            if each in known:
                return known[each]
        if len(known) > 1:
            what, call = ("function", "function") if ref.to_function else ("model", "ref")
            raise ProjectError(
                f"There is a {what} {ref.name} in each of {', '.join(sorted(known))}. Write the "
                f"package as well: {call}('{sorted(known)[0]}', '{ref.name}')."
            )
        return next(iter(known.values()))

    def model(self, ref: Ref, package: str) -> Model:
        """The model that ``ref`` means in ``package``; raises ProjectError if there is none."""
        found = self.find(ref, package)
        if found is not None:
            return found
        what = "function" if ref.to_function else "model"
        if self.is_disabled(ref, package):
            raise ProjectError(
                f"The {what} {ref.name} is disabled (enabled: false).", about=ref.name
            )
        if ref.package is not None and ref.package not in self._packages:
            raise ProjectError(
                f"There is no package {ref.package}.{near(ref.package, self._packages)}",
                about=ref.package,
            )
        if ref.version is not None and ref.name in self._models:
            versions = [
                name.rpartition(".v")[2]
                for name in self._models
                if name.startswith(f"{ref.name}.v")
            ]
            there = f"there are {', '.join(versions)}" if versions else "it has none"
            raise ProjectError(f"The model {ref.name} has no version {ref.version}: {there}.")
        where = f" in the package {ref.package}" if ref.package else ""
        known = [
            name.removesuffix("()")
            for name, packages in self._models.items()
            if (ref.package is None or ref.package in packages)
            and name.endswith("()") is ref.to_function
        ]
        raise ProjectError(
            f"There is no {what} {ref.name}{where}.{near(ref.name, known)}", about=ref.name
        )

    def find_source(self, key: SourceKey, package: str) -> Source | None:
        """The source that is meant in ``package``, if there is one."""
        known = self._sources.get(key)
        if known is None:
            return None
        for each in self._order(package):
            if each in known:
                return known[each]
        return next(iter(known.values()))

    def source(self, key: SourceKey, package: str) -> Source:
        """The source that is meant in ``package``; raises ProjectError if there is none."""
        found = self.find_source(key, package)
        if found is not None:
            return found
        if self.reads_disabled((), (key,), package):
            raise ProjectError(
                f"The source {'.'.join(key)} is disabled (enabled: false).", about=key[1]
            )
        hint = near(".".join(key), map(".".join, self._sources))
        raise ProjectError(
            f"There is no source {'.'.join(key)}.{hint or ' Declare it in YAML, under sources:.'}",
            about=key[any(name == key[0] for name, _ in self._sources)],
        )

    def is_disabled(self, ref: Ref, package: str) -> bool:
        """Whether there is such a model only as a disabled one."""
        return self.find(ref, package) is None and any(
            (name, is_function) == (ref.name, ref.to_function) and ref.package in {None, of}
            for name, of, is_function in self._disabled
        )

    def reads_disabled(
        self, refs: Iterable[Ref], sources: Iterable[SourceKey], package: str
    ) -> bool:
        """Whether anything that is asked for in ``package`` exists only disabled."""
        off = {key for _, key in self._disabled_sources}
        return any(self.is_disabled(ref, package) for ref in refs) or not off.isdisjoint(sources)

    def _order(self, package: str) -> tuple[str, ...]:
        return (package, self.root) if self._own_first else (self.root, package)


def _name_of(ref: Ref) -> str:
    if ref.to_function:
        return f"{ref.name}()"
    return ref.name if ref.version is None else f"{ref.name}.v{ref.version}"


def called(model: Model) -> str:
    """The name of ``model``, with brackets for a function: a model may have the same name."""
    return f"{model.name}()" if model.is_function else model.name
