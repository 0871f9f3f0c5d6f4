"""What a report is: rows from the marts, and what each column means."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from datapipe.frozen import frozen

if TYPE_CHECKING:
    import pandas

Kind = Literal[
    "text",
    "date",
    "number",
    "price",  # money per share, in the currency of the listing
    "change",  # a difference between prices; its sign is always shown
    "percent",  # 1 is one hundredth
    "change_percent",
    "count",  # shown in thousands, millions, billions
    "sparkline",  # an array of numbers, oldest first
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@frozen
class Column:
    """A column of a report: ``name`` is for machines, ``kind`` says how people read it."""

    name: str
    kind: Kind


@frozen
class Report:
    """The rows of a report, numbers exact; ``synthetic`` where no price in it was ever traded.

    ``as_of`` is the newest trading session in it, where it has sessions.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    synthetic: bool
    as_of: date | None

    def has(self, *names: str) -> bool:
        """Whether all of these columns are in the report."""
        return set(names) <= {column.name for column in self.columns}

    def values(self, name: str) -> tuple[Any, ...]:
        """The column ``name``, a value a row; all None where the report has no such column."""
        for index, column in enumerate(self.columns):
            if column.name == name:
                return tuple(row[index] for row in self.rows)
        return (None,) * len(self.rows)

    def to_pandas(self, *, floats: bool = False) -> pandas.DataFrame:
        """A data frame; exact numbers stay ``Decimal`` objects unless ``floats`` are asked for."""
        import pandas

        frame = pandas.DataFrame(
            {
                column.name: pandas.Series(self.values(column.name), dtype=object)
                for column in self.columns
            }
        )
        for column in self.columns:
            values = frame[column.name]
            if column.kind == "date":
                frame[column.name] = pandas.to_datetime(values)
            elif floats and any(isinstance(value, Decimal) for value in values):
                frame[column.name] = values.astype(float)
        return frame
