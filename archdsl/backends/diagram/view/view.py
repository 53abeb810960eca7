"""What a picture of a network shows: boxes, the open blocks around them, and edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from archdsl.backends.diagram.notation import Notation
from archdsl.backends.diagram.view.scope_tree import NodeOrScope
from archdsl.graph import CheckedGraph, Node, Output, Scope
from archdsl.layers.base import Shape

BoxKind = Literal["input", "layers", "merge", "tensor", "block", "run", "output"]


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Something that is drawn as one.

    Attributes:
        index: its place in `View.boxes`.
        kind: "layers" is one layer, or several in a stack of which each is the only reader of
            the one before and keeps its shape; "tensor" one that the network owns itself.
        items: what it stands for, in order: the layers, once; one block; all items of a run.
        nodes: all nodes in it, which follow each other in the tree of the network.
        start: the place of the first of them there; -1 for an output.
        scope: name of the scope that it stands in.
        times: how often a block follows itself in a run, or the layers of a box do.
        output: the output of the network, for a box of that kind; it has no items and no nodes.
        heads: open blocks that hold nothing but these layers, the outermost first; they are
            written above the layers instead of being drawn around them.
    """

    index: int
    kind: BoxKind
    items: tuple[NodeOrScope, ...]
    nodes: tuple[Node, ...]
    start: int
    scope: str
    training_only: bool = False
    times: int = 1
    output: Output | None = None
    heads: tuple[Scope, ...] = ()

    @property
    def block(self) -> Scope:
        """The block that a box of kind "block" stands for, or the first of a run."""
        for item in self.items:
            if isinstance(item, Scope):
                return item
        raise ValueError(f"a box of kind {self.kind} stands for no block")

    @property
    def turn(self) -> tuple[NodeOrScope, ...]:
        """What a run repeats, as it stands there first; of other boxes, all items."""
        return self.items[: len(self.items) // self.times] if self.kind == "run" else self.items

    @property
    def path(self) -> str:
        """The name of what it stands for; of a run, of the first item."""
        if self.output:
            return self.output.name
        return self.heads[0].name if self.heads else self.items[0].name


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """An open block or group, with what stands in it."""

    scope: Scope
    children: tuple[Box | Cluster, ...]
    training_only: bool


class Edge(NamedTuple):
    """A tensor on its way from one box to another.

    Attributes:
        source: index of the box that gives it; target: of the box that takes it.
        shape: of the tensor.
        main: whether it lies on the longest way from the input to the output.
        alone: whether its source gives to nobody else, and its target takes from nobody else.
        straight: whether it is sure to be drawn as a straight line.
        shortcut: whether it hands a merge what another of its inputs was computed from.
        labelled: whether the shape is to stand beside it.
    """

    source: int
    target: int
    shape: Shape
    training_only: bool = False
    main: bool = False
    alone: bool = False
    straight: bool = False
    shortcut: bool = False
    labelled: bool = True


class View(NamedTuple):
    """A network as it is to be drawn.

    Attributes:
        children: what stands at the top level.
        boxes: all boxes; a box comes after those from which it reads, where that is possible.
        edges: in the order of the boxes that they lead to.
        main: the indices of the boxes on the main path, in its order.
        notation: say its arguments, shapes and counts.
        summaries: of each block that stands as a box or at the head of one, by its name: what is
            said beside it.
    """

    checked: CheckedGraph
    children: tuple[Box | Cluster, ...]
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    main: tuple[int, ...]
    notation: Notation
    summaries: Mapping[str, str]


def boxes_in(children: Sequence[Box | Cluster]) -> Iterator[Box]:
    """Yield the boxes in children and in the clusters among them."""
    waiting = list(reversed(children))
    while waiting:
        child = waiting.pop()
        if isinstance(child, Box):
            yield child
        else:
            waiting += reversed(child.children)
