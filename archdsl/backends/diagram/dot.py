"""View -> DOT, the language of Graphviz."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import atan2, degrees, hypot

from archdsl.backends.diagram.escaping import dot_html, dot_quoted, visible
from archdsl.backends.diagram.labels import SMALL, label_of_box
from archdsl.backends.diagram.legend import legend
from archdsl.backends.diagram.rows import Style, name_of, sign_of
from archdsl.backends.diagram.view import Box, Cluster, Edge, View, boxes_in
from archdsl.backends.diagram.wording import kind_of, shape_of
from archdsl.graph import Node

FONT = "Helvetica"
LINE_END = '<BR ALIGN="LEFT"/>'
TITLE = 10  # size of the title of an open block, in points
TITLE_LEAST = 7
NARROW = 11  # characters of that size in half the width of a layer
CHARACTER = 0.52  # mean width of a character of a shape, for a size of 1
FRAME_MARGIN = 10  # points between a frame and what is in it
BESIDE = 4  # points between an edge and the shape beside it
BELOW = 10  # points from the box down to the middle of the shape
# Graphviz keeps a cluster narrow with a weight of 128; a straight line counts for more.
CHAIN, MAIN = "200", "1000"
MANY = 400  # boxes, from which on Graphviz is told to try less hard


def to_dot(view: View, style: Style, direction: str = "TB", explained: bool = True) -> str:
    """Write a view as a digraph of DOT, with a legend if it is to be `explained`."""
    names = names_of(view.boxes)
    lines = [f"digraph {dot_quoted(visible(view.checked.name))} {{"]
    lines += [f"  {line}" for line in _settings(view, style, direction, explained)]
    clusters = iter(range(len(view.checked.scopes) + 1))
    lines += _children(view, view.children, style, names, clusters, 0)
    for edge in view.edges:
        lines.append("  " + _edge(edge, names, style, direction))
    return "\n".join([*lines, "}", ""])


def names_of(boxes: Sequence[Box]) -> Mapping[int, str]:
    """Return a name for each box that can be written anywhere: ASCII words with dots."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for box in boxes:
        path = f"output.{box.path}" if box.output else box.path
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", path)[:80]
        name = plain if plain == path and plain not in taken else f"{plain}.{box.index}"
        while name in taken:
            name += "_"
        taken.add(name)
        names[box.index] = name
    return names


def _settings(view: View, style: Style, direction: str, explained: bool) -> Iterator[str]:
    theme = style.theme
    graph = {
        "rankdir": direction,
        "bgcolor": theme.background,
        "fontname": FONT,
        "labelloc": "b",
        "nodesep": "0.3",
        "ranksep": "0.34",
        "pad": "0.2",
    }
    if len(view.boxes) > MANY:
        graph |= {"nslimit": "1", "nslimit1": "1", "mclimit": "0.3"}
    label = f" label=<{legend(view, style)}>" if explained else ""
    yield f"graph [{_written(graph)}{label}]"
    node = {
        "shape": "plain",
        "fontname": FONT,
        "fontsize": "11",
        "fontcolor": theme.text,
        "color": theme.line,
    }
    yield f"node [{_written(node)}]"
    edge = {
        "arrowsize": "0.6",
        "color": theme.line,
        "fontname": FONT,
        "fontsize": str(SMALL),
        "fontcolor": theme.muted,
    }
    yield f"edge [{_written(edge)}]"


def _written(attributes: Mapping[str, str]) -> str:
    return " ".join(f"{name}={dot_quoted(value)}" for name, value in attributes.items())


def _children(
    view: View,
    children: Sequence[Box | Cluster],
    style: Style,
    names: Mapping[int, str],
    numbers: Iterator[int],
    depth: int,
) -> list[str]:
    """Write boxes and clusters. Blocks nest to a limited depth, and so does this."""
    indent = "  " * (depth + 1)
    lines: list[str] = []
    for child in children:
        if isinstance(child, Box):
            lines.append(f"{indent}{_node(view, child, names[child.index], style)}")
            continue
        lines.append(f"{indent}subgraph cluster_{next(numbers)} {{")
        lines.append(f"{indent}  {_cluster(child, style, depth)}")
        lines += _children(view, child.children, style, names, numbers, depth + 1)
        lines.append(f"{indent}}}")
    return lines


def _cluster(cluster: Cluster, style: Style, depth: int) -> str:
    """Write how a cluster looks.

    Arrows run over its title. The one that comes in at the middle of a single column leaves half
    the column's width to the title.
    """
    narrow = all(box.kind != "merge" for box in boxes_in(cluster.children))
    scope, theme = cluster.scope, style.theme
    label, block = visible(scope.label), visible(scope.block)
    text = f"<B>{dot_html(label)}</B>"
    if block:
        text += (LINE_END if narrow else " ") + dot_html(block) + LINE_END * narrow
    size = TITLE
    if narrow and (longest := max(len(label), len(block))) > NARROW:
        size = max(TITLE_LEAST, TITLE * NARROW // longest)
    attributes = {
        "style": "filled,rounded,dashed" if cluster.training_only else "filled,rounded",
        "fillcolor": theme.cluster(depth),
        "color": theme.line if cluster.training_only else theme.muted,
        "penwidth": "0.6",
        "labeljust": "l",
        "labelloc": "t",
        "margin": str(FRAME_MARGIN),
        "fontsize": str(size),
        "fontcolor": theme.muted,
        "tooltip": visible(scope.name),
    }
    return f"graph [{_written(attributes)} label=<{text}>]"


def _node(view: View, box: Box, name: str, style: Style) -> str:
    """Write a box as a node with its label."""
    theme = style.theme
    tooltip = {"tooltip": visible(box.path)}
    dashed = ",dashed" if box.training_only else ""
    if box.kind in ("layers", "block", "run"):
        label = label_of_box(view, box, style, _width(box))
        return f"{dot_quoted(name)} [{_written(tooltip)} label=<{label}>]"
    if box.kind == "merge":
        return f"{dot_quoted(name)} [{_written(_merge(box, style) | tooltip)}]"
    attributes = {
        "shape": "box",
        "style": f"filled,rounded{dashed}",
        "fillcolor": theme.background,
        "height": "0.28",
        "margin": "0.12,0.04",
    }
    text = f"<B>{dot_html(name_of(box))}</B>"
    if box.kind == "tensor":
        text = dot_html(name_of(box))
        attributes["shape"] = "note"
        attributes["style"] = f"filled{dashed}"
    return f"{dot_quoted(name)} [{_written(attributes | tooltip)} label=<{text}>]"


def _width(box: Box) -> int:
    """Return how wide a box in a frame must be, so that the shape below it stays in the frame."""
    if not box.scope or not box.nodes:
        return 0
    shape = visible(shape_of(box.nodes[-1].shape))
    return round(2 * (len(shape) * SMALL * CHARACTER + BESIDE - FRAME_MARGIN))


def _merge(box: Box, style: Style) -> dict[str, str]:
    """Return how a merge looks: a sign in a circle, or a flat bar with its word."""
    node = box.items[0]
    assert isinstance(node, Node)
    fill = style.fill(box, node.layer.family())
    dashed = ",dashed" if box.training_only else ""
    if sign := sign_of(node):
        return {
            "shape": "circle",
            "style": f"filled{dashed}",
            "fillcolor": fill,
            "label": visible(sign),
            "fontsize": "16",
            "fixedsize": "true",
            "width": "0.32",
        }
    return {
        "shape": "box",
        "style": f"filled,rounded{dashed}",
        "fillcolor": fill,
        "label": visible(kind_of(node.layer)),
        "height": "0.25",
        "width": "1.2",
        "margin": "0.1,0.03",
    }


def _shape(edge: Edge, text: str, direction: str) -> dict[str, str]:
    """Write a shape beside an edge.

    A label of its own takes part in the layout, and bends the edge where it has little room. So
    where an edge is straight, the shape is put right beside its tail, at an angle that depends on
    the length of the text.
    """
    if not edge.straight or direction != "TB":
        return {"label": f" {text} "}
    aside = len(text) * SMALL * CHARACTER / 2 + BESIDE
    return {
        "taillabel": text,
        "labeldistance": f"{hypot(aside, BELOW) / 10:.3f}",
        "labelangle": f"{degrees(atan2(aside, BELOW)):.1f}",
    }


def _edge(edge: Edge, names: Mapping[int, str], style: Style, direction: str) -> str:
    attributes: dict[str, str] = {}
    if edge.labelled:
        attributes |= _shape(edge, visible(shape_of(edge.shape)), direction)
    if edge.alone:
        attributes["weight"] = CHAIN
    if edge.main:
        attributes |= {"weight": MAIN, "penwidth": "1.5"}
    if edge.shortcut:
        attributes |= {"color": style.theme.accent, "penwidth": "1.5"}
    if edge.training_only:
        attributes["style"] = "dashed"
    ends = f"{dot_quoted(names[edge.source])} -> {dot_quoted(names[edge.target])}"
    return f"{ends} [{_written(attributes)}]" if attributes else ends
