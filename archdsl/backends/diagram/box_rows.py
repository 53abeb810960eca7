"""What is written in a box, row by row, whatever the format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from archdsl.backends.diagram.notation import Notation, kind_of, visible
from archdsl.backends.diagram.style import Style
from archdsl.backends.diagram.view.scope_tree import NodeOrScope
from archdsl.backends.diagram.view.summaries import breaks
from archdsl.backends.diagram.view.view import Box, View
from archdsl.graph import Node, Scope
from archdsl.layers.base import Layer

SIGNS = {"*": "×", "-": "−"}


class BoxRow(NamedTuple):
    """A row of a box. Its texts are such that they can be shown, and not yet escaped.

    Attributes:
        strong: what it is: "Conv2d"; text: what is said of it: "3x3, 64, /2".
        name: what the spec calls it; fill: its colour; small: whether it is a remark.
        family: of a layer; "" for all else.
    """

    strong: str
    text: str
    name: str
    fill: str
    small: bool = False
    family: str = ""


def rows_of(view: View, box: Box, style: Style) -> Sequence[BoxRow]:
    """Return the rows of a box of layers, of a folded block, or of all that a run repeats."""
    plain = style.fill(box, "")
    # the layers below say more than the block's arguments
    rows = [_head(scope, plain) for scope in box.heads]
    if box.kind == "layers":
        rows += [_layer(node, box, style) for node in layers_of(box)]
        if box.times > 1:
            ends = box.nodes[-len(rows) :]  # the layers of the last turn
            rows = [_named_to_last(row, node) for row, node in zip(rows, ends, strict=True)]
            rows.append(BoxRow("", run_shapes(view, box), "", plain, small=True))
    else:
        for item, last in zip(box.turn, box.items[-len(box.turn) :], strict=True):
            rows += _item(view, box, style, item, last)
    if box.kind == "run":
        rows.append(BoxRow("", run_shapes(view, box), "", plain, small=True))
    if style.counts and (written := style.figures.written(box, style.notation)):
        rows.append(BoxRow("", written, "", rows[-1].fill, small=True))
    return rows


def layers_of(box: Box) -> Sequence[Node]:
    """Return the layers that stand in a box by themselves."""
    return [item for item in box.items if isinstance(item, Node)]


def sign_of(node: Node) -> str:
    """Return the sign of a merge that does arithmetic: "+", or "" for others."""
    return SIGNS.get(node.layer.sign, node.layer.sign)


def families_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Return the families of layers, in the order in which they first come."""
    return _families(tuple(dict.fromkeys([type(node.layer) for node in nodes])))


@lru_cache(256)  # most blocks have layers of the same kinds
def _families(kinds: Sequence[type[Layer]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([kind.family for kind in kinds]))


def run_shapes(view: View, box: Box) -> str:
    """Write what goes into a run and what comes out: "64 x 56 x 56 → 256 x 56 x 56"."""
    inside = {node.name for node in box.nodes}
    reads = (name for node in box.nodes for name in node.sources if name not in inside)
    came = next(reads, None)
    shape = view.notation.shape
    went = visible(shape(box.nodes[-1].shape))
    return f"{visible(shape(view.checked.nodes[came].shape))} → {went}" if came else went


def name_of(box: Box, notation: Notation) -> str:
    """Return what is written in a box that is no table: an input, output or tensor."""
    if box.kind == "tensor":
        node = box.nodes[0]
        return f"{visible(node.label or kind_of(node.layer))} {visible(notation.shape(node.shape))}"
    return visible(box.path)


def _layer(node: Node, box: Box, style: Style) -> BoxRow:
    """Return the row of a layer."""
    layer = node.layer
    key = id(layer), node.label  # the graph keeps its layers, so no id comes twice
    if key not in style.said:
        said = visible(style.notation.arguments(layer))
        texts = visible(kind_of(layer)), said, visible(node.label)
        style.said[key] = *texts, layer.family
    strong, text, name, family = style.said[key]
    row = BoxRow(strong, text, name, style.theme.family(family), family=family)
    return row._replace(fill=style.fill(box, "")) if style.heated else row


def _item(view: View, box: Box, style: Style, item: NodeOrScope, last: NodeOrScope) -> list[BoxRow]:
    """Return the rows of a block or layer of a run, with its first and its last name."""
    if isinstance(item, Node):
        return [_named_to_last(_layer(item, box, style), last)]
    name = visible(item.label)
    if last is not item:
        name = f"{visible(item.label, 32)} ... {visible(last.label, 32)}"
    row = _block(view, item, name, style.fill(box, ""))
    return [row] if item.block else _broken(row)


def _named_to_last(row: BoxRow, last: NodeOrScope) -> BoxRow:
    """Give a layer of a run its first and its last name."""
    return row._replace(name=f"{row.name} ... {visible(last.label, 32)}") if row.name else row


def _broken(row: BoxRow) -> list[BoxRow]:
    """Write a row in two lines if it is long."""
    if not breaks(row.strong, row.text):
        return [row]
    return [row._replace(text=""), BoxRow("", row.text, "", row.fill)]


def _head(scope: Scope, fill: str) -> BoxRow:
    label = visible(scope.label)
    if not scope.block:
        return BoxRow(label, "", "", fill)
    return BoxRow(visible(scope.block), "", label, fill)


def _block(view: View, scope: Scope, name: str, fill: str) -> BoxRow:
    """Return what a block is and what it is called; a group has only a label."""
    said = visible(view.summaries.get(scope.name, ""))
    if not scope.block:
        return BoxRow(name, said, "", fill)
    return BoxRow(visible(scope.block), said, name, fill)
