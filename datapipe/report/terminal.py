"""Reports for people: laid out for the width of a terminal, and never cut.

The lines are laid out here, since rich's own tables shorten what does not fit, numbers as well,
and take ten times as long for 500 symbols.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from datapipe.report import figures
from datapipe.report.figures import Glyphs
from datapipe.report.layout import GAP, Cells, Layout, printable, sign_style, total_width
from datapipe.report.result import Report
from datapipe.report.summary import Mover, Summary, summary


def console() -> Console:
    """Where reports are shown: standard output."""
    return Console()


def show(report: Report, console: Console) -> None:
    """Print ``report``: fitted to the width of a terminal, whole and without colour elsewhere."""
    drawn = figures.glyphs(console.encoding)
    layout = Layout(report, drawn)
    limit = console.width if console.is_terminal else None
    columns = layout.fitted(limit)
    lines = [*_heading(report, drawn, limit), Text()]
    if not report.rows:
        lines.append(Text("No rows."))
    elif columns is None:
        lines += _stacked(layout.whole(), drawn)
    else:
        lines += _table(columns, drawn)
        left_out = [layout.header(key) for key in layout.names if key not in columns]
        if left_out:
            left_out[0] = f"Not shown at this width: {left_out[0]}"
            lines += [Text(), *_filled([Text(each, "dim") for each in left_out], ", ", limit)]
    text = _encodable(Text("\n").join(lines), console.encoding)
    console.print(text, soft_wrap=True, highlight=False)


def _heading(report: Report, drawn: Glyphs, limit: int | None) -> Iterator[Text]:
    dot = f" {drawn.separator} "
    title = f"{report.title}, SYNTHETIC sample data" if report.synthetic else report.title
    parts = [Text(printable(title), "bold")]
    if report.as_of:
        parts.append(Text(f"through {report.as_of:%a %Y-%m-%d}", "bold"))
    yield from _filled(parts, " ", limit)
    told = summary(report)
    if told is not None:
        yield from _filled([Text(part) for part in _breadth(told)], dot, limit)
        movers = [
            Text.assemble(f"{word} {printable(mover.symbol)} ", _percent(mover))
            for word, mover in (("best", told.gainer), ("worst", told.loser))
            if mover is not None and told.symbols > 1
        ]
        yield from _filled(movers, dot, limit)
    if report.synthetic:
        said = ("SYNTHETIC: made by a generator.", "None of these prices was ever traded.")
        yield from _filled([Text(each, "yellow") for each in said], " ", limit)


def _filled(parts: Iterable[Text], separator: str, limit: int | None) -> Iterator[Text]:
    """``parts`` in as few lines as ``limit`` allows, broken only between them."""
    line: Text | None = None
    for part in parts:
        if line is None:
            line = part
        elif limit is None or line.cell_len + len(separator) + part.cell_len <= limit:
            line = Text.assemble(line, separator, part)
        else:
            yield line
            line = part
    if line is not None:
        yield line


def _breadth(told: Summary) -> Iterator[str]:
    yield f"{told.symbols:,d} symbol{'s' if told.symbols != 1 else ''}"
    if told.symbols > 1:
        yield f"{told.advancers} up, {told.decliners} down, {told.unchanged} unchanged"
    if told.traded_value:
        largest_first = sorted(told.traded_value.items(), key=lambda each: -each[1])
        yield "traded " + " + ".join(
            f"{figures.count(value)} {printable(currency or '(no currency)')}"
            for currency, value in largest_first
        )
    if told.behind:
        yield f"{told.behind} with no price on that day"
    if told.without_prices:
        yield f"{told.without_prices} with no prices yet"


def _percent(mover: Mover) -> tuple[str, str]:
    return figures.change_percent(mover.change_percent), sign_style(mover.change_percent)


def _table(columns: dict[str, Cells], drawn: Glyphs) -> Iterator[Text]:
    shown = list(columns.values())
    last = len(shown) - 1

    def line(cells: Sequence[tuple[str, str]]) -> Text:
        parts: list[tuple[str, str]] = []
        for index, ((text, style), column) in enumerate(zip(cells, shown, strict=True)):
            padding = " " * (column.width - cell_len(text))
            if column.left:
                parts += [(text, style), ("" if index == last else padding, "")]
            else:
                parts += [(padding, ""), (text, style)]
            parts.append(("" if index == last else GAP, ""))
        return Text.assemble(*(part for part in parts if part[0]))

    yield line([(column.header, "dim") for column in shown])
    yield Text(drawn.rule * total_width(columns), style="dim")
    for row in zip(*(zip(c.texts, c.styles, strict=True) for c in shown), strict=True):
        yield line(row)


def _stacked(columns: dict[str, Cells], drawn: Glyphs) -> Iterator[Text]:
    """A block of lines for each row: the first column above, the others below it."""
    first, *others = columns.values()
    label = max((cell_len(column.header) for column in others), default=0)
    for row, text in enumerate(first.texts):
        if row:
            yield Text()
        yield Text(text.strip(), style="bold")
        for column in others:
            value = column.texts[row].strip()
            if value != drawn.nothing:
                yield Text.assemble(
                    (f"  {column.header:<{label}}{GAP}", "dim"), (value, column.styles[row])
                )


def _encodable(text: Text, encoding: str) -> Text:
    plain = text.plain.encode(encoding, "replace").decode(encoding)
    if plain != text.plain:
        text.plain = plain
    return text
