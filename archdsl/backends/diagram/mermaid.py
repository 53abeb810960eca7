"""View -> Mermaid, which GitHub and GitLab draw where Markdown has it as a code block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from archdsl.backends.diagram.box_rows import layers_of, name_of, rows_of, sign_of
from archdsl.backends.diagram.figures import totals_of
from archdsl.backends.diagram.notation import Notation, kind_of, visible
from archdsl.backends.diagram.style import Style
from archdsl.backends.diagram.view.view import Box, Cluster, Edge, View

# Mermaid breaks lines at 200 points, within a shape if need be; few rows are longer than this.
SETTINGS = '%%{init: {"flowchart": {"wrappingWidth": 600}}}%%'


def to_mermaid(view: View, style: Style, direction: str = "TB") -> str:
    """Write a view as a flowchart. Boxes are `b0`, `b1`, ...; clusters are `c0`, `c1`, ..."""
    totals = totals_of(style.figures, style.notation)
    lines = [
        f"%% {mermaid_text(visible(view.checked.name))}: {mermaid_text(totals)}",
        SETTINGS,
        f"flowchart {direction}",
    ]
    numbers = {name: number for number, name in enumerate(view.checked.scopes)}
    _children(view, view.children, style, numbers, lines, "  ")
    for edge in view.edges:
        lines.append(f"  {_edge(edge, style.notation)}")
    dashed = [number for number, edge in enumerate(view.edges) if edge.training_only]
    if dashed:
        lines.append(f"  linkStyle {','.join(map(str, dashed))} stroke-dasharray:5 3")
    shortcuts = [number for number, edge in enumerate(view.edges) if edge.shortcut]
    if shortcuts:
        listed = ",".join(map(str, shortcuts))
        lines.append(f"  linkStyle {listed} stroke:{style.theme.accent},stroke-width:2px")
    for box in view.boxes:
        lines.append(f"  style b{box.index} {_look(view, box, style)}")
    return "\n".join([*lines, ""])


def _children(
    view: View,
    children: Sequence[Box | Cluster],
    style: Style,
    numbers: Mapping[str, int],
    lines: list[str],
    indent: str,
) -> None:
    """Write boxes and subgraphs. Blocks nest to a limited depth, and so does this."""
    for child in children:
        if isinstance(child, Box):
            lines.append(f"{indent}{_box(view, child, style)}")
            continue
        number = numbers[child.scope.name]
        title = f"{visible(child.scope.label)} {visible(child.scope.block)}".strip()
        lines.append(f'{indent}subgraph c{number}["{mermaid_text(title)}"]')
        _children(view, child.children, style, numbers, lines, f"{indent}  ")
        lines.append(f"{indent}end")
        theme = style.theme
        fill = theme.cluster(indent.count("  ") - 1)
        dashed = ",stroke-dasharray:5 3" if child.training_only else ""
        lines.append(
            f"{indent}style c{number} fill:{fill},stroke:{theme.muted},color:{theme.muted}{dashed}"
        )


def _box(view: View, box: Box, style: Style) -> str:
    name = f"b{box.index}"
    if box.kind == "merge":
        node = layers_of(box)[0]
        if sign := sign_of(node):
            return f'{name}(("{mermaid_text(sign)}"))'
        return f'{name}(["{mermaid_text(visible(kind_of(node.layer)))}"])'
    if box.kind in ("input", "output"):
        return f'{name}(["{mermaid_text(name_of(box, style.notation))}"])'
    if box.kind == "tensor":
        return f'{name}["{mermaid_text(name_of(box, style.notation))}"]'
    rows = []
    for row in rows_of(view, box, style):
        strong = f"<b>{mermaid_text(row.strong)}</b>" if row.strong else ""
        parts = (strong, mermaid_text(row.text), mermaid_text(_named(row.name)))
        rows.append(" ".join(part for part in parts if part))
    text = "<br/>".join(rows)
    if box.times > 1:
        text += f"<br/>x {box.times}"
    return f'{name}["{text}"]' if box.kind == "layers" else f'{name}[["{text}"]]'


def _named(name: str) -> str:
    return f"({name})" if name else ""


def _look(view: View, box: Box, style: Style) -> str:
    theme = style.theme
    fill = theme.background
    if box.kind in ("block", "run"):
        fill = style.fill(box, "")
    elif box.kind == "layers":
        fill = rows_of(view, box, style)[len(box.heads)].fill
    elif box.kind == "merge":
        fill = style.fill(box, layers_of(box)[0].layer.family)
    dashed = ",stroke-dasharray:5 3" if box.training_only else ""
    return f"fill:{fill},stroke:{theme.line},color:{theme.text}{dashed}"


def _edge(edge: Edge, notation: Notation) -> str:
    arrow = "==>" if edge.main else "-->"
    label = f'|"{mermaid_text(visible(notation.shape(edge.shape)))}"|' if edge.labelled else ""
    return f"b{edge.source} {arrow}{label} b{edge.target}"


def mermaid_text(text: str) -> str:
    """Write a label of Mermaid between quotes: all but plain characters by their numbers.

    Mermaid reads Markdown, HTML and entities written with `#`, and lower-case `end` as a word. Two
    dollars begin a formula even when they are written by their numbers, so something that has no
    width stands between them.
    """
    text = re.sub(r"(?<=\$)\$", "\u200b$", text)
    return re.sub(
        r"[^ -~]|[^A-Za-z0-9 .,/_()+=:-]|end",
        lambda found: "".join(
            character if not character.isascii() else f"#{ord(character)};"
            for character in found.group()
        ),
        text,
    )
