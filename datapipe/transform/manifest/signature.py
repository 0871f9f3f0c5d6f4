"""The signature of a function as YAML describes it: arguments, result and language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from datapipe.errors import ProjectError
from datapipe.frozen import frozen
from datapipe.transform.project.blocks import Block, Items


@frozen
class Argument:
    """One argument of a function; ``default`` is SQL, or None where there is none."""

    name: str
    data_type: str
    description: str | None = None
    default: Any = None


@frozen
class Signature:
    """How a function is called, and what it returns; ``returns`` is empty if YAML does not say.

    A function for which there is no macro, such as one in Python, cannot be made.
    """

    arguments: tuple[Argument, ...] = ()
    returns: str = ""
    returned: str | None = None
    language: str = "sql"
    is_makeable: bool = True

    @property
    def called(self) -> list[Any]:
        """What PostgreSQL is told of it."""
        arguments = [[each.name, each.data_type, each.default] for each in self.arguments]
        return [arguments, self.returns, self.language]

    def macro(self, config: Mapping[str, Any]) -> str:
        """The macro that writes the statement which makes the function, as dbt calls it."""
        return f"{config.get('type')}_function_{self.language}"

    def as_template_sees_it(self) -> dict[str, Any]:
        """What dbt shows of it to templates."""
        return {
            "language": self.language,
            "arguments": [
                {
                    "name": each.name,
                    "data_type": each.data_type,
                    "description": each.description,
                    "default_value": each.default,
                }
                for each in self.arguments
            ],
            "returns": {"data_type": self.returns, "description": self.returned},
            "defer_function": None,
        }


def signature_of(block: Block, path: Path, language: str) -> Signature:
    """The signature that ``block`` writes out; raises ProjectError for what it lacks."""
    returns = block.get("returns")
    if not isinstance(returns, Block) or not _is_text(returns.get("data_type")):
        said = get_close_matches("returns", map(str, block), n=1, cutoff=0.8)
        instead = f", not {said[0]}" if said and said[0] != "returns" else ""
        raise ProjectError(
            f"The function {block['name']} does not say what it returns. Write returns{instead}, "
            "with a data_type.",
            path=path,
            line=block.line_of(said[0]) if said else block.line,
            model=str(block["name"]),
        )
    described = returns.get("description")
    return Signature(
        tuple(_arguments(block, path)),
        str(returns["data_type"]),
        None if described is None else str(described),
        language,
    )


def _arguments(block: Block, path: Path) -> Iterator[Argument]:
    given = block.get("arguments")
    line = block.line_of("arguments")
    if given is not None and not isinstance(given, Items):
        raise ProjectError("arguments must be a list.", path=path, line=line)
    with_default = ""
    for each, at in zip(given or (), getattr(given, "lines", ()), strict=False):
        if not isinstance(each, Block) or not all(
            _is_text(each.get(key)) for key in ("name", "data_type")
        ):
            raise ProjectError(
                f"Each of the arguments of the function {block['name']} must have a name and a "
                "data_type.",
                path=path,
                line=at,
                model=str(block["name"]),
            )
        default, described = each.get("default_value"), each.get("description")
        if default is None and with_default:
            raise ProjectError(
                f"The argument {each['name']} of the function {block['name']} has no "
                f"default_value, and comes after {with_default}, which has one. Give it one, too, "
                "or put it first.",
                path=path,
                line=at,
                model=str(block["name"]),
            )
        with_default = with_default if default is None else str(each["name"])
        text = None if described is None else str(described)
        yield Argument(str(each["name"]), str(each["data_type"]), text, default)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
