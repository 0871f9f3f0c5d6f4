"""Compares what a unit test got with what it expected, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from datapipe.transform.checks.message import Cell, fits, shown, table
from datapipe.transform.database.relation import quoted

_SHOWN_ROWS = 10
_PAIRED_ROWS = 200  # pairing looks at each against each
_WIDEST_CELL = 64

Row = tuple[Cell, ...]

# Types that PostgreSQL does not compare, and what compares them.
_COMPARED_AS = {"json": "jsonb", "json[]": "jsonb[]", "xml": "text", "point": "text",
                "line": "text", "lseg": "text", "box": "text", "path": "text", "polygon": "text",
                "circle": "text"}  # fmt: skip


def query(columns: Sequence[tuple[str, str]], actual: str, expected: str) -> str:
    """The rows of which one relation has more than the other, each as often as it has more.

    The first column says which one. PostgreSQL decides what is equal; NULL is equal to NULL.
    """
    chosen = ", ".join(
        f"CAST({quoted(name)} AS {_COMPARED_AS.get(type_, type_)}) AS {quoted(name)}"
        for name, type_ in columns
    )
    sides = []
    for side, one, other in (("surplus", actual, expected), ("missing", expected, actual)):
        rows = f"SELECT {chosen} FROM {one} EXCEPT ALL SELECT {chosen} FROM {other}"
        sides.append(f"SELECT '{side}', {side}.* FROM ({rows}) {side}")
    return "\nUNION ALL\n".join(sides)


def told(columns: Sequence[tuple[str, str]], surplus: Sequence[Row], missing: Sequence[Row]) -> str:
    """The cells in which similar rows differ; then the rows that are missing or too many."""
    names = [name for name, _ in columns]
    types = [type_ for _, type_ in columns]
    pairs, surplus, missing = _paired(types, _sorted(surplus), _sorted(missing))
    parts = []
    if pairs:
        differing = [
            [
                got if _same(got, wanted, type_) else f"{shown(got)} (expected {shown(wanted)})"
                for got, wanted, type_ in zip(actual, expected, types, strict=True)
            ]
            for actual, expected in pairs
        ]
        first = _first(names, [actual for actual, _ in pairs], differing)
        chosen = [[row[n] for n in first] for row in differing]
        parts.append(_part("differ", [names[n] for n in first], chosen))
    if missing:
        parts.append(_part("are missing", names, missing))
    if surplus:
        parts.append(_part("are surplus", names, surplus))
    return "\n".join(parts)


def _first(
    names: Sequence[str], actual: Sequence[Row], differing: Sequence[Sequence[Cell]]
) -> list[int]:
    """The columns to show: all, or, where they are too wide, the first and those that differ."""
    if fits(names, differing, widest=_WIDEST_CELL):
        return list(range(len(names)))
    odd = [
        number
        for number in range(len(names))
        if any(row[number] != told[number] for row, told in zip(actual, differing, strict=True))
    ]
    return sorted({0, *odd})


def _part(what: str, names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    if len(rows) == 1:
        what = "differs" if what == "differ" else what.replace("are", "is")
    head = f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} {what}:"
    lines = [head, table(names, rows[:_SHOWN_ROWS], widest=_WIDEST_CELL)]
    if len(rows) > _SHOWN_ROWS:
        lines.append(f"and {len(rows) - _SHOWN_ROWS} more")
    return "\n".join(lines)


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [(cell is None, cell or "") for cell in row])


def _paired(
    types: Sequence[str], surplus: list[Row], missing: list[Row]
) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Pairs of an actual and an expected row that share a cell, most alike first, and the rest."""
    alike = []
    for n, actual in enumerate(surplus[:_PAIRED_ROWS]):
        for m, expected in enumerate(missing[:_PAIRED_ROWS]):
            same = sum(map(_same, actual, expected, types))
            if same or len(types) == len(surplus) == len(missing) == 1:
                alike.append((-same, n, m))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, n, m in sorted(alike):
        if n not in pairs and m not in taken:
            pairs[n] = m
            taken.add(m)
    return (
        [(surplus[n], missing[pairs[n]]) for n in sorted(pairs)],
        [row for n, row in enumerate(surplus) if n not in pairs],
        [row for m, row in enumerate(missing) if m not in taken],
    )


def _same(one: Cell, other: Cell, type_: str) -> bool:
    """Whether PostgreSQL finds two cells of a row equal, which it wrote as these texts."""
    if one == other or one is None or other is None or not type_.startswith("numeric"):
        return one == other
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False
