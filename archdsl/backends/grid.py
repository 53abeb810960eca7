"""A table of texts, and how it is written as plain text, CSV, Markdown and LaTeX.

Texts come in as they are; each format makes them safe for itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import NamedTuple

from archdsl.diagnostics import printable

WIDEST = 120  # characters of a line in a terminal
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what follows

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "_&%#${}"},
}


class Column(NamedTuple):
    """A column of a grid.

    Attributes:
        heading: what stands above.
        numeric: the cells below are numbers, which stand to the right.
        spare: a terminal may do without it, if the table is too wide.
    """

    heading: str
    numeric: bool = False
    spare: bool = False


class Grid(NamedTuple):
    """Rows of cells under headings, and rows of totals below a rule."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[str]]
    totals: Sequence[Sequence[str]] = ()

    def without(self, at: int) -> Grid:
        """Leave out one column."""
        return Grid(
            self.columns[:at] + self.columns[at + 1 :],
            [[*row[:at], *row[at + 1 :]] for row in self.rows],
            [[*row[:at], *row[at + 1 :]] for row in self.totals],
        )


def plain(grid: Grid) -> str:
    """Write aligned columns for a terminal, without the spare ones beyond 120 characters."""
    rows = [[printable(cell) for cell in row] for row in grid.rows]
    totals = [[printable(cell) for cell in row] for row in grid.totals]
    headings = [column.heading for column in grid.columns]
    widths = [max(map(len, cells)) for cells in zip(headings, *rows, *totals, strict=True)]
    shown = _fitting(grid.columns, widths)

    def line(cells: Sequence[str]) -> str:
        placed = [
            cells[at].rjust(widths[at]) if grid.columns[at].numeric else cells[at].ljust(widths[at])
            for at in shown
        ]
        return "  ".join(placed).rstrip()

    rule = "-" * _width(widths, shown)
    lines = [line(headings), rule, *map(line, rows)]
    if totals:
        lines += [rule, *map(line, totals)]
    return "\n".join(lines) + "\n"


def _fitting(columns: Sequence[Column], widths: Sequence[int]) -> Sequence[int]:
    shown = list(range(len(columns)))
    for at in reversed(range(len(columns))):
        if _width(widths, shown) > WIDEST and columns[at].spare:
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
    writer.writerow(column.heading for column in grid.columns)
    for row in grid.rows:
        writer.writerow(map(_harmless, row))
    return file.getvalue()


def _harmless(cell: str) -> str:
    if cell.startswith(FORMULA_STARTS) and not re.fullmatch(r"-?\d+", cell, re.ASCII):
        cell = f"'{cell}"
    return printable(cell)


def markdown(grid: Grid) -> str:
    """Write a table of GitHub's Markdown."""
    lines = [
        [column.heading for column in grid.columns],
        ["---:" if column.numeric else "---" for column in grid.columns],
        *([markdown_text(cell) for cell in row] for row in grid.rows),
        *([f"**{markdown_text(cell)}**" if cell else "" for cell in row] for row in grid.totals),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def markdown_text(text: str) -> str:
    """Escape what Markdown or HTML would take for its own."""
    safe = re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", printable(text))
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def latex(grid: Grid) -> str:
    """Write a `tabular` that needs the package booktabs."""
    places = "".join("r" if column.numeric else "l" for column in grid.columns)

    def line(cells: Sequence[str]) -> str:
        return f"  {' & '.join(cells)} \\\\\n"

    rows = "".join(line([latex_text(cell) for cell in row]) for row in grid.rows)
    totals = "".join(line([latex_text(cell) for cell in row]) for row in grid.totals)
    return (
        f"\\begin{{tabular}}{{{places}}}\n  \\toprule\n"
        + line([latex_text(column.heading) for column in grid.columns])
        + "  \\midrule\n"
        + rows
        + (f"  \\midrule\n{totals}" if totals else "")
        + "  \\bottomrule\n\\end{tabular}\n"
    )


def latex_text(text: str) -> str:
    """Escape what TeX would take for its own; a lone dash is an en dash, ` x ` a times sign."""
    if text == "-":
        return "--"
    escaped = "".join(LATEX.get(character, character) for character in printable(text))
    return escaped.replace(" x ", r" $\times$ ").replace("--", "-{}-")
