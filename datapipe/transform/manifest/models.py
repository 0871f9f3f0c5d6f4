"""Reads models, seeds, snapshots, analyses and functions of a project and its packages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja import scope
from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest import functions
from datapipe.transform.manifest.checks import check_model, check_names
from datapipe.transform.manifest.configs import Configs, Layer, layer, place_of
from datapipe.transform.manifest.docs import Docs
from datapipe.transform.manifest.found import Found
from datapipe.transform.manifest.model_files import Descriptions, Written, written_in
from datapipe.transform.manifest.names import called
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.placed import placed
from datapipe.transform.manifest.properties import NodeProperties, Properties
from datapipe.transform.manifest.setting_lines import first_line, place_of_setting
from datapipe.transform.project import Project

_MICROBATCH = "get_incremental_microbatch_sql"
_BATCHED = "require_batched_execution_for_custom_microbatch_strategy"


class Reader:
    """Reads models, seeds, snapshots and analyses."""

    def __init__(
        self,
        renderer: Renderer,
        configs: Configs,
        docs: Docs,
        properties: Mapping[str, Properties],
    ) -> None:
        self.project = renderer.project
        self.renderer = renderer
        self.configs = configs
        self.docs = docs
        self.properties = properties
        self.models: list[Model] = []
        self.analyses: list[Model] = []
        self.disabled: list[Model] = []

    def read(self) -> None:
        """Read every file of every package, and match them with the descriptions in YAML."""
        written = [
            each
            for package in self.project.all_packages.values()
            for each in (*written_in(package), *self._yaml_snapshots(package))
        ]
        descriptions = Descriptions(self.properties, self._described_first(written))
        for each in written:
            self._add(self._model(each, descriptions.of(each)))
        for unused in descriptions.unused():  # as with dbt, no reason to stop
            known = [each.name for each in written if each.kind == unused.kind]
            self.renderer.warnings.append(
                f"{unused.path}:{unused.line}: There is no {unused.kind} {unused.file_name} to "
                f"describe or test.{near(unused.file_name, known)}"
            )
        self.models = _keyed(self.models, self.project.name)
        check_names(self.models)

    def _described_first(self, written: Sequence[Written]) -> Iterator[Written]:
        """``written`` without nodes that another package has as well, if they are disabled here."""
        packages = Counter((each.kind, each.name) for each in written)
        for each in written:
            fqn = (each.package.name, *each.folders, each.name)
            if (
                packages[each.kind, each.name] == 1
                or self.configs.of(each.kind, each.package.name, fqn)[0]["enabled"]
            ):
                yield each

    def _yaml_snapshots(self, package: Project) -> Iterator[Written]:
        for each in self.properties[package.name].nodes:
            if each.kind != "snapshot" or "relation" not in each.block:
                continue
            of = each.block["relation"]
            if not isinstance(of, str):
                raise ProjectError(
                    "relation must be a ref(...) or a source(...).",
                    path=each.path,
                    line=each.block.line_of("relation"),
                    model=each.name,
                )
            line = each.block.line_of("relation")
            code = "\n" * (line - 1) + "select * from {{ " + of + " }}"
            folders = Path(package.inside(each.path)).parts[:-1]
            yield Written("snapshot", each.name, each.path, package, folders, code, line)

    def _add(self, model: Model) -> None:
        if not model.config["enabled"]:
            self.disabled.append(model)
        elif model.resource_type == "analysis":
            self.analyses.append(model)
        else:
            self.models.append(model)

    def _model(self, written: Written, properties: NodeProperties | None) -> Model:
        package, path, name = written.package, written.path, written.name
        fqn = (package.name, *written.folders, name)
        if properties is not None and properties.version is not None:
            name = properties.name
            fqn = (package.name, *written.folders, name, f"v{properties.version}")
        target = self.renderer.target
        model = Model(
            name=name,
            path=path,
            file=package.relative(path),
            inside=package.inside(path),
            package=package.name,
            fqn=fqn,
            raw_code="" if written.kind == "seed" else written.code,
            config=self.configs.before(written.kind, package.name, fqn),
            relation=Relation(target["dbname"], target["schema"], name),
            resource_type=written.kind,
            line=written.line,
            signature=functions.signature(written.path, properties, written.kind),
            **self._described(properties),
        )
        found = Found(
            target,
            self.project.variables_for(package.name),
            model.relation,
            model.as_template_sees_it(),
        )
        layers: list[Layer] = []
        if properties is not None:
            layers.append(layer(properties.config, properties.path, properties.line))
        if written.kind != "seed":
            with scope.noting(found.calls):
                self.renderer.render(
                    path, model.template, found.variables(), model=name, package=package.name
                )
            said = found.config
            layers.append(Layer(said.given, path, written.line, {}, written.code, said.called))
        as_written = self.configs.as_written(written.kind, package.name, fqn, *layers)
        config, layers = self.configs.of(written.kind, package.name, fqn, *layers)
        is_batched = self._batches and _has_batches(config)
        if is_batched:
            config["begin"] = _moment(config["begin"])
        model = replace(model, config=config, is_batched=is_batched)
        model = functions.makeable(model, self.renderer)
        if config["enabled"]:
            check_model(model, layers, self.renderer, self.properties)
            self._read_hooks(model, layers, found)
        model = replace(
            model,
            # A seed comes first, as with dbt, whatever its hooks name.
            asked=() if model.is_seed else tuple(found.refs),
            sources=() if model.is_seed else tuple(found.sources),
            macros=tuple(found.calls.macros),
            called=found.config.called,
            written=as_written,
        )
        if not config["enabled"] or written.kind == "analysis":
            return model
        return placed(model, layers, self.renderer)

    @cached_property
    def _batches(self) -> bool:
        """Whether microbatch models are built batch by batch.

        As with dbt they are not where the project has a macro of its own for that, unless a flag
        says so.
        """
        macros = [f"{package}.{_MICROBATCH}" for package in self.project.all_packages]
        return bool(self.project.flags.get(_BATCHED)) or not any(
            map(self.renderer.macros.has, macros)
        )

    def _described(self, properties: NodeProperties | None) -> dict[str, Any]:
        if properties is None:
            return {}
        of, path = properties.package, properties.path
        lines = {str(each["name"]): each.line_of("description") for each in properties.tested[:-1]}
        line = properties.block.line_of("description")
        description, doc_blocks = self.docs.read(properties.description, of, path, line)
        return {
            "description": description,
            "doc_blocks": doc_blocks,
            "columns": self.docs.columns(properties.columns, of, path, lines),
            "constraints": properties.constraints,
            "described_in": self.project.package(of).relative(path),
            "described_at": (path, properties.line),
            "version": properties.version,
            "latest_version": properties.latest_version,
            "deprecation_date": properties.deprecation_date,
            "time_spine": properties.block.get("time_spine"),
        }

    def _read_hooks(self, model: Model, layers: Sequence[Layer], found: Found) -> None:
        """Render the hooks of ``model``, to find what they refer to and what is wrong in them.

        What they refer to must be built before the model.
        """
        for key in ("pre_hook", "post_hook"):
            for hook in model.config.get(key) or ():
                if "{{" not in hook["sql"] and "{%" not in hook["sql"]:
                    continue
                path, line = place_of(key, layers, model.path)
                own = {**found.variables(), "model": model.as_template_sees_it()}
                with scope.noting(found.calls):
                    try:
                        self.renderer.value(
                            hook["sql"], own, path=path, line=line, package=model.package
                        )
                    except ProjectError as error:
                        raise self._at_hook(error, model, key, hook["sql"]) from error.__cause__

    def _at_hook(self, error: ProjectError, model: Model, key: str, sql: str) -> ProjectError:
        """``error`` at the line of the hook that it is about, if it is told at the setting."""
        first = first_line(sql)
        path, line = place_of_setting(model, key, first, error.about, project=self.project)
        if line is None or (error.path, error.line) == (path, line) or error.path != path:
            return error
        said = str(error).removeprefix(f"{error.path}:{error.line}: ")
        return ProjectError(said, path=path, line=line, model=error.model, about=error.about)


def _has_batches(config: Mapping[str, Any]) -> bool:
    is_incremental = config["materialized"] == "incremental"
    return is_incremental and config.get("incremental_strategy") == "microbatch"


def _moment(begin: Any) -> Any:
    """``begin`` as dbt shows it: as a moment, if it is written like one."""
    try:
        return datetime.fromisoformat(begin if isinstance(begin, str) else begin.isoformat())
    except (AttributeError, ValueError):  # told where it is needed
        return begin


def _keyed(models: Sequence[Model], root: str) -> list[Model]:
    """``models`` with their keys: the name, or more than that if several have the name."""
    owners: dict[str, str] = {}
    for model in models:
        name = called(model)
        if name not in owners or model.package == root:
            owners[name] = model.package
    keyed = []
    for model in models:
        key = name = called(model)
        if model.version is not None:
            key = f"{name}.v{model.version}"
        if owners[name] != model.package:
            key = f"{model.package}.{key}"
        keyed.append(replace(model, key=key))
    return keyed
