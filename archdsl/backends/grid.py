"""A table of texts, and how it is written as plain text, CSV, Markdown and LaTeX.

Texts come in as they are; each format makes them safe for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from io import StringIO
from itertools import repeat

from archdsl.backends.escaping import html_text, latex
from archdsl.diagnostics import LONGEST_LINE, printable
from archdsl.records import Record

WIDEST = 120  # characters of a line in a terminal
LONGEST_NAME = 1_000_000  # of a layer, in a file for programs: no name is cut
# A spreadsheet would run what follows these; an apostrophe before them says that it is text. So one
# that begins a name gets one too, that no two names become one.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")

CODE = r"`([^`]+)`"  # a name in a text
PLAIN_NAME = r"[\w.-]+( [\w.=-]+)?"  # also an option: `--input image=3x224x224`


class Heading(Record):
    """What stands above a column of a grid, and how it is set.

    Attributes:
        text: what stands there.
        numeric: the cells below are numbers, which stand to the right.
        spare: a terminal may do without it, if the table is too wide.
    """

    text: str
    numeric: bool = False
    spare: bool = False


class Grid(Record):
    """Columns of cells under headings, and rows of totals below a rule."""

    headings: tuple[Heading, ...]
    columns: Sequence[Sequence[str]]
    totals: Sequence[Sequence[str]] = ()

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        """The cells row by row."""
        return [*zip(*self.columns, strict=True)]


def of_rows(
    headings: tuple[Heading, ...],
    rows: Sequence[Sequence[str]],
    totals: Sequence[Sequence[str]] = (),
) -> Grid:
    """Return a grid of rows of cells."""
    columns = [*zip(*rows, strict=True)] if rows else [()] * len(headings)
    return Grid(headings, columns, totals)


def plain(grid: Grid) -> str:
    """Write aligned columns for a terminal, without the spare ones beyond 120 characters."""
    texts = [
        _printable([heading.text, *cells, *[total[at] for total in grid.totals]])
        for at, (heading, cells) in enumerate(zip(grid.headings, grid.columns, strict=True))
    ]
    widths = [max(map(len, cells)) for cells in texts]
    shown = _fitting(grid.headings, widths)
    placed = [_placed(grid.headings[at], texts[at], widths[at]) for at in shown]
    first, *lines = ["  ".join(cells).rstrip() for cells in zip(*placed, strict=True)]
    rule, stop = "-" * _width(widths, shown), len(lines) - len(grid.totals)
    below = [rule, *lines[stop:]] if grid.totals else []
    return "\n".join([first, rule, *lines[:stop], *below]) + "\n"


def _printable(cells: list[str]) -> list[str]:
    # to look at a long text once takes far less time than to look at its parts one by one
    together = "".join(cells)
    if together.isascii() and together.isprintable() and max(map(len, cells)) <= LONGEST_LINE:
        return cells  # `printable` would leave each as it is
    known = {cell: printable(cell) for cell in {*cells}}
    return [known[cell] for cell in cells]


def _placed(heading: Heading, cells: Sequence[str], width: int) -> Iterable[str]:
    return map(str.rjust if heading.numeric else str.ljust, cells, repeat(width))


def _fitting(headings: Sequence[Heading], widths: Sequence[int]) -> Sequence[int]:
    shown = list(range(len(headings)))
    for at in reversed(range(len(headings))):
        if _width(widths, shown) > WIDEST and headings[at].spare:
            shown.remove(at)
    return shown


def _width(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[at] for at in shown) + 2 * (len(shown) - 1)


def csv(grid: Grid) -> str:
    """Write comma-separated values (RFC 4180, lines ending in LF), without totals.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    import csv as writers

    file = StringIO()
    writer = writers.writer(file, lineterminator="\n")
    writer.writerow(heading.text for heading in grid.headings)
    for row in grid.rows:
        writer.writerow(map(_harmless, row))
    return file.getvalue()


def _harmless(cell: str) -> str:
    if cell.startswith(FORMULA_STARTS) and not re.fullmatch(
        r"-?\d+(\.\d+)?(e[+-]\d+)?", cell, re.ASCII
    ):
        cell = f"'{cell}"
    return printable(cell, LONGEST_NAME)


def markdown(grid: Grid) -> str:
    """Write a table of GitHub's Markdown."""
    lines = [
        [heading.text for heading in grid.headings],
        ["---:" if heading.numeric else "---" for heading in grid.headings],
        *([markdown_text(cell) for cell in row] for row in grid.rows),
        *([f"**{markdown_text(cell)}**" if cell else "" for cell in row] for row in grid.totals),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def markdown_text(text: str) -> str:
    """Escape what Markdown or HTML would take for its own."""
    safe = re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", printable(text))
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_sentence(text: str) -> str:
    """Write a text in which names stand in backticks: as code, if no reader can mistake them."""
    parts = re.split(CODE, text)
    return "".join(
        f"`{part}`" if number % 2 and re.fullmatch(PLAIN_NAME, part) else markdown_text(part)
        for number, part in enumerate(parts)
    )


def html(grid: Grid) -> str:
    """Write a table of HTML, whose looks are left to where it stands."""

    def line(cells: Sequence[str], kind: str) -> str:
        sides = ["right" if heading.numeric else "left" for heading in grid.headings]
        aligned = "".join(
            f'<{kind} style="text-align: {side}; padding: 0 0.5em">'
            f"{html_text(printable(cell))}</{kind}>"
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{aligned}</tr>\n"

    head = line([heading.text for heading in grid.headings], "th")
    rows = "".join(line(row, "td") for row in grid.rows)
    totals = "".join(line(row, "th") for row in grid.totals)
    below = f"<tfoot>\n{totals}</tfoot>\n" if totals else ""
    return f"<table>\n<thead>\n{head}</thead>\n<tbody>\n{rows}</tbody>\n{below}</table>\n"


def html_sentence(text: str) -> str:
    """Write a text in which names stand in backticks, as code."""
    parts = re.split(CODE, text)
    return "".join(
        f"<code>{html_text(printable(part))}</code>" if number % 2 else html_text(printable(part))
        for number, part in enumerate(parts)
    )


def latex_table(grid: Grid, note: str = "") -> str:
    """Write a `tabular` that needs the package booktabs, with a note below the last row."""
    places = "".join("r" if heading.numeric else "l" for heading in grid.headings)

    def line(cells: Sequence[str]) -> str:
        return f"  {' & '.join(cells)} \\\\\n"

    rows = "".join(line([latex_name(name), *map(latex_text, cells)]) for name, *cells in grid.rows)
    totals = "".join(line([latex_text(cell) for cell in row]) for row in grid.totals)
    below = f"\\multicolumn{{{len(places)}}}{{l}}{{{latex_text(note)}}}"
    return (
        f"\\begin{{tabular}}{{{places}}}\n  \\toprule\n"
        + line([latex_text(heading.text) for heading in grid.headings])
        + "  \\midrule\n"
        + rows
        + (f"  \\midrule\n{totals}" if totals else "")
        + "  \\bottomrule\n"
        + (f"  \\addlinespace\n{line([below])}" if note else "")
        + "\\end{tabular}\n"
    )


def latex_text(text: str) -> str:
    """Write figures in a cell; a lone dash is an en dash, ` x ` a times sign."""
    return "--" if text == "-" else latex_name(text).replace(" x ", r" $\times$ ")


def latex_name(text: str) -> str:
    """Write text in the first cell of a row."""
    escaped = latex(printable(text))
    return f"{{}}{escaped}" if escaped.startswith("*") else escaped  # no `\\*`
