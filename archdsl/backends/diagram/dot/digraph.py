"""View -> DOT, the language of Graphviz."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from archdsl.backends.diagram.box_rows import name_of, sign_of
from archdsl.backends.diagram.dot.arrows import BESIDE, arrows, beside_horizontal
from archdsl.backends.diagram.dot.clusters import (
    MARGIN,
    ClustersAround,
    aside,
    clusters_around,
    least_widths,
    title_of,
)
from archdsl.backends.diagram.dot.html_labels import SIZE, SMALL, label_of_box, width_of_label
from archdsl.backends.diagram.dot.legend import legend
from archdsl.backends.diagram.dot.lettering import width_of
from archdsl.backends.diagram.dot.quoting import attributes_of, dot_html, dot_quoted
from archdsl.backends.diagram.dot.wrapping import Wrapping, wrapped
from archdsl.backends.diagram.notation import Notation, kind_of, visible
from archdsl.backends.diagram.style import Style
from archdsl.backends.diagram.view.view import Box, Cluster, View, boxes_in
from archdsl.graph import Node

FONT = "Helvetica"
LINE_END = '<BR ALIGN="LEFT"/>'
UNNAMED = re.compile(r"[^A-Za-z0-9_.]")  # what the name of a box does not have
BAR_ACROSS = 48  # points: how wide the bar of a merge is, from left to right
PILL = 18  # points around the name of an input or output
ARROW = 18  # points of an arrow without what stands beside it
BEGINNING = " "  # the name of a point that no box has
MANY = 400  # boxes, from which on Graphviz is told to try less hard


def to_dot(
    view: View,
    style: Style,
    direction: str = "TB",
    explained: bool = True,
    stacked: bool | None = None,
) -> str:
    """Write a view as a digraph of DOT, with a legend if it is to be `explained`.

    Boxes that stand side by side are `stacked`, unless it is said otherwise: see `label_of_box`.
    """
    names = {index: dot_quoted(name) for index, name in names_of(view.boxes).items()}
    lines = [f"digraph {dot_quoted(visible(view.checked.name))} {{"]
    lines += [f"  {line}" for line in _settings(view, style, direction, explained)]
    clusters = iter(range(len(view.checked.scopes) + 1))
    around = clusters_around(view)
    titled = least_widths(view, around) if direction == "TB" else {}
    widths = {
        box.index: max(_width(box, view.notation), titled.get(box.index, 0))
        for box in (view.boxes if direction == "TB" else ())
    }
    apart = aside(view) if direction == "TB" else frozenset()
    side_by_side = direction == "LR" if stacked is None else stacked
    writer = _Writer(view, style, names, widths, apart, side_by_side)
    lines += writer.children(view.children, clusters, 0)
    wrapping = _wrapped(view, style, around, side_by_side) if direction == "LR" else Wrapping()
    lines += [f"  {line}" for line in _beginnings(wrapping, names)]
    lines += [f"  {arrow}" for arrow in arrows(view, style, names, around, direction, wrapping)]
    return "\n".join([*lines, "}", ""])


def _beginnings(wrapping: Wrapping, names: Mapping[int, str]) -> Iterator[str]:
    """Hold the left ends of lines below each other, in order, by a point that is not seen."""
    if wrapping.left:
        point = dot_quoted(BEGINNING)
        # `ordering`: what it leads to stands in the order in which that is written
        yield f'{point} [shape="point" style="invis" width="0" ordering="out"]'
        for index in wrapping.left:
            yield f'{point} -> {names[index]} [style="invis" weight="0"]'


def _wrapped(view: View, style: Style, around: ClustersAround, stacked: bool) -> Wrapping:
    """Break a picture from left to right into lines as wide as a page."""
    shapes: dict[int, float] = {}
    for edge in view.edges:
        said = beside_horizontal(visible(view.notation.shape(edge.shape))).split("\n")
        shapes.setdefault(edge.source, max([width_of(f" {line} ", SMALL) for line in said]))

    def width(index: int) -> float:
        box = view.boxes[index]
        if box.kind in ("layers", "block", "run"):
            return width_of_label(view, box, style, stacked)
        if box.kind == "merge":
            return BAR_ACROSS
        return width_of(name_of(box, view.notation), SIZE, bold=True) + PILL

    def gap(source: int, target: int) -> float:
        frames = {*around[source]} ^ {*around[target]}
        return ARROW + shapes.get(source, 0) + MARGIN * len(frames)

    return wrapped(view, around, width, gap)


def names_of(boxes: Sequence[Box]) -> Mapping[int, str]:
    """Return a name for each box that can be written anywhere: ASCII words with dots."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for box in boxes:
        path = f"output.{box.path}" if box.output else box.path
        # whoever goes on with the file by hand calls boxes by these names
        plain = UNNAMED.sub("_", path)[:80]
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
        "nodesep": "0.3" if direction == "TB" else "0.2",
        "ranksep": "0.28" if direction == "TB" else "0.1",
        "pad": "0.2",
        # else each open block is ranked by itself, and edges into it may run sideways or upwards
        "newrank": "true",
    }
    if len(view.boxes) > MANY:
        graph |= {"nslimit": "1", "nslimit1": "1", "mclimit": "0.3"}
    label = f" label=<{legend(view, style)}>" if explained else ""
    yield f"graph [{attributes_of(graph)}{label}]"
    node = {
        "shape": "plain",
        "fontname": FONT,
        "fontsize": "11",
        "fontcolor": theme.text,
        "color": theme.line,
    }
    yield f"node [{attributes_of(node)}]"
    edge = {
        "arrowsize": "0.6",
        "color": theme.line,
        "fontname": FONT,
        "fontsize": str(SMALL),
        "fontcolor": theme.muted,
    }
    yield f"edge [{attributes_of(edge)}]"


class _Writer(NamedTuple):
    """Writes boxes and clusters.

    Attributes:
        names: of the boxes, quoted, and widths: how wide they are at least, by their index.
        aside: the boxes that the main output does not need.
        stacked: whether what is said of a layer stands below its name.
    """

    view: View
    style: Style
    names: Mapping[int, str]
    widths: Mapping[int, int]
    aside: frozenset[int]
    stacked: bool

    def children(
        self, children: Sequence[Box | Cluster], numbers: Iterator[int], depth: int
    ) -> list[str]:
        """Write boxes and clusters. Blocks nest to a limited depth, and so does this."""
        indent = "  " * (depth + 1)
        lines: list[str] = []
        for child in children:
            if isinstance(child, Box):
                lines.append(f"{indent}{self.node(child)}")
                continue
            lines.append(f"{indent}subgraph cluster_{next(numbers)} {{")
            lines.append(f"{indent}  {self.cluster(child, depth)}")
            lines += self.children(child.children, numbers, depth + 1)
            lines.append(f"{indent}}}")
        return lines

    def node(self, box: Box) -> str:
        """Write a box as a node with its label."""
        name, theme = self.names[box.index], self.style.theme
        tooltip = f"tooltip={dot_quoted(visible(box.path))}"
        if box.kind in ("layers", "block", "run"):
            width = self.widths.get(box.index, 0)
            label = label_of_box(self.view, box, self.style, width, self.stacked)
            return f"{name} [{tooltip} label=<{label}>]"
        dashed = ",dashed" if box.training_only else ""
        if box.kind == "merge":
            return f"{name} [{attributes_of(_merge(box, self.style, self.stacked))} {tooltip}]"
        attributes = {
            "shape": "box",
            "style": f"filled,rounded{dashed}",
            "fillcolor": theme.background,
            "height": "0.28",
            "margin": "0.12,0.04",
        }
        text = f"<B>{dot_html(name_of(box, self.style.notation))}</B>"
        if box.kind == "tensor":
            text = dot_html(name_of(box, self.style.notation))
            attributes["shape"] = "note"
            attributes["style"] = f"filled{dashed}"
        return f"{name} [{attributes_of(attributes)} {tooltip} label=<{text}>]"

    def cluster(self, cluster: Cluster, depth: int) -> str:
        """Write how a cluster looks.

        An arrow into one that stands aside comes from a side; so its title is at the foot.
        """
        scope, theme = cluster.scope, self.style.theme
        inside = boxes_in(cluster.children)
        aside = bool(self.aside) and all(box.index in self.aside for box in inside)
        title = title_of(scope)
        color = theme.line if cluster.training_only else theme.muted
        look = _frame(
            cluster.training_only, aside, title.size, theme.cluster(depth), color, theme.muted
        )
        text = f"<B>{dot_html(title.label)}</B>"
        if title.block:
            gap, end = (" ", "") if title.together else (LINE_END, LINE_END)
            text += gap + dot_html(title.block) + end
        return f"graph [{look} tooltip={dot_quoted(visible(scope.name))} label=<{text}>]"


@lru_cache(64)
def _frame(dashed: bool, aside: bool, size: int, fill: str, color: str, muted: str) -> str:
    return attributes_of(
        {
            "style": "filled,rounded,dashed" if dashed else "filled,rounded",
            "fillcolor": fill,
            "color": color,
            "penwidth": "0.6",
            "labeljust": "l",
            "labelloc": "b" if aside else "t",
            "margin": str(MARGIN),
            "fontsize": str(size),
            "fontcolor": muted,
        }
    )


def _width(box: Box, notation: Notation) -> int:
    """Return how wide a box in a frame must be, so that the shape below it stays in the frame."""
    return (
        _width_for(visible(notation.shape(box.nodes[-1].shape))) if box.scope and box.nodes else 0
    )


@lru_cache(256)
def _width_for(shape: str) -> int:
    return round(2 * (width_of(shape, SMALL) + BESIDE - MARGIN))


def _merge(box: Box, style: Style, stacked: bool) -> dict[str, str]:
    """Return how a merge looks: a sign in a circle, or a flat bar with its word."""
    node = box.items[0]
    assert isinstance(node, Node)
    fill = style.fill(box, node.layer.family)
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
        "width": f"{BAR_ACROSS / 72:.2f}" if stacked else "1.2",
        "margin": "0.1,0.03",
    }
