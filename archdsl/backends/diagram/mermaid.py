"""View -> Mermaid, which GitHub and GitLab draw where Markdown has it as a code block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archdsl.backends.diagram.escaping import mermaid, visible
from archdsl.backends.diagram.legend import totals_of
from archdsl.backends.diagram.rows import Style, layers_of, name_of, rows_of, sign_of
from archdsl.backends.diagram.view import Box, Cluster, Edge, View
from archdsl.backends.diagram.wording import Words, kind_of

# Mermaid breaks lines at 200 points, within a shape if need be; few rows are longer than this.
SETTINGS = '%%{init: {"flowchart": {"wrappingWidth": 600}}}%%'


def to_mermaid(view: View, style: Style, direction: str = "TB") -> str:
    """Write a view as a flowchart. Boxes are `b0`, `b1`, ...; clusters are `c0`, `c1`, ..."""
    lines = [
        f"%% {mermaid(visible(view.checked.name))}: {mermaid(totals_of(style))}",
        SETTINGS,
        f"flowchart {direction}",
    ]
    numbers = {name: number for number, name in enumerate(view.checked.scopes)}
    _children(view, view.children, style, numbers, lines, "  ")
    for edge in view.edges:
        lines.append(f"  {_edge(edge, style.words)}")
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
        lines.append(f'{indent}subgraph c{number}["{mermaid(title)}"]')
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
            return f'{name}(("{mermaid(sign)}"))'
        return f'{name}(["{mermaid(visible(kind_of(node.layer)))}"])'
    if box.kind in ("input", "output"):
        return f'{name}(["{mermaid(name_of(box, style.words))}"])'
    if box.kind == "tensor":
        return f'{name}["{mermaid(name_of(box, style.words))}"]'
    rows = []
    for row in rows_of(view, box, style):
        strong = f"<b>{mermaid(row.strong)}</b>" if row.strong else ""
        parts = (strong, mermaid(row.text), mermaid(_named(row.name)))
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
        fill = style.fill(box, layers_of(box)[0].layer.family())
    dashed = ",stroke-dasharray:5 3" if box.training_only else ""
    return f"fill:{fill},stroke:{theme.line},color:{theme.text}{dashed}"


def _edge(edge: Edge, words: Words) -> str:
    arrow = "==>" if edge.main else "-->"
    label = f'|"{mermaid(visible(words.shape(edge.shape)))}"|' if edge.labelled else ""
    return f"b{edge.source} {arrow}{label} b{edge.target}"
