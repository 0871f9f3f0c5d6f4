"""The columns of a contract with their types."""

from __future__ import annotations

from dataclasses import replace

from datapipe.transform.jinja.columns import Column as Described
from datapipe.transform.manifest.nodes import Column, Model, Source


def contract_columns(node: Model | Source) -> dict[str, Column]:
    """The columns of ``node``; ``string`` means text, as with dbt, unless alias_types is off."""
    columns = dict(node.columns)
    if (node.config.get("contract") or {}).get("alias_types", True) is not True:
        return columns
    for name, column in columns.items():
        meant = column.data_type and Described.translate_type(column.data_type)
        if meant != column.data_type:
            columns[name] = replace(column, data_type=meant)
    return columns
