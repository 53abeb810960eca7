"""The labels of boxes, in Graphviz' HTML-like language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from archdsl.backends.diagram.escaping import dot_html, visible
from archdsl.backends.diagram.figures import Figures, Heat
from archdsl.backends.diagram.palette import Theme
from archdsl.backends.diagram.view import Box, View
from archdsl.backends.diagram.wording import (
    arguments_of,
    kind_of,
    shape_of,
)
from archdsl.graph import Node, Scope

SMALL = 9  # points
ROW = 19  # height of a row, in points
BAR = 5  # height of the strip of colours under a block, in points
SIGNS = {"*": "×", "-": "−"}


@dataclass(frozen=True)
class Style:
    """How a picture looks: theme, counts in the boxes, and the heat of each box."""

    theme: Theme
    figures: Figures
    counts: bool = False
    heat: dict[int, float] = field(default_factory=dict)
    heated: Heat | None = None  # by what; None for colours by family

    def fill(self, box: Box, family: str) -> str:
        """Return the fill of a row of a box."""
        if self.heated:
            return self.theme.warm(self.heat.get(box.index, 0.0))
        return self.theme.family(family) if family else self.theme.block


def label_of_box(view: View, box: Box, style: Style) -> str:
    """Return the label of a box as a table."""
    if box.kind == "layers":
        fill = style.fill(box, "")
        rows = [
            _row(_title(view, scope, visible(scope.label), fill, style.theme))
            for scope in box.heads
        ]
        rows += [
            _layer_row(node, style, style.fill(box, node.layer.family())) for node in _layers(box)
        ]
    else:
        rows = _block_rows(view, box, style)
    if style.counts and (written := style.figures.written(box)):
        fill = style.fill(box, _layers(box)[-1].layer.family() if box.kind == "layers" else "")
        rows.append(_row([_cell(_small(written, style.theme), fill, 2)]))
    if box.kind != "layers" and not style.heated:
        rows.append(_bar(box, style.theme))
    return _table(rows, style.theme, box.training_only)


def _layers(box: Box) -> Sequence[Node]:
    return [item for item in box.items if isinstance(item, Node)]


def sign_of(node: Node) -> str:
    """Return the sign of a merge that does arithmetic: "+", or "" for others."""
    sign = getattr(node.layer, "sign", "")
    return SIGNS.get(sign, sign)


def families_of(nodes: Iterable[Node]) -> list[str]:
    """Return the families of layers, in the order in which they first come."""
    return list(dict.fromkeys(node.layer.family() for node in nodes))


def _layer_row(node: Node, style: Style, fill: str) -> str:
    said = arguments_of(node.layer)
    text = f"<B>{dot_html(visible(kind_of(node.layer)))}</B>"
    if said:
        text += f" {dot_html(visible(said))}"
    return _row(_cells(text, visible(node.label), fill, style.theme))


def _block_rows(view: View, box: Box, style: Style) -> list[str]:
    scope, theme = box.block, style.theme
    fill = style.fill(box, "")
    cells = _title(view, scope, _names(box), fill, theme)
    if box.kind != "run":
        return [_row(cells)]
    mark = f'<FONT COLOR="{theme.background}"><B>x {box.times}</B></FONT>'
    shapes = dot_html(run_shapes(view, box))
    return [
        _row([*cells, f'<TD ROWSPAN="2" BGCOLOR="{theme.muted}">{mark}</TD>']),
        _row([_cell(_small(shapes, theme), fill, 2)]),
    ]


def _title(view: View, scope: Scope, name: str, fill: str, theme: Theme) -> list[str]:
    """Return what a block is and what it is called; of a group there is only the label."""
    if not scope.block:
        return _cells(f"<B>{dot_html(name)}</B>", "", fill, theme)
    text = f"<B>{dot_html(visible(scope.block))}</B>"
    if said := view.titles.get(scope.name):
        text += f" {dot_html(visible(said))}"
    return _cells(text, name, fill, theme)


def _names(box: Box) -> str:
    """Return the label of a block, or the first and the last label of a run."""
    scopes = [item for item in box.items if isinstance(item, Scope)]
    first, last = scopes[0], scopes[-1]
    if box.kind == "block":
        return visible(first.label)
    return f"{visible(first.label, 32)} ... {visible(last.label, 32)}"


def run_shapes(view: View, box: Box) -> str:
    """Write what goes into a run and what comes out: "64 x 56 x 56 → 256 x 56 x 56"."""
    inside = {node.name for node in box.nodes}
    reads = (name for node in box.nodes for name in node.inputs if name not in inside)
    came = next(reads, None)
    went = visible(shape_of(box.nodes[-1].shape))
    return f"{visible(shape_of(view.checked.nodes[came].shape))} → {went}" if came else went


def _cells(text: str, name: str, fill: str, theme: Theme) -> list[str]:
    """Return a cell of what it is and a cell of its name, or one cell where it has no name."""
    if not name:
        return [_cell(text, fill, 2)]
    said = _small(dot_html(name), theme)
    return [_cell(text, fill), f'<TD ALIGN="RIGHT" BGCOLOR="{fill}">{said}</TD>']


def _cell(text: str, fill: str, columns: int = 1) -> str:
    across = f' COLSPAN="{columns}"' if columns > 1 else ""
    return f'<TD ALIGN="LEFT" BGCOLOR="{fill}"{across}>{text}</TD>'


def _small(text: str, theme: Theme) -> str:
    return f'<FONT COLOR="{theme.muted}" POINT-SIZE="{SMALL}">{text}</FONT>'


def _row(cells: Iterable[str]) -> str:
    return f"<TR>{''.join(cells)}</TR>"


def _bar(box: Box, theme: Theme) -> str:
    """Return a strip that shows of which families the layers of a block are."""
    cells = "".join(
        f'<TD HEIGHT="{BAR}" CELLPADDING="0" BGCOLOR="{theme.family(family)}"></TD>'
        for family in families_of(box.nodes)
    )
    columns = 3 if box.kind == "run" else 2
    table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR>{cells}</TR></TABLE>'
    return _row([f'<TD CELLPADDING="0" COLSPAN="{columns}">{table}</TD>'])


def _table(rows: Iterable[str], theme: Theme, dashed: bool) -> str:
    # what shows between the border and the cells is to look like border
    style = ' STYLE="DASHED"' if dashed else f' BGCOLOR="{theme.line}"'
    return (
        f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4"'
        f' COLOR="{theme.line}"{style}>{"".join(rows)}</TABLE>'
    )
