"""What Jinja says of a mistake, in the words of who wrote the template, and with a cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2.filters import FILTERS
from jinja2.runtime import Macro
from jinja2.tests import TESTS

from datapipe.transform.database.relation import Relation
from datapipe.transform.jinja import places
from datapipe.transform.jinja.adapter import Adapter
from datapipe.transform.jinja.columns import Column
from datapipe.transform.jinja.context import near
from datapipe.transform.jinja.exceptions import Exceptions
from datapipe.transform.jinja.tables import Row, Table
from datapipe.transform.jinja.templates import MACRO_PREFIX, Return
from datapipe.transform.source_text import line_of

_UNDEFINED = r"'(\w+)' is undefined"
_ATTRIBUTE = r"'(\w+) object' has no attribute '(\w+)'"
_OUR_MODULES = r"'?datapipe\.[\w.]*\.(\w+?)(?:Told)? object'?"
_OURS = {each.__name__: each for each in (Adapter, Column, Exceptions, Relation, Row, Table)}
_OF_TEST = r"^(?:default__|postgres__)?test_(?=\w)"
_TAGS = (
    *("for", "endfor", "if", "elif", "else", "endif", "set", "endset", "do", "macro", "endmacro"),
    *("call", "endcall", "filter", "endfilter", "raw", "endraw", "break", "continue"),
    *("snapshot", "endsnapshot", "test", "endtest", "docs", "enddocs", "materialization"),
)
_OF_OTHERS = {"elseif": "elif", "elsif": "elif", "foreach": "for", "while": "for"}
_CONSTANTS = frozenset({"true", "false", "none"})
_NO_OTHER_FILES = (
    "A template of dbt takes nothing from other files with {% import %}, {% include %} or "
    "{% extends %}: macros of the project and of its packages are there by their names"
)
_NOT_IN_A_MACRO = "return() gives back what a macro comes to, and this is not in one"


def of_syntax(message: str) -> str:
    """Jinja's message about a template that it cannot read, and what may have been meant."""
    if "no loader for this environment" in message:
        return _NO_OTHER_FILES
    return ended(message) + "".join(hint(*found.groups()) for found, hint in _found(message))


def of_rendering(error: Exception, variables: Mapping[str, Any], path: Path, line: int) -> str:
    """The message for what a template at ``path`` raised; ``line`` is 0 if it is not known."""
    if isinstance(error, Return):
        return f"{_NOT_IN_A_MACRO}."
    message = re.sub(_OUR_MODULES, r"'\1 object'", str(error).replace(MACRO_PREFIX, ""))
    message = message.replace("'types.SimpleNamespace object'", "this module")
    if "no loader for this environment" in message:
        return f"{_NO_OTHER_FILES}."
    macro = _refusing(error)
    if macro is not None:
        return _of_call(message, macro)
    told = ended(message)
    written = line_of(path, line)
    undefined = re.fullmatch(_UNDEFINED, message)
    if undefined:
        named = re.search(rf"\b(ref|source|var|env_var|doc)\(\s*{undefined[1]}\b", written)
        if named:
            return f"{told} Is it a name, in quotes: {named[1]}('{undefined[1]}')?"
        return told + unknown(undefined[1], variables, path)
    attribute = re.fullmatch(_ATTRIBUTE, message)
    if attribute and attribute[1] in _OURS:
        return told + near(attribute[2], dir(_OURS[attribute[1]]))
    if attribute and attribute[1] == "Package":
        return _no_macro(attribute[2], variables, written)
    if message.startswith("'None' has no attribute") and "load_result(" in written:
        return f"{told} load_result() is None where no statement of that name has run."
    return told


def unknown(name: str, variables: Mapping[str, Any], path: Path) -> str:
    """What may have been meant by ``name``, which stands in the file at ``path``."""
    assigned = places.assigned(path)
    if name in assigned:
        return " What is set in a loop, a block or a macro is not there outside of it."
    if name.lower() in _CONSTANTS:
        return f" Did you mean {name.lower()}?"
    meant = near(name, [*assigned, *variables, "loop"])
    if meant or not places.calls_of(path, name):
        return meant
    return (
        f" If {name} is a package, its macros are to be in dbt_packages/: list it in packages.yml "
        "and fetch it with `dbt deps`."
    )


def ended(text: str) -> str:
    """``text`` as a sentence."""
    text = text.strip()
    text = text[:1].upper() + text[1:] if not text.startswith(("'", "return(")) else text
    return text if text.endswith((".", "!", "?")) else text + "."


def _found(message: str) -> list[tuple[re.Match[str], Callable[..., str]]]:
    return [(found, hint) for pattern, hint in _HINTS if (found := re.search(pattern, message))]


_HINTS: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"No filter named '(\w+)'", lambda name: near(name, FILTERS)),
    (r"No test named '(\w+)' found", lambda name: near(name, TESTS)),
    (r"unknown tag '(\w+)'\.$", lambda name: _tag(name)),
    (r"unknown tag '(else?if|elsif)'", lambda name: _tag(name)),
    (r"[Uu]nexpected '\}'", lambda: " {{ is closed by }}, and {% by %}."),
    (r", got '='", lambda: " What compares is written ==."),
)


def _tag(name: str) -> str:
    if name in _TAGS:
        return f" No tag that {name} belongs to is open here."
    other = _OF_OTHERS.get(name)
    return f" Did you mean {other}?" if other else near(name, _TAGS)


def _refusing(error: Exception) -> Macro | None:
    """The macro that did not take its arguments, if that is what ``error`` is about."""
    trace = error.__traceback__
    if not isinstance(error, TypeError) or trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    caller = trace.tb_frame.f_locals.get("self")
    return caller if isinstance(caller, Macro) else None


def _of_call(message: str, macro: Macro) -> str:
    """The message for arguments that a macro, or a generic test, does not take."""
    name = macro.name.removeprefix(MACRO_PREFIX)
    kind = "test" if re.match(_OF_TEST, name) else "macro"
    whose = f"The {kind} {re.sub(_OF_TEST, '', name)}"
    takes = ", ".join(macro.arguments)
    wrong = re.search(r"takes no keyword argument '(\w+)'", message)
    if wrong:
        meant = near(wrong[1], macro.arguments)
        return f"{whose} takes no argument {wrong[1]}.{meant} Its arguments are {takes}."
    if "not more than" in message:
        return f"{whose} takes at most {len(macro.arguments)} arguments: {takes}."
    return ended(message)


def _no_macro(name: str, variables: Mapping[str, Any], written: str) -> str:
    packages = {
        each: package for each, package in variables.items() if type(package).__name__ == "Package"
    }
    called = [each for each in packages if re.search(rf"\b{each}\s*\.\s*{name}\b", written)]
    known = {macro for each in called[:1] or packages for macro in packages[each]}
    which = f"package {called[0]}" if called else "package"
    return f"The {which} has no macro {name}.{near(name, known)}"
