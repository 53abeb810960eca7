"""View -> TikZ, for LaTeX: Graphviz says where everything stands, and TikZ draws it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archdsl.backends.diagram.box_rows import layers_of, name_of, rows_of, sign_of
from archdsl.backends.diagram.dot.arrows import lines_of_shape
from archdsl.backends.diagram.dot.clusters import title_of
from archdsl.backends.diagram.dot.digraph import names_of, to_dot
from archdsl.backends.diagram.dot.engines import render
from archdsl.backends.diagram.figures import totals_of
from archdsl.backends.diagram.notation import kind_of, visible
from archdsl.backends.diagram.style import Style
from archdsl.backends.diagram.view.view import Box, Cluster, Edge, View
from archdsl.backends.escaping import latex

TEXT = 11  # points
INSET = 4  # points between a border and text
BADGE = 18  # width of the mark "x 3" of a run without its digits, in points
DIGIT = 6.2
CAPTION = 4.8  # mean width of a character of the caption, in points

HEAD = r"""% {comment}
% Compile with pdflatex, or with lualatex where names are not in Latin script.
% For a paper, take the picture and the lines before it that it needs.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{textcomp,helvet,geometry,tikz}
\geometry{paperwidth={width}bp,paperheight={height}bp,margin=6bp}
\pagestyle{empty}
\setlength{\parindent}{0pt}
\usetikzlibrary{arrows.meta}
\renewcommand{\familydefault}{\sfdefault}
\begin{document}
\begin{tikzpicture}[x=1bp,y=1bp,inner sep=0pt,
  every node/.style={font=\fontsize{11}{13}\selectfont},
  small/.style={font=\fontsize{9}{11}\selectfont},
  arrow/.style={-{Latex[length=5bp,width=4bp]},line width=0.7bp},
  main/.style={line width=1.3bp},
  training/.style={dashed}]
"""


def to_tikz(view: View, style: Style, direction: str, engine: str | None) -> str:
    """Write a view as a LaTeX document of one picture.

    Raises:
        ArchError: there is no Graphviz, or it fails.
    """
    placed = json.loads(
        render(to_dot(view, style, direction, explained=False, stacked=False), "json", engine)
    )
    objects: Sequence[Mapping[str, Any]] = placed.get("objects", [])
    where = {each["name"]: each for each in objects}
    names = names_of(view.boxes)
    clusters = [each for each in objects if each["name"].startswith("cluster_")]
    theme = style.theme
    comment = latex(f"{visible(view.checked.name)}: {totals_of(style.figures, style.notation)}")
    x0, y0, x1, y1 = _numbers(placed["bb"])
    width = max(x1 - x0, CAPTION * len(comment)) + 40
    sizes = {"width": f"{width:g}", "height": f"{y1 - y0 + 40:g}", "comment": comment}
    lines = [re.sub(r"\{(width|height|comment)\}", lambda found: sizes[found.group(1)], HEAD)]
    lines += _colors(view, style)
    numbered = {each["name"]: each for each in clusters}
    for number, (cluster, depth) in enumerate(_clusters(view.children, 0)):
        lines.append(_frame(cluster, numbered[f"cluster_{number}"], theme.cluster(depth), style))
    for box in view.boxes:
        lines += _box(view, box, where[names[box.index]], style)
    for edge, drawn in zip(view.edges, _drawn(placed, view, names), strict=True):
        lines += _edge(edge, drawn, style)
    lines.append(_text((x0 + x1) / 2, y0 - 6, comment, theme.text, "anchor=north,small"))
    return "\n".join([*lines, r"\end{tikzpicture}", r"\end{document}", ""])


def _colors(view: View, style: Style) -> Iterator[str]:
    theme = style.theme
    used = {theme.text, theme.small, theme.muted, theme.line, theme.accent, theme.background}
    used |= set(theme.clusters)
    for box in view.boxes:
        if box.kind in ("layers", "block", "run"):
            used |= {row.fill for row in rows_of(view, box, style)}
        elif box.kind == "merge":
            used.add(style.fill(box, layers_of(box)[0].layer.family))
    for color in sorted(used):
        yield rf"\definecolor{{{_color(color)}}}{{HTML}}{{{color[1:]}}}"


def _color(color: str) -> str:
    return f"c{color[1:]}"


def _clusters(children: Sequence[Box | Cluster], depth: int) -> Iterator[tuple[Cluster, int]]:
    """Yield clusters in the order in which DOT numbers them."""
    for child in children:
        if isinstance(child, Cluster):
            yield child, depth
            yield from _clusters(child.children, depth + 1)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _frame(cluster: Cluster, placed: Mapping[str, Any], fill: str, style: Style) -> str:
    x0, y0, x1, y1 = _numbers(placed["bb"])
    dashed = ",training" if cluster.training_only else ""
    look = f"draw={_color(style.theme.muted)},fill={_color(fill)},rounded corners=8bp{dashed}"
    title = title_of(cluster.scope)
    size = title.size
    font = rf"font=\fontsize{{{size}}}{{{size + 1}}}\selectfont"
    gap = " " if title.together else r"\\ "
    text = rf"\textbf{{{latex(title.label)}}}" + gap * bool(title.block) + latex(title.block)
    high = _numbers(placed["lp"])[1] > (y0 + y1) / 2
    y, anchor = (y1 - 4, "north west") if high else (y0 + 4, "south west")
    label = _text(x0 + 8, y, text, style.theme.muted, f"anchor={anchor},align=left,{font}")
    return rf"\path[{look}] ({x0:g},{y0:g}) rectangle ({x1:g},{y1:g});" + "\n" + label


def _box(view: View, box: Box, placed: Mapping[str, Any], style: Style) -> Iterator[str]:
    x, y = _numbers(placed["pos"])
    width, height = 72 * float(placed["width"]), 72 * float(placed["height"])
    theme = style.theme
    left, right, top, bottom = x - width / 2, x + width / 2, y + height / 2, y - height / 2
    line = f"draw={_color(theme.line)}" + ",training" * box.training_only
    if box.kind not in ("layers", "block", "run"):
        yield from _pill(box, (x, y, width, height), line, style)
        return
    rows = rows_of(view, box, style)
    each = height / len(rows)
    edge = right - (BADGE + DIGIT * len(str(box.times)) if box.times > 1 else 0)
    for number, row in enumerate(rows):
        high = top - number * each
        yield (
            rf"\fill[{_color(row.fill)}] ({left:g},{high - each:g}) rectangle ({edge:g},{high:g});"
        )
        strong = rf"\textbf{{{latex(row.strong)}}} " if row.strong else ""
        small = ",small" if row.small else ""
        middle = high - each / 2
        text = strong + latex(row.text)
        yield _text(left + INSET, middle, text.strip(), theme.text, f"anchor=west{small}")
        if row.name:
            name = latex(row.name)
            yield _text(edge - INSET, middle, name, theme.small, "anchor=east,small")
    if box.times > 1:
        fill = _color(theme.muted)
        yield rf"\fill[{fill}] ({edge:g},{bottom:g}) rectangle ({right:g},{top:g});"
        times = rf"\textbf{{x {box.times}}}"
        yield _text((edge + right) / 2, y, times, theme.background, "")
    yield rf"\draw[{line}] ({left:g},{bottom:g}) rectangle ({right:g},{top:g});"


def _pill(
    box: Box, place: tuple[float, float, float, float], line: str, style: Style
) -> Iterator[str]:
    """Yield a merge, an input or an output: a circle with a sign, or text in a rounded box."""
    x, y, width, height = place
    theme = style.theme
    if box.kind == "merge":
        node = layers_of(box)[0]
        fill = _color(style.fill(box, node.layer.family))
        sign = sign_of(node)
        if sign:
            yield rf"\path[{line},fill={fill}] ({x:g},{y:g}) circle[radius={width / 2:g}bp];"
            yield _text(x, y, latex(sign), theme.text, "")
            return
        text = latex(visible(kind_of(node.layer)))
    else:
        fill, text = _color(theme.background), rf"\textbf{{{latex(name_of(box, style.notation))}}}"
    corners = "" if box.kind == "tensor" else f",rounded corners={height / 2.2:g}bp"
    yield (
        rf"\path[{line},fill={fill}{corners}] ({x - width / 2:g},{y - height / 2:g}) rectangle "
        rf"({x + width / 2:g},{y + height / 2:g});"
    )
    yield _text(x, y, text, theme.text, "")


def _drawn(
    placed: Mapping[str, Any], view: View, names: Mapping[int, str]
) -> Iterator[Mapping[str, Any]]:
    """Yield what Graphviz says of each edge; those between the same boxes come in any order."""
    objects = {each["_gvid"]: each["name"] for each in placed.get("objects", [])}
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in placed.get("edges", []):
        found.setdefault((objects[each["tail"]], objects[each["head"]]), []).append(each)
    for edge in view.edges:
        source, target = names[edge.source], names[edge.target]
        # in lines that run back it is written from its head to its tail
        same = found.get((source, target)) or found[target, source]
        labelled = [each for each in same if bool(_label(each)) == edge.labelled]
        yield (labelled or same)[0]
        same.remove((labelled or same)[0])


def _label(placed: Mapping[str, Any]) -> str:
    """Return where the middle of an edge's label is, or "" if it has none."""
    return str(placed.get("tail_lp") or placed.get("lp") or "")


def _edge(edge: Edge, placed: Mapping[str, Any], style: Style) -> Iterator[str]:
    end, *rest = str(placed["pos"]).split()
    if end.startswith("s,"):  # the arrowhead is at the beginning
        end, rest = end.replace("s,", "e,"), rest[::-1]
    points = [tuple(_numbers(point)) for point in rest]
    last = tuple(_numbers(end.removeprefix("e,"))) if end.startswith("e,") else points.pop()
    if not end.startswith("e,"):
        points.insert(0, tuple(_numbers(end)))
    color = style.theme.accent if edge.shortcut else style.theme.line
    look = f"arrow,draw={_color(color)}" + ",main" * (edge.main or edge.shortcut)
    look += ",training" * edge.training_only
    path = f"({points[0][0]:g},{points[0][1]:g})"
    for at in range(1, len(points) - 2, 3):
        (ax, ay), (bx, by), (cx, cy) = points[at : at + 3]
        path += f" .. controls ({ax:g},{ay:g}) and ({bx:g},{by:g}) .. ({cx:g},{cy:g})"
    yield rf"\draw[{look}] {path} -- ({last[0]:g},{last[1]:g});"
    if edge.labelled and (place := _label(placed)):
        x, y = _numbers(place)
        shape = visible(style.notation.shape(edge.shape))
        lines = lines_of_shape(shape) if r"\n" in placed.get("label", "") else [shape]
        look = f"small,text={_color(style.theme.muted)}" + ",align=center" * (len(lines) > 1)
        text = r" \\ ".join(map(latex, lines))
        yield rf"\node[{look}] at ({x:g},{y:g}) {{{text}}};"


def _text(x: float, y: float, text: str, color: str, look: str) -> str:
    comma = "," if look else ""
    return rf"\node[{look}{comma}text={_color(color)}] at ({x:g},{y:g}) {{{text}}};"
