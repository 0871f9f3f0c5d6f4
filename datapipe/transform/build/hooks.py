"""``on-run-start`` and ``on-run-end``: statements of the project around a run.

They are the user's own and take effect at once, as in dbt: what ``on-run-start`` did stays,
whatever becomes of the run. ``on-run-end`` is sent when all is published, and also when nothing
could be, for those who keep a record of failures; its ``results`` tell, and ``ref`` is what readers
then see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import psycopg

from datapipe.transform.compile import Compiler
from datapipe.transform.compile.graph import with_parents
from datapipe.transform.database.statements import execute, within_ours
from datapipe.transform.project import Hook
from datapipe.warehouse.failures import class_of, failure

Moment = Literal["on-run-start", "on-run-end"]


def run(
    connection: psycopg.Connection,
    moment: Moment,
    compiler: Compiler,
    known: Mapping[str, Any],
    *,
    is_published: bool,
) -> None:
    """Render and send the statements of ``moment``, which also see ``known``, one by one.

    Those of packages come before the project's own.
    """
    operations = [each for each in compiler.manifest.operations if each.moment == moment]
    for hook in compiler.manifest.project.hooks(moment):
        node = next(each for each in operations if each.package == hook.package)
        operations.remove(node)
        own = {**known, "model": with_parents(compiler.manifest, node)}
        with compiler.renderer.using(connection):
            text = compiler.hook(hook.sql, hook.path, hook.line, own, package=hook.package)
        text = within_ours(text)
        if not text.strip():
            continue
        try:
            execute(connection, text.strip())
        except psycopg.Error as error:
            if class_of(error) in {"", "08", "53", "57", "58"}:
                raise failure(error, moment) from error
            from datapipe.transform.compile.locate import WrittenHook, hook_error  # seldom needed

            def rendered(
                compiler: Compiler, hook: Hook = hook, own: Mapping[str, Any] = own
            ) -> str:
                return compiler.hook(hook.sql, hook.path, hook.line, own, package=hook.package)

            written = WrittenHook(hook.sql, hook.path, hook.line, rendered)
            with compiler.renderer.using(connection):
                told = hook_error(error, moment, compiler, written, text.strip(), connection)
            if is_published:
                told.args = (f"{told} The models had been published.",)
            raise told from error
