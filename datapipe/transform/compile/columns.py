"""Where the file of a model gives a column its name."""

from __future__ import annotations

from pathlib import Path

from datapipe.transform.jinja.blocks import without_jinja
from datapipe.transform.manifest.nodes import Model


def place_of_column(model: Model, name: str) -> tuple[Path, int | None]:
    """Where the file of ``model`` gives the column, in the list of its outermost select.

    There is no line where the text does not have the name, such as where a macro writes it.
    """
    from datapipe.transform.compile.selects import selected  # late: it is for what is wrong only

    template = without_jinja(model.raw_code)
    for each, offset in reversed(selected(template)):
        if each.lower() == name.lower():
            return model.path, 1 + template.count("\n", 0, offset)
    return model.path, None
