"""Which layers share a box: those that only go on with the output of the one before."""

from __future__ import annotations

from functools import lru_cache

from archdsl.backends.diagram.tree import Item, Tree
from archdsl.backends.diagram.view import Kind
from archdsl.graph import Node
from archdsl.layers.base import POINTWISE, Layer

MERGES = "merge"
TENSORS = "tensor"


def goes_on(tree: Tree, last: Item, node: Item) -> bool:
    """Tell whether a layer only goes on with the output of another, place by place."""
    return (
        isinstance(node, Node)
        and node.facts.windows == POINTWISE
        and node.facts.macs == 0
        and isinstance(last, Node)
        and node.inputs == (last.name,)
        and tree.reads[tree.places[last.name]] == 1
        and node.shape == last.shape
        and _kind_of_layer(type(last.layer)) == _kind_of_layer(type(node.layer)) == "layers"
    )


def kind_of_node(node: Node) -> Kind:
    """Return as what kind of box a node is drawn."""
    return _kind_of_layer(type(node.layer))


@lru_cache(256)  # of few kinds of layers, asked for at every node
def _kind_of_layer(layer: type[Layer]) -> Kind:
    family = layer.family()
    if family == MERGES:
        return "merge"
    if family == TENSORS:
        return "tensor" if layer.word == "parameter" else "input"
    return "layers"
