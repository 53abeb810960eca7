"""What is written in a box, row by row, whatever the format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from archdsl.backends.diagram.escaping import visible
from archdsl.backends.diagram.figures import Figures, Heat
from archdsl.backends.diagram.palette import Theme
from archdsl.backends.diagram.tree import Item
from archdsl.backends.diagram.view import Box, View
from archdsl.backends.diagram.wording import Words, kind_of
from archdsl.graph import Node, Scope
from archdsl.layers.base import Layer

LONGEST_LINE = 28  # characters of the label of a group with its only layer
SIGNS = {"*": "×", "-": "−"}


@dataclass(frozen=True, eq=False)
class Style:
    """How a picture looks: theme, counts in the boxes, and the heat of each box."""

    theme: Theme
    figures: Figures
    words: Words
    counts: bool = False
    heat: dict[int, float] = field(default_factory=dict)
    heated: Heat | None = None  # by what; None for colours by family
    said: dict[tuple[int, str], Row] = field(default_factory=dict)  # many nodes say the same
    labels: dict[tuple[object, ...], str] = field(default_factory=dict)  # and so do many boxes

    def row(self, node: Node, box: Box) -> Row:
        """Return the row of a layer."""
        layer = node.layer
        key = id(layer), node.label
        if key not in self.said:
            said = visible(self.words.arguments(layer))
            texts = visible(kind_of(layer)), said, visible(node.label)
            self.said[key] = Row(*texts, self.theme.family(layer.family()))
        row = self.said[key]
        return row._replace(fill=self.fill(box, "")) if self.heated else row

    def fill(self, box: Box, family: str) -> str:
        """Return the fill of a row of a box."""
        if self.heated:
            return self.theme.warm(self.heat.get(box.index, 0.0))
        return self.theme.family(family) if family else self.theme.block


class Row(NamedTuple):
    """A row of a box. Its texts are such that they can be shown, and not yet escaped.

    Attributes:
        strong: what it is: "Conv2d"; text: what is said of it: "3x3, 64, /2".
        name: what the spec calls it; fill: its colour; small: whether it is a remark.
    """

    strong: str
    text: str
    name: str
    fill: str
    small: bool = False


def rows_of(view: View, box: Box, style: Style) -> Sequence[Row]:
    """Return the rows of a box of layers, of a folded block, or of all that a run repeats."""
    plain = style.fill(box, "")
    # the layers below say more than the block's arguments
    rows = [_head(scope, plain) for scope in box.heads]
    if box.kind == "layers":
        rows += [style.row(node, box) for node in layers_of(box)]
        if box.times > 1:
            ends = box.nodes[-len(rows) :]
            rows = [_named_to_last(row, node) for row, node in zip(rows, ends, strict=True)]
            rows.append(Row("", run_shapes(view, box), "", plain, small=True))
    else:
        for item, last in zip(box.turn, box.items[-len(box.turn) :], strict=True):
            rows += _item(view, box, style, item, last)
    if box.kind == "run":
        rows.append(Row("", run_shapes(view, box), "", plain, small=True))
    if style.counts and (written := style.figures.written(box, style.words)):
        rows.append(Row("", written, "", rows[-1].fill, small=True))
    return rows


def layers_of(box: Box) -> Sequence[Node]:
    """Return the layers that stand in a box by themselves."""
    return [item for item in box.items if isinstance(item, Node)]


def sign_of(node: Node) -> str:
    """Return the sign of a merge that does arithmetic: "+", or "" for others."""
    sign = getattr(node.layer, "sign", "")
    return SIGNS.get(sign, sign)


def families_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Return the families of layers, in the order in which they first come."""
    return _families(tuple(dict.fromkeys([type(node.layer) for node in nodes])))


@lru_cache(256)  # most blocks have layers of the same kinds
def _families(kinds: Sequence[type[Layer]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([kind.family() for kind in kinds]))


def run_shapes(view: View, box: Box) -> str:
    """Write what goes into a run and what comes out: "64 x 56 x 56 → 256 x 56 x 56"."""
    inside = {node.name for node in box.nodes}
    reads = (name for node in box.nodes for name in node.inputs if name not in inside)
    came = next(reads, None)
    shape = view.words.shape
    went = visible(shape(box.nodes[-1].shape))
    return f"{visible(shape(view.checked.nodes[came].shape))} → {went}" if came else went


def name_of(box: Box, words: Words) -> str:
    """Return what is written in a box that is no table: an input, output or tensor."""
    if box.kind == "tensor":
        node = box.nodes[0]
        return f"{visible(node.label or kind_of(node.layer))} {visible(words.shape(node.shape))}"
    return visible(box.path)


def _item(view: View, box: Box, style: Style, item: Item, last: Item) -> list[Row]:
    """Return the rows of a block or layer of a run, with its first and its last name."""
    if isinstance(item, Node):
        return [_named_to_last(style.row(item, box), last)]
    name = visible(item.label)
    if last is not item:
        name = f"{visible(item.label, 32)} ... {visible(last.label, 32)}"
    title = _title(view, item, name, style.fill(box, ""))
    return [title] if item.block else _broken(title)


def _named_to_last(row: Row, last: Item) -> Row:
    """Give a layer of a run its first and its last name."""
    return row._replace(name=f"{row.name} ... {visible(last.label, 32)}") if row.name else row


def breaks(label: str, said: str) -> bool:
    """Tell whether what is said of a group stands in a line of its own, below its label."""
    return bool(said) and len(label) + len(said) > LONGEST_LINE


def _broken(row: Row) -> list[Row]:
    """Write a row in two lines if it is long."""
    if not breaks(row.strong, row.text):
        return [row]
    return [row._replace(text=""), Row("", row.text, "", row.fill)]


def _head(scope: Scope, fill: str) -> Row:
    label = visible(scope.label)
    return Row(visible(scope.block), "", label, fill) if scope.block else Row(label, "", "", fill)


def _title(view: View, scope: Scope, name: str, fill: str) -> Row:
    """Return what a block is and what it is called; a group has only a label."""
    said = visible(view.titles.get(scope.name, ""))
    if not scope.block:
        return Row(name, said, "", fill)
    return Row(visible(scope.block), said, name, fill)
