"""The hooks of a model as they are written: which it has, where they stand, what they come to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from datapipe.frozen import frozen
from datapipe.transform.build import aside
from datapipe.transform.compile import Compiled, Compiler
from datapipe.transform.database.statements import within_ours
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.setting_lines import first_line, place_of_setting

Setting = Literal["pre_hook", "post_hook"]


@frozen
class Hook:
    """One statement as written, with Jinja in it."""

    text: str
    in_transaction: bool


def of(model: Model, setting: Setting) -> tuple[Hook, ...]:
    """The hooks of ``model`` in their order."""
    given = model.config.get(setting) or ()
    return tuple(Hook(each["sql"], bool(each["transaction"])) for each in given)


def rendered(model: Model, compiler: Compiler) -> list[str]:
    """What the hooks of ``model`` come to over what is published, in the order they are sent in.

    A template may send statements itself, so this is for a connection that lets none of them write.
    Hooks that a materialization of the user's runs itself are left out.
    """
    if compiler.materialization(model) is not None:
        return []

    def come_to(hook: Hook, setting: Setting) -> str:
        text = compiler.text(
            model,
            hook.text,
            this=model.relation,
            where=partial(place_of, hook, setting, model, compiler),
            compiled=code_of(model, compiler, lambda: compiler.model(model)),
        )
        return as_statement(text)

    before, after = of(model, "pre_hook"), of(model, "post_hook")
    return [
        *(come_to(hook, "pre_hook") for hook in before if not hook.in_transaction),
        *(come_to(hook, "pre_hook") for hook in before if hook.in_transaction),
        *(come_to(hook, "post_hook") for hook in after if hook.in_transaction),
        *(hook.text for hook in after if not hook.in_transaction),
    ]


def place_of(
    hook: Hook, setting: Setting, model: Model, compiler: Compiler
) -> tuple[Path, int | None]:
    """The line that the hook begins on, or that of the setting if a macro makes the hook."""
    return place_of_setting(
        model, setting, first_line(hook.text), project=compiler.manifest.project
    )


def code_of(
    model: Model, compiler: Compiler, compiled: Callable[[], Compiled]
) -> Callable[[], str] | None:
    """A function for the SQL of ``model`` with published names; None if the model has none."""
    if model.is_seed or model.is_batched:
        return None

    def code() -> str:
        return aside.in_public(compiled().sql, compiler.manifest.schemas)

    return code


def as_statement(text: str) -> str:
    """``text`` as other statements may follow it, and within a transaction of ours.

    It is without spaces and semicolons at its ends.
    """
    return within_ours(text).strip().rstrip("; \n")
