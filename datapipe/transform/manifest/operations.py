"""Reads ``on-run-start`` and ``on-run-end`` as dbt's graph has them: a node for each statement."""

from __future__ import annotations

from collections.abc import Iterator

from datapipe.errors import ProjectError
from datapipe.transform.jinja import scope
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.configs import Configs
from datapipe.transform.manifest.found import Found
from datapipe.transform.manifest.names import Names
from datapipe.transform.manifest.other_nodes import Operation


def operations_of(renderer: Renderer, configs: Configs, names: Names) -> Iterator[Operation]:
    """The statements of all packages; what they refer to is known to exist."""
    project = renderer.project
    for moment in ("on-run-start", "on-run-end"):
        for package in project.all_packages.values():
            for index, hook in enumerate(package.own_hooks(moment)):
                found = Found(renderer.target, project.variables_for(package.name))
                with scope.noting(found.calls):
                    renderer.text(
                        hook.sql,
                        found.variables(),
                        path=hook.path,
                        line=hook.line,
                        package=package.name,
                    )
                try:
                    refs = [names.model(ref, package.name).key for ref in found.refs]
                    sources = [names.source(key, package.name).key for key in found.sources]
                except ProjectError as error:
                    raise ProjectError(str(error), path=hook.path, line=hook.line) from None
                yield Operation(
                    moment,
                    hook.sql,
                    package.name,
                    index,
                    tuple(found.refs),
                    tuple(dict.fromkeys(sources)),
                    tuple(dict.fromkeys(refs)),
                    tuple(found.calls.macros),
                    configs.before("analysis", package.name, (package.name, "hooks")),
                    configs.as_written("analysis", package.name, (package.name, "hooks")),
                )
