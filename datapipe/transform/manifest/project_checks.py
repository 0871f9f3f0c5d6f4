"""Warns of what nobody reads in the project's own file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from difflib import get_close_matches

from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.render import Renderer
from datapipe.transform.manifest.checks import KNOWN_SETTINGS
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.project.blocks import Block

_PROJECT_KEYS = frozenset({
    "name", "version", "config-version", "profile", "require-dbt-version", "model-paths",
    "source-paths", "macro-paths", "test-paths", "seed-paths", "data-paths", "snapshot-paths",
    "analysis-paths", "docs-paths", "asset-paths", "function-paths", "packages-install-path",
    "target-path", "log-path", "clean-targets", "query-comment", "quoting", "vars", "flags",
    "models", "seeds", "snapshots", "sources", "tests", "data_tests", "unit_tests", "analyses",
    "exposures", "metrics", "semantic-models", "saved-queries", "functions", "on-run-start",
    "on-run-end", "dispatch", "restrict-access", "dbt-cloud", "packages", "anchors",
    "selectors-path", "validate_macro_args",
})  # fmt: skip


def check_project(renderer: Renderer) -> None:
    """Warn of keys of the project's file that nobody reads, and of folders that do not exist."""
    project = renderer.project
    settings = project.settings
    renderer.warnings += [
        f"{project.path}:{line}: The key {key} stands here for the second time; only this one "
        "counts."
        for line, key in getattr(settings, "repeated", ())
    ]
    for key in settings:
        if key in _PROJECT_KEYS:
            continue
        meant = get_close_matches(str(key), _PROJECT_KEYS, n=1, cutoff=0.7)
        if meant:
            renderer.warnings.append(
                f"{project.path}:{settings.line_of(key)}: There is no key {key} here. "
                f"Did you mean {meant[0]}?"
            )
    # Of packages for other databases, which are not there, nothing needs to be said.
    known = ["dbt", *project.all_packages]
    for order in settings.get("dispatch") or ():
        for package in order.get("search_order") or ():
            meant = get_close_matches(str(package), known, n=1, cutoff=0.8)
            if meant and package not in known:
                line = order.line_of("search_order") if isinstance(order, Block) else 1
                renderer.warnings.append(
                    f"{project.path}:{line}: There is no package {package} to look for macros in. "
                    f"Did you mean {meant[0]}?"
                )
    for folder in settings.get("model-paths") or ():
        if "{{" not in folder and not (project.directory / folder).is_dir():
            there = (path.name for path in project.directory.iterdir() if path.is_dir())
            renderer.warnings.append(
                f"{project.path}:{settings.line_of('model-paths')}: There is no folder {folder}."
                f"{near(folder, there)}"
            )


def check_trees(renderer: Renderer, models: Iterable[Model]) -> None:
    """Warn of folders in the trees of settings that hold none of ``models``, as dbt does."""
    project, models = renderer.project, list(models)
    for kind in ("models", "seeds", "snapshots"):
        tree = project.settings.get(kind)
        if not isinstance(tree, Block):
            continue
        paths = {
            each.fqn[:length]
            for each in models
            if f"{each.resource_type}s" == kind
            for length in range(1, len(each.fqn) + 1)
        }
        for path, line, meant in _unused(tree, (), paths) if paths else ():
            renderer.warnings.append(
                f"{project.path}:{line}: What is set for {'.'.join(path)} applies to none of the "
                f"{kind}.{meant}"
            )


def _unused(
    level: Block, above: tuple[str, ...], paths: Set[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], int, str]]:
    """The folders of a tree that are none of ``paths``, with their lines and near names."""
    for key, value in level.items():
        path = (*above, str(key))
        if not isinstance(value, Block) or path[-1].startswith("+") or key in KNOWN_SETTINGS:
            continue
        if path in paths:
            yield from _unused(value, path, paths)
        else:
            beside = [each[-1] for each in paths if each[:-1] == above]
            yield path, level.line_of(key), near(path[-1], beside)
