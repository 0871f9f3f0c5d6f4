"""``api.Column``: a column of a relation as templates see it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from datapipe.errors import ProjectError

_STRINGS = {"text", "character varying", "character", "varchar"}
_FLOATS = {"real", "float4", "float", "double precision", "float8", "double"}
_NUMERICS = {"numeric", "decimal"}
_INTEGERS = {
    *("smallint", "integer", "bigint", "smallserial", "serial", "bigserial"),
    *("int2", "int4", "int8", "serial2", "serial4", "serial8"),
}
_LABELS = {"STRING": "TEXT"}
_DESCRIBED = re.compile(r"([^(]+)(?:\(([^)]+)\))?")
_SIZE_OF_TEXT = 256  # what dbt takes where a string has no size


@dataclass(repr=False)
class Column:
    """A column; ``dtype`` is its type without a size, ``data_type`` with it."""

    column: str
    dtype: str
    char_size: int | None = None
    numeric_precision: int | None = None
    numeric_scale: int | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"PostgresColumn({shown})"

    @classmethod
    def create(cls, name: str, label_or_dtype: str) -> Column:
        return cls(name, cls.translate_type(label_or_dtype))

    @classmethod
    def translate_type(cls, dtype: str) -> str:
        return _LABELS.get(dtype.upper(), dtype)

    @classmethod
    def from_description(cls, name: str, raw_data_type: str) -> Column:
        """The column that a text such as ``numeric(28,6)`` describes."""
        found = _DESCRIBED.match(raw_data_type)
        sizes = [size.strip() for size in found[2].split(",")] if found and found[2] else []
        if not found or len(sizes) > 2 or not all(size.isdigit() for size in sizes):
            raise ProjectError(f"The type {raw_data_type!r} of {name} cannot be read.")
        if len(sizes) == 2:
            return cls(name, found[1], None, int(sizes[0]), int(sizes[1]))
        return cls(name, found[1], int(sizes[0]) if sizes else None)

    @classmethod
    def string_type(cls, size: int) -> str:
        return f"character varying({size})"

    @classmethod
    def numeric_type(cls, dtype: str, precision: Any, scale: Any) -> str:
        return dtype if precision is None or scale is None else f"{dtype}({precision},{scale})"

    @property
    def name(self) -> str:
        return self.column

    @property
    def quoted(self) -> str:
        return '"' + self.column.replace('"', '""') + '"'

    @property
    def data_type(self) -> str:
        kind = self.dtype.lower()
        if kind == "text" or (kind == "character varying" and self.char_size is None):
            return self.dtype
        if self.is_string():
            return self.string_type(self.string_size())
        if self.is_numeric():
            return self.numeric_type(self.dtype, self.numeric_precision, self.numeric_scale)
        return self.dtype

    @property
    def expanded_data_type(self) -> str:
        return self.data_type

    def is_string(self) -> bool:
        return self.dtype.lower() in _STRINGS

    def is_number(self) -> bool:
        return self.is_integer() or self.is_numeric() or self.is_float()

    def is_float(self) -> bool:
        return self.dtype.lower() in _FLOATS

    def is_integer(self) -> bool:
        return self.dtype.lower() in _INTEGERS

    def is_numeric(self) -> bool:
        return self.dtype.lower() in _NUMERICS

    def string_size(self) -> int:
        if not self.is_string():
            raise ProjectError(
                f"The column {self.column} is no string, so it has no string_size()."
            )
        return _SIZE_OF_TEXT if self.dtype == "text" or self.char_size is None else self.char_size

    def can_expand_to(self, other_column: Column) -> bool:
        """Whether ``other_column`` holds longer strings than this one."""
        if not self.is_string() or not other_column.is_string():
            return False
        return other_column.string_size() > self.string_size()

    def literal(self, value: Any) -> str:
        return f"{value}::{self.data_type}"
