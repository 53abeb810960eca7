"""The labels of boxes, in Graphviz' HTML-like language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from archdsl.backends.diagram.box_rows import BoxRow, families_of, rows_of
from archdsl.backends.diagram.dot.lettering import width_of
from archdsl.backends.diagram.dot.quoting import dot_html
from archdsl.backends.diagram.style import Style, Theme
from archdsl.backends.diagram.view.view import Box, View

SIZE, SMALL = 11, 9  # of letters, in points
PADDING = 4  # points around the text of a cell
ROW = 19  # height of a row, in points
LONGEST_LINE = 18  # characters of what is said of a layer in a narrow box
BAR = 5  # height of the strip of colours under a block, in points


def label_of_box(view: View, box: Box, style: Style, width: int = 0, stacked: bool = False) -> str:
    """Return the label of a box as a table that is at least `width` points wide.

    Where boxes stand side by side they are `stacked`: what is said of a layer stands below its
    name and not beside it, so that less of the width is theirs.
    """
    rows = tuple(rows_of(view, box, style))
    if box.kind != "layers" or box.times > 1:  # what names blocks is seldom the same
        return _label(rows, box, style, width, stacked)
    key = rows, width, stacked, box.training_only
    if key not in style.labels:
        style.labels[key] = _label(rows, box, style, width, stacked)
    return style.labels[key]


def width_of_label(view: View, box: Box, style: Style, stacked: bool) -> float:
    """Tell how wide a box with a label is drawn, in points, if nothing else makes it wider."""
    rows = rows_of(view, box, style)
    said = [_width_of(row, stacked) for row in rows]
    names = [width_of(row.name, SMALL) + 2 * PADDING for row in rows if row.name]
    width = max([2 * PADDING + each for each in said])
    if names:
        width = max(width, max(names)) if stacked else width + max(names)
    if box.times > 1:
        width += width_of(f"x {box.times}", SIZE, bold=True) + 2 * PADDING
    return width


def _width_of(row: BoxRow, stacked: bool) -> float:
    strong = width_of(row.strong, SIZE, bold=True)
    parts = [width_of(text, SMALL if row.small else SIZE) for text in _lines(row.text)]
    if stacked:
        return max([strong, *parts])
    return strong + width_of(" ", SIZE) + sum(parts)


def _label(rows: Sequence[BoxRow], box: Box, style: Style, width: int, stacked: bool) -> str:
    theme = style.theme
    named = not stacked and any(row.name for row in rows)
    lines = [
        _stacked(row, theme.small) if stacked else _cells(row, named, theme.small) for row in rows
    ]
    if width:  # of the first cell; a name beside it takes its part
        names = [width_of(row.name, SMALL) for row in rows]
        beside = max(names) + 2 * PADDING if named else 0
        lines[0] = lines[0].replace("<TD", f'<TD WIDTH="{max(1, round(width - beside))}"', 1)
    if box.times > 1:
        mark = f'<FONT COLOR="{theme.background}"><B>x {box.times}</B></FONT>'
        lines[0] += f'<TD ROWSPAN="{len(rows)}" BGCOLOR="{theme.muted}">{mark}</TD>'
    if box.kind != "layers" and not style.heated:
        columns = 1 + named + (box.kind == "run")
        lines.append(_strip(families_of(box.nodes), columns, theme))
    return _table(lines, theme, box.training_only, rows[0].fill)


@lru_cache(1024)  # equal layers have equal rows
def _cells(row: BoxRow, named: bool, color: str) -> str:
    """Return a cell of what it is and a cell of its name, or one cell where it has no name."""
    text = f"<B>{dot_html(row.strong)}</B> " if row.strong else ""
    if row.text:
        text += _small(row.text, color) if row.small else dot_html(row.text)
    if not row.name:
        across = ' COLSPAN="2"' if named else ""
        return f'<TD ALIGN="LEFT" BGCOLOR="{row.fill}"{across}>{text.rstrip()}</TD>'
    return (
        f'<TD ALIGN="LEFT" BGCOLOR="{row.fill}">{text.rstrip()}</TD>'
        f'<TD ALIGN="RIGHT" BGCOLOR="{row.fill}">{_small(row.name, color)}</TD>'
    )


@lru_cache(1024)
def _stacked(row: BoxRow, color: str) -> str:
    """Return a cell of lines below each other: what it is, what is said of it, and its name."""
    said = _lines(row.text)
    parts = [
        f"<B>{dot_html(row.strong)}</B>" if row.strong else "",
        *(_small(line, color) if row.small else dot_html(line) for line in said),
        _small(row.name, color) if row.name else "",
    ]
    lines = "".join(f'{part}<BR ALIGN="LEFT"/>' for part in parts if part)
    return f'<TD ALIGN="LEFT" BALIGN="LEFT" BGCOLOR="{row.fill}">{lines}</TD>'


def _lines(text: str) -> list[str]:
    """Break a list of arguments, or of shapes, into lines of narrow boxes: behind its commas."""
    lines: list[str] = []
    for part in re.findall(r".+?(?:, | → |$)", text):
        if lines and len(lines[-1]) + len(part.rstrip()) <= LONGEST_LINE:
            lines[-1] += part
        else:
            lines.append(part)
    return [line.rstrip() for line in lines]


def _small(text: str, color: str) -> str:
    return f'<FONT COLOR="{color}" POINT-SIZE="{SMALL}">{dot_html(text)}</FONT>'


@lru_cache(256)  # most blocks have layers of the same families
def _strip(families: Sequence[str], columns: int, theme: Theme) -> str:
    """Return a strip that shows of which families the layers of a block are."""
    cells = "".join(
        f'<TD HEIGHT="{BAR}" CELLPADDING="0" BGCOLOR="{theme.family(family)}"></TD>'
        for family in families
    )
    look = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
    across = f' COLSPAN="{columns}"' if columns > 1 else ""
    return f'<TD CELLPADDING="0"{across}><TABLE {look}><TR>{cells}</TR></TABLE></TD>'


def _table(lines: Sequence[str], theme: Theme, dashed: bool, behind: str) -> str:
    """Return a table; the colour `behind` shows as a hair line between its cells."""
    style = ' STYLE="DASHED"' if dashed else f' BGCOLOR="{behind}"'
    rows = "</TR><TR>".join(lines)
    return (
        f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="{PADDING}"'
        f' COLOR="{theme.line}"{style}><TR>{rows}</TR></TABLE>'
    )
